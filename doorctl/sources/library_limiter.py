"""Asks the library system about a card that the cache can't judge: once, and not twice."""

from __future__ import annotations

from threading import Lock

from doorctl.access.messages import SILENT_REPLY, LibraryAnswer, LibraryReply, LibrarySystem
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, Pin
from doorctl.core.ports import AlarmOnce, Clock, EventLog

AT_A_TIME = 2
"""Questions at the library system; one door has one reader, and a second swipe may follow."""

MOST_CARDS = 10_000
"""Cards that rest at a time: 1 MB, and more than all patrons of a night can mistype."""

WAITS = LibraryReply(LibraryAnswer.WAITS)


class LibraryLimiter:
    """Spares the library system, and each patron's attempts there. Thread-safe.

    After a no, or an error that may have been one, the card rests for `pause_s` seconds, so that
    two attempts of the patron are never spent in a row. A card is asked about once at a time.

    `log` hears ``library_silent`` when it stops answering and ``library_answers`` when it is back,
    once each.
    """

    def __init__(
        self, system: LibrarySystem, clock: Clock, log: EventLog, *, pause_s: float
    ) -> None:
        self._system = system
        self._clock = clock
        self._pause_s = pause_s
        self._guard = Lock()
        self._asking: set[bytes] = set()
        # Until when each card rests; as all rest equally long, the first is the first to go.
        self._resting: dict[bytes, float] = {}
        self._silent = AlarmOnce(log, "library_silent")

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about one card and PIN, within the library system's own time limit.

        Errors of the library system are not raised. The card rests under its row key, `card`;
        `row_wanted` asks for the patron's row too.

        Returns:
            The library system's answer; at once ``WAITS`` for a card that rests or is being asked
            about, and `SILENT_REPLY` where too many are.
        """
        refusal = self._begin(card)
        if refusal is not None:
            return refusal
        spent = True
        try:
            reply = self._system.ask(identifier, pin, row_wanted=row_wanted)
            spent = reply.answer is not LibraryAnswer.YES
        except LibrarySystemError as error:
            spent = error.spent
            self._hear(str(error))
            return SILENT_REPLY
        finally:
            self._end(card, spent=spent)
        self._hear(None)
        return reply

    def _begin(self, card: bytes) -> LibraryReply | None:
        with self._guard:
            self._wake(self._clock.monotonic_s())
            if card in self._resting or card in self._asking:
                return WAITS
            # Forgetting the oldest would let a flood of wrong PINs buy a card its next guess.
            if len(self._asking) >= AT_A_TIME or len(self._resting) >= MOST_CARDS:
                return SILENT_REPLY
            self._asking.add(card)
            return None

    def _end(self, card: bytes, *, spent: bool) -> None:
        with self._guard:
            self._asking.discard(card)
            if spent:
                self._resting[card] = self._clock.monotonic_s() + self._pause_s

    def _wake(self, now_s: float) -> None:
        while self._resting:
            first = next(iter(self._resting))
            if self._resting[first] > now_s:
                return
            del self._resting[first]

    def _hear(self, why: str | None) -> None:
        """Log once that it fails, and once that it answers again."""
        with self._guard:
            self._silent.tell(why)
