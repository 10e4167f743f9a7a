"""What the loop has other threads find out and write down, and how much of that may wait.

The loop itself never touches a disk or a network: what it asks comes back to its mailbox.
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
from doorctl.doord.events import PostedEvent, Worker
from doorctl.doord.hours import BranchUnread
from doorctl.doord.prepare import Ledger
from doorctl.ports import EventLog

BACKLOG_LIMIT = 8
"""Jobs in the worker's queue beyond which a card is turned away.

A reader that repeats itself brings 80 cards a second; the smallest Pi prepares three. More waiting
would outlast the patience of whoever comes next.
"""

ASKING_LIMIT = 2
"""Questions to the library system that wait beyond which another is not put: it hangs."""

UNRECORDED_LIMIT = BACKLOG_LIMIT // 2
"""Jobs beyond which an unreadable card is not recorded, so that garbage turns no card away."""


AGAIN_S = 1.0
"""A database that can't be read may be one that is just being put back: it is asked once more."""


class Asks(Protocol):
    """What `doorctl.doord.ask_library.Asking` does, loaded only where anybody is asked."""

    def ask(self, prepared: Prepared, pin: Pin) -> LibraryAnswered:
        """Ask about the card and the PIN of an attempt; takes a second or two."""

    def keep(self) -> None:
        """Keep what a question taught; on a thread of its own."""


@dataclass(frozen=True, slots=True)
class LibraryLine:
    """How the library system is asked.

    Args:
        asking: what is asked.
        asker: the thread that waits for an answer.
        keeper: the one that waits for web to keep what was learnt, which may take longer than the
            next patron waits.
    """

    asking: Asks
    asker: Worker
    keeper: Worker


class Questions:
    """Ask and return at once; on the loop's thread.

    Args:
        ledger: what the worker is asked to do.
        worker: the thread that does it.
        log: hears of what can't be found out.
        library: asked about a card that the cache can't judge; None where nobody is asked.
        pause: lets the worker's thread wait for so many seconds.
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
        """Tell whether so much waits that the next card is turned away."""
        return self._worker.backlog() >= BACKLOG_LIMIT

    def prepare(self, wanted: Prepare | LookAgain, newest: Callable[[], int]) -> None:
        """Have an attempt prepared, or looked at again; `Prepared` or `PrepareFailed` follows.

        Args:
            wanted: which, and of what card.
            newest: the number of the attempt that is current when the worker comes to it; called
                on its thread.
        """
        number = wanted.attempt if isinstance(wanted, Prepare) else wanted.prepared.attempt

        def answered() -> PostedEvent:
            if number < newest():
                # Another card came meanwhile: stretching this one would only keep that one waiting.
                return PrepareFailed(number)
            try:
                return self._found_at_last(wanted)
            except BranchStoreError as err:
                why = str(err)
                # Whoever reads the hours tells of it, once.
                self._worker.submit(lambda: BranchUnread(why))
                return PrepareFailed(number)
            except StoreError as err:
                self._log.emit("alarm", kind="patron_cache_failing", why=str(err))
                return PrepareFailed(number)

        self._worker.submit(answered)

    def ask_library(self, question: AskLibrary) -> bool:
        """Put a question, and let what it taught be kept; tell whether it was put."""
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
        """Have an attempt's end written down; see :meth:`Ledger.settle`."""
        if concluded.shape is not None and self._worker.backlog() >= UNRECORDED_LIMIT:
            return
        number, reason = concluded.attempt, concluded.reason
        proved, unchecked = concluded.proved, concluded.unchecked
        self._worker.submit(
            lambda: self._ledger.settle(
                number, reason, counted_as, proved=proved, unchecked=unchecked
            )
        )

    def _found_at_last(self, wanted: Prepare | LookAgain) -> Prepared:
        try:
            return self._found(wanted)
        except StoreError:
            # Nothing is on record yet, and the patron still types.
            self._pause(AGAIN_S)
            return self._found(wanted)

    def _found(self, wanted: Prepare | LookAgain) -> Prepared:
        if isinstance(wanted, Prepare):
            return self._ledger.prepare(wanted.attempt, wanted.identifiers)
        return self._ledger.look_again(wanted.prepared)
