"""The door's end of the way to the library system; loaded only where one is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from doorctl.config import Config
from doorctl.core.ports import Clock, EventLog
from doorctl.doord.ask_library import Asking, Keeping
from doorctl.doord.events import PostedEvent
from doorctl.doord.slow_jobs import LibraryLine
from doorctl.ops.threads import WorkerThread
from doorctl.rpc.library import LibraryOverSocket
from doorctl.services.app import flags_weak, web_answers_s


def open_library_line(
    config: Config,
    clock: Clock,
    log: EventLog,
    post: Callable[[PostedEvent], None],
    failed: Callable[[BaseException], None],
) -> tuple[LibraryLine, tuple[WorkerThread[PostedEvent], ...]] | None:
    """Return the door's end and its threads, not yet started; None where it is off."""
    if not config.lms.wanted:
        return None
    asking = Asking(
        LibraryOverSocket(config.web.socket, web_answers_s(config), log),
        clock,
        minimum_age=config.policy.minimum_age,
        keeping=Keeping(timedelta(days=config.lms.row_days), timedelta(days=config.lms.pin_days)),
        flags_weak=flags_weak(config),
    )
    asker: WorkerThread[PostedEvent] = WorkerThread(post, failed)
    keeper: WorkerThread[PostedEvent] = WorkerThread(post, failed)
    return LibraryLine(asking, asker, keeper), (asker, keeper)
