"""Jobs that the loop gives to other threads, and how many of them may wait.

The loop itself never touches a disk or a network: the answers come back to its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from doorctl.access.messages import (
    AskLibrary,
    Concluded,
    LibraryAnswered,
    LookAgain,
    Prepare,
    Prepared,
    PrepareFailed,
)
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.masked import Pin
from doorctl.core.ports import EventLog
from doorctl.doord.events import PostedEvent, Worker
from doorctl.doord.hours import BranchUnread
from doorctl.doord.prepare import Ledger

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


class Asks(Protocol):
    """`doorctl.doord.ask_library.Asking`, loaded only where the library system is asked."""

    def ask(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        """Ask about the card and the PIN of an attempt; takes a second or two."""

    def keep(self) -> None:
        """Keep the answer to a question; on a thread of its own."""


@dataclass(frozen=True, slots=True)
class LibraryLine:
    """The threads for the library system: `asker` waits for an answer, `keeper` for web to keep it.

    Keeping may take longer than the next patron waits.
    """

    asking: Asks
    asker: Worker
    keeper: Worker


class SlowJobs:
    """Submit jobs and return at once; on the loop's thread.

    `log` takes each failure to find something out. `library` is None where nobody is asked. `pause`
    lets the worker's thread wait for so many seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        worker: Worker,
        log: EventLog,
        library: LibraryLine | None = None,
        *,
        pause: Callable[[float], object] = lambda _s: None,
    ) -> None:
        self._ledger = ledger
        self._worker = worker
        self._log = log
        self._library = library
        self._pause = pause

    def overloaded(self) -> bool:
        """Tell whether so many jobs wait that the next card is turned away."""
        return self._worker.backlog() >= BACKLOG_LIMIT

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
                self._worker.submit(lambda: BranchUnread(why))
                return PrepareFailed(number)
            except StoreError as err:
                self._log.emit("alarm", kind="patron_cache_failing", why=str(err))
                return PrepareFailed(number)

        self._worker.submit(answered)

    def ask_library(self, question: AskLibrary) -> bool:
        """Put a question and have its answer kept; tell whether it was put."""
        library = self._library
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
        if concluded.shape is not None and self._worker.backlog() >= UNRECORDED_LIMIT:
            return
        number, reason = concluded.attempt, concluded.reason
        proved, unchecked = concluded.proved, concluded.unchecked
        self._worker.submit(
            lambda: self._ledger.settle(
                number, reason, counted_as, proved=proved, unchecked=unchecked
            )
        )

    def _prepared_at_last(self, wanted: Prepare | LookAgain) -> Prepared:
        try:
            return self._prepared(wanted)
        except StoreError:
            # Nothing is on record yet, and the patron still types.
            self._pause(AGAIN_S)
            return self._prepared(wanted)

    def _prepared(self, wanted: Prepare | LookAgain) -> Prepared:
        if isinstance(wanted, Prepare):
            return self._ledger.prepare(wanted.attempt, wanted.identifiers)
        return self._ledger.look_again(wanted.prepared)
