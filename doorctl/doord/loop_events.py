"""What the door's loop is told of, and its queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

from doorctl.access.day import DayRules
from doorctl.access.messages import (
    LibraryAnswered,
    Prepared,
    PrepareFailed,
    Rules,
)
from doorctl.access.panel import PanelRules
from doorctl.devices.lines import LineEvent
from doorctl.doord.hours import HoursRead


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked the daemon to stop."""


@dataclass(frozen=True, slots=True)
class PinsTouched:
    """A level may have changed: look at the inputs."""


@dataclass(frozen=True, slots=True)
class StaffOpened:
    """Staff open the door once, remotely; counts until just before `until_s`, monotonic."""

    reason: str
    by: str
    until_s: float


@dataclass(frozen=True, slots=True)
class PanelKeyPressed:
    """A key of the screen at the door, for the attempt of that number."""

    key: str = field(repr=False)
    attempt: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Other rules for everything that begins from now on; what is under way keeps its own.

    `taken` is called when they come into force, on the loop's thread.
    """

    rules: Rules
    day: DayRules
    panel: PanelRules
    taken: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """A thread ended by an unexpected exception: the daemon must not go on without it."""

    error: BaseException


PostedEvent = (
    LineEvent
    | PinsTouched
    | Prepared
    | PrepareFailed
    | LibraryAnswered
    | HoursRead
    | StaffOpened
    | PanelKeyPressed
    | Reloaded
    | StopRequested
    | ThreadFailed
)


EventQueue = queue.SimpleQueue[PostedEvent]


class LoopQueue(EventQueue):
    """The loop's queue. `put` may be called from any thread and from a signal's handler.

    In Python 3.11 SimpleQueue's own `get` waits for ever if it is woken when its time is over: the
    door did nothing until the next swipe. This `get` waits for a lock, and that wait ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._posted = threading.Lock()
        self._posted.acquire()

    def put(self, item: PostedEvent, block: bool = True, timeout: float | None = None) -> None:
        """Post an event; never waits."""
        super().put(item, block, timeout)
        with suppress(RuntimeError):  # Not waited for, or told already.
            self._posted.release()

    def get(self, block: bool = True, timeout: float | None = None) -> PostedEvent:
        """Return the next event, or raise queue.Empty. One thread."""
        ends_s = inf if timeout is None else time.monotonic() + timeout  # noqa: TID251 - a wait
        while True:
            self._posted.acquire(blocking=False)  # What was told of an event that is taken since.
            with suppress(queue.Empty):
                return super().get(block=False)
            left_s = ends_s - time.monotonic()  # noqa: TID251 - a wait
            if not block or left_s <= 0:
                raise queue.Empty
            self._posted.acquire(timeout=min(left_s, threading.TIMEOUT_MAX))
