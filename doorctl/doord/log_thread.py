"""The door log on a thread of its own: a disk that is slow to take a commit keeps nobody waiting.

What the thread is given is written in its order. A caller waits for an attempt's commit for
:data:`PATIENCE_S` and then goes on; the write stays in the queue, and in memory, until the disk has
taken it. At most :data:`MOST_KEPT` writes wait so. A stop waits for the rest, for
:data:`STOP_S`; what is lost then is told.

A power cut forgets what waits, so it could give a guess away: a thief cuts the power before
the charge is on the disk. Three rules bound that.

1. A card one of whose guesses is not on the disk gets no other one: it has to wait. So a cut gives
   one guess at a card and not the three that are free, and none where the charge was written, which
   a disk that takes 2 s does in time. A patron with a proved PIN has no guess outstanding.
2. Each start after a cut is on record before guesses go on without the disk, or has lasted for
   :data:`SETTLED_S`, by which a slow disk has taken it.
3. After :data:`MOST_CUTS` of them in a day the door waits for the disk, as long as a patron waits:
   at most so many guesses at a card are given away, no more than a patron has for nothing.

The disk that never takes anything, not even that the door has started, is left: 1 guess a start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from threading import Event, Lock
from typing import Any, Protocol, TypeVar

from doorctl.access.messages import Closed, Opened, VisitLog, VisitReader
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.errors import StoreError, StoreSlowError
from doorctl.ops.threads import WorkerThread

PATIENCE_S = 2.0
"""How long a patron's attempt waits for its commit: as long as four digits take to type."""

SETTLING_PATIENCE_S = 0.5
"""How long what keeps no guess is waited for, such as an outcome: the next patron may stand there.
"""

LONGEST_PATIENCE_S = 7.0
"""How long it waits where it may not go on without: after it the patron is refused anyway."""

STEP_S = 0.1
"""How often is looked meanwhile whether it may go on by now."""

MOST_KEPT = 2_000
"""Writes that wait for the disk: those of 1 000 visits, 2 MB, some weeks of evenings."""

STOP_S = 10.0
"""How long a stop waits for them."""

MOST_CUTS = 3
"""Starts after a cut within a day from which on no guess goes on without the disk."""

SETTLED_S = 30.0
"""A process that has run for so long counts as on record, whatever the disk says."""

SLOW_S = 1.0
"""A commit that takes so long is told: an SD card that is well stalls for 0.3 s."""

QUIET_S = 600.0
"""So long after the last slow commit, and after a quick one, the disk is well again."""

ResultT = TypeVar("ResultT")


class DiskWatch:
    """Times what the door log's thread writes; `slow` may be called from any thread."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._began_s: float | None = None
        self._slow: tuple[float, float] | None = None
        self._quick_s = -inf

    def timed(self, write: Callable[[], ResultT]) -> ResultT:
        """Do one write, and note how long it took; on the door log's thread."""
        began_s = self._began_s = self._monotonic_s()
        try:
            return write()
        finally:
            self._began_s, ended_s = None, self._monotonic_s()
            if ended_s - began_s >= SLOW_S:
                self._slow = ended_s, ended_s - began_s
            else:
                self._quick_s = ended_s

    def slow(self) -> str | None:
        """Return what is slow about the disk, as a sentence; None where it is well."""
        now_s, began_s = self._monotonic_s(), self._began_s
        if began_s is not None and now_s - began_s >= SLOW_S:
            return f"the disk has been writing for {now_s - began_s:.0f} s, and is not done"
        if self._slow is None:
            return None
        ended_s, took_s = self._slow
        if now_s - ended_s >= QUIET_S and self._quick_s > ended_s:
            return None
        return f"the disk took {took_s:.1f} s for a write that takes milliseconds"


class VisitReading(VisitReader, Protocol):
    """What is read of the door log while its thread is held."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""


class _Write:
    """One write on its way to the disk."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do = do
        self.over = Event()
        self.error: StoreError | None = None
        self.is_late = False


class QueuedVisitLog:
    """A `VisitLog` whose writes are done by another thread, and waited for briefly.

    `inner` belongs to `thread`; `reading` to the caller's, which is one. `late` gets the error of
    each write that no caller waits for any more, None where it went; on the door log's thread.

    StoreSlowError: it is not written yet; what is to be written will be.
    """

    def __init__(
        self,
        inner: VisitLog,
        thread: WorkerThread[Any],
        reading: VisitReading,
        disk: DiskWatch,
        *,
        late: Callable[[StoreError | None], object] = lambda _error: None,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._inner, self._thread, self._reading, self._disk = inner, thread, reading, disk
        self._late, self._may_go_on = late, may_go_on
        self._lock = Lock()
        self._waiting: dict[int, _Write] = {}
        self._number = 0
        self._guesses: dict[int, tuple[_Write, Opened]] = {}
        self._refused: int | None = None

    @property
    def waiting(self) -> int:
        """How many writes the disk has not taken yet; for any thread."""
        return len(self._waiting)

    def open_attempt(self, opened: Opened) -> None:
        """Have an attempt put on record, with what is charged for it."""
        write = _Write(lambda: self._inner.open_attempt(opened))
        if opened.throttle is None:
            self._put(write, self._patience_s())
            return
        try:
            self._put(write, PATIENCE_S, self._may_go_on)
        except StoreSlowError:
            self._guesses[opened.attempt] = write, opened
            self._refused = None if self._may_go_on() else opened.attempt
            raise

    def close_attempt(self, closed: Closed) -> None:
        """Have recorded how an attempt ended; once a write is late, this is not waited for."""
        write = _Write(lambda: self._inner.close_attempt(closed))
        if closed.right is not False:
            self._guesses.pop(closed.attempt, None)
        self._put(write, self._patience_s())

    def must_wait(self, row_key: bytes | None) -> bool:
        """Tell whether a card may not be guessed at now: a guess at it is not on the disk.

        Waits for it as long as for an attempt.
        """
        self._forget_written()
        owed = [write for write, opened in self._guesses.values() if opened.row_key == row_key]
        return not all(write.over.wait(PATIENCE_S) for write in owed[-1:])

    def is_refused(self, attempt: int) -> bool:
        """Tell whether a guess may not be made, for its charge is late and the door must not go on.

        Of the attempt that was opened last.
        """
        return attempt == self._refused

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row, as they stand on the disk."""
        return self._read(
            lambda: self._reading.card_throttle(row_key),
            lambda: self._inner.card_throttle(row_key),
        )

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket, as it stands on the disk."""
        return self._read(self._reading.reader_throttle, self._inner.reader_throttle)

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card there are, on the disk or not yet."""
        self._forget_written()
        whose = Counter(opened.whose for _, opened in self._guesses.values())
        stored = self._read(
            lambda: self._reading.wrong_pins(row_key, patron_ref),
            lambda: self._inner.wrong_pins(row_key, patron_ref),
        )
        return stored + whose[row_key] + (whose[patron_ref] if patron_ref is not None else 0)

    def wrong_pins_by(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many of these were typed at that card, or it is not known at which."""
        self._forget_written()
        mine = {row_key} if patron_ref is None else {row_key, patron_ref}
        guesses = [opened for _, opened in self._guesses.values() if opened.row_key == row_key]
        stored = self._read(
            lambda: self._reading.wrong_pins_by(row_key, patron_ref),
            lambda: self._inner.wrong_pins_by(row_key, patron_ref),
        )
        return stored + sum(opened.whose in mine for opened in guesses)

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's, on the disk."""
        self._put(_Write(lambda: self._inner.reset_card(row_key, patron_ref)), PATIENCE_S)

    def last_attempt(self) -> int:
        """Return the highest attempt number on record."""
        return self._asked(self._inner.last_attempt)

    def _patience_s(self) -> float:
        """Return how long to wait for what keeps no guess: no longer where the disk is late."""
        return 0.0 if self._waiting else SETTLING_PATIENCE_S

    def _put(
        self, write: _Write, patience_s: float, may_go_on: Callable[[], bool] = lambda: True
    ) -> None:
        if len(self._waiting) >= MOST_KEPT:
            raise StoreError("so much waits for the disk that this is not put on record")
        with self._lock:
            self._number += 1
            number = self._number
            self._waiting[number] = write
        self._thread.submit(lambda: self._do(number, write))
        if not write.over.wait(patience_s):
            for _ in range(round((LONGEST_PATIENCE_S - patience_s) / STEP_S)):
                if may_go_on() or write.over.wait(STEP_S):
                    break
            with self._lock:
                write.is_late = not write.over.is_set()
        if write.is_late:
            raise StoreSlowError("the disk has not taken it yet")
        if write.error is not None:
            raise write.error

    def _do(self, number: int, write: _Write) -> None:
        try:
            self._disk.timed(write.do)
        except StoreError as err:
            write.error = err
        finally:
            with self._lock:
                del self._waiting[number]
                write.over.set()
        if write.is_late:
            self._late(write.error)

    def _read(self, read: Callable[[], ResultT], asked: Callable[[], ResultT]) -> ResultT:
        try:
            return read()
        except StoreError:
            # Its one writer makes a log that is missing, and says what is wrong with another.
            return self._asked(asked)

    def _asked(self, read: Callable[[], ResultT]) -> ResultT:
        found: list[ResultT] = []
        given_up = Event()

        def do() -> None:
            # A late answer would be taken for a count that goes on from it.
            if not given_up.is_set():
                found.append(read())

        write = _Write(do)
        try:
            self._put(write, PATIENCE_S)
        except StoreSlowError:
            given_up.set()
            raise
        return found[0]

    def _forget_written(self) -> None:
        self._guesses = {
            number: (write, opened)
            for number, (write, opened) in self._guesses.items()
            if not write.over.is_set()
        }
