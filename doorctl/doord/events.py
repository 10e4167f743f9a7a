"""Events that other threads post to the door process's loop, and the worker for its slow jobs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from typing import Protocol

from doorctl.access.day import DayRules
from doorctl.access.messages import (
    AskLibrary,
    Concluded,
    LibraryAnswered,
    LookAgain,
    Prepare,
    Prepared,
    PrepareFailed,
    Rules,
)
from doorctl.access.panel import PanelRules
from doorctl.cards.reader import LineEvent
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.ports import EventLog
from doorctl.doord.hours import BranchUnread, HoursRead
from doorctl.doord.prepare import Asking, Ledger


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
    | BranchUnread
    | StaffOpened
    | PanelKeyPressed
    | Reloaded
    | StopRequested
    | ThreadFailed
)
EventQueue = queue.SimpleQueue[PostedEvent]


class Worker(Protocol):
    """A thread that does slow jobs in order and posts what they return."""

    def submit(self, job: Callable[[], PostedEvent | None]) -> None:
        """Queue a job; its event, if any, is posted to the controller."""

    def backlog(self) -> int:
        """Return how many jobs wait."""


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


# Jobs that the loop gives to other threads, and how many of them may wait.
#
# The loop itself never touches a disk or a network: the answers come back to its queue.

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. With more
waiting, the next patron would lose patience.
"""

ASKING_LIMIT = 2
"""Waiting questions to the library system beyond which no other is put, because it hangs."""

UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""


AGAIN_S = 1.0
"""A database that can't be read may be in the middle of a restore: it is read once more."""


@dataclass(frozen=True, slots=True)
class LibraryLine:
    """The threads for the library system: `asker` waits for an answer, `keeper` for web to keep it.

    Keeping may take longer than the next patron waits.
    """

    asking: Asking
    asker: Worker
    keeper: Worker


@dataclass(eq=False)
class SlowJobs:
    """Submit jobs and return at once; on the loop's thread.

    `log` takes each failure to find something out. `library` is None where nobody is asked. `pause`
    lets the worker's thread wait for so many seconds.
    """

    ledger: Ledger
    worker: Worker
    log: EventLog
    library: LibraryLine | None = None
    _: KW_ONLY
    pause: Callable[[float], object] = lambda _s: None

    def overloaded(self) -> bool:
        """Tell whether so many jobs wait that the next card is turned away."""
        return self.worker.backlog() >= BACKLOG_LIMIT

    def prepare(self, wanted: Prepare | LookAgain, newest: Callable[[], int]) -> None:
        """Have an attempt prepared, or looked at again; `Prepared` or `PrepareFailed` follows.

        `newest` is called on the worker's thread, for the number of the attempt that is current by
        then.
        """
        number = wanted.attempt if isinstance(wanted, Prepare) else wanted.prepared.attempt

        def answered() -> PostedEvent:
            if number < newest():
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                return self._prepared_at_last(wanted)
            except BranchStoreError as err:
                why = str(err)
                # The job that reads the hours reports it, once.
                self.worker.submit(lambda: BranchUnread(why))
                return PrepareFailed(number)
            except StoreError as err:
                self.log.emit("alarm", kind="patron_cache_failing", why=str(err))
                return PrepareFailed(number)

        self.worker.submit(answered)

    def ask_library(self, question: AskLibrary) -> bool:
        """Put a question and have its answer kept; tell whether it was put."""
        library = self.library
        if library is None or library.asker.backlog() >= ASKING_LIMIT:
            return False

        def answered() -> PostedEvent:
            answer = library.asking.ask(question.prepared, question.pin)
            library.keeper.submit(library.asking.keep)
            return answer

        library.asker.submit(answered)
        return True

    def settle(self, concluded: Concluded, counted_as: str | None) -> None:
        """Have an attempt's end recorded; see :meth:`Ledger.settle`."""
        if concluded.shape is not None and self.worker.backlog() >= UNRECORDED_LIMIT:
            return
        self.worker.submit(lambda: self.ledger.settle(concluded, counted_as))

    def _prepared_at_last(self, wanted: Prepare | LookAgain) -> Prepared:
        try:
            return self._prepared(wanted)
        except StoreError:
            # Nothing is on record yet, and the patron still types.
            self.pause(AGAIN_S)
            return self._prepared(wanted)

    def _prepared(self, wanted: Prepare | LookAgain) -> Prepared:
        if isinstance(wanted, Prepare):
            return self.ledger.prepare(wanted.attempt, wanted.identifiers)
        return self.ledger.look_again(wanted.prepared)
