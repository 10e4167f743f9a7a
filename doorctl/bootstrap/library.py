"""Builds the door's end of the road to the library system; the other one is web's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from doorctl.asking import Asking, Keeping
from doorctl.bootstrap.rules import flags_weak, web_answers_s
from doorctl.config import Config
from doorctl.mailbox import PostedEvent
from doorctl.ops.worker import WorkerThread
from doorctl.ports import Clock, EventLog
from doorctl.questions import LibraryLine
from doorctl.transports.library import LibraryOverSocket


def open_library_line(
    config: Config,
    clock: Clock,
    log: EventLog,
    post: Callable[[PostedEvent], None],
    failed: Callable[[BaseException], None],
) -> tuple[LibraryLine, tuple[WorkerThread[PostedEvent], ...]] | None:
    """Return the door's end with its threads, which are still to be started; None if it is off."""
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
