"""Builds the door's end of the road to the library system; the other one is web's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from doorctl.asking import Asking, Keeping
from doorctl.bootstrap.rules import ask_s, flags_weak
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
) -> tuple[LibraryLine, WorkerThread[PostedEvent]] | None:
    """Return the door's end with its thread, which is still to be started; None if it is off."""
    limit_s = ask_s(config)
    if limit_s is None:
        return None
    asking = Asking(
        LibraryOverSocket(config.web.socket, limit_s, log),
        clock,
        minimum_age=config.policy.minimum_age,
        keeping=Keeping(timedelta(days=config.lms.row_days), timedelta(days=config.lms.pin_days)),
        flags_weak=flags_weak(config),
    )
    worker: WorkerThread[PostedEvent] = WorkerThread(post, failed)
    return LibraryLine(asking, worker), worker
