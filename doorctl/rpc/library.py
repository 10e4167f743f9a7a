"""The library system's answers on their way between the two processes, over web's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from threading import Lock

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import ROW_KEY_BYTES, SealedRow
from doorctl.access.ports import LibrarySystem
from doorctl.core.errors import DoorctlError, LibrarySystemError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import Clock, EventLog
from doorctl.rpc.control import Answers, Call, Nothing, Unshown
from doorctl.sync.rows import decode_row, encode

KEEP_LIMIT_S = 5.0
"""Longest wait for web to have kept a row; a push under way is waited for, up to this."""

SILENT = LibraryReply(LibraryAnswer.SILENT)


class _Card(Unshown, frozen=True):
    """A card in a question; in memory only."""

    key: bytes
    kind: IdentifierKind
    number: str
    pin: str
    row_wanted: bool


class _Kept(Unshown, frozen=True):
    """A sealed row to be kept, as it would stand in a push."""

    row: str
    row_until: date | None
    pin_until: date
    learnt_on: date


LIBRARY = Call("library", _Card, LibraryReply, "web")
KEEP = Call("keep", _Kept, Nothing, "web")


class LibraryOverSocket:
    """Ask the web process, which has a network; implements `Library`.

    Each answer is waited for `timeout_s` at the longest; `log` gets an alarm where a row could not
    be kept.
    """

    def __init__(self, path: Path, timeout_s: float, log: EventLog) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._log = log

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card; silent where web does not answer, or its answer can't be read."""
        number = identifier.reveal().partition(":")[2]
        about = _Card(card, identifier.kind, number, pin.reveal(), row_wanted)
        try:
            return LIBRARY.ask(self._path, about, timeout_s=self._timeout_s)
        except DoorctlError:
            return SILENT

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have web keep a row; where it can't, the next visit asks once more."""
        about = _Kept(encode(row).decode(), row_until, pin_until, learnt_on)
        try:
            KEEP.ask(self._path, about, timeout_s=KEEP_LIMIT_S)
        except DoorctlError as err:
            self._log.emit("alarm", kind="not_kept", why=str(err))


AskCard = Callable[[bytes, Identifier, Pin, bool], LibraryReply]
KeepRow = Callable[[SealedRow, date | None, date, date], None]


def library_answers(ask_card: AskCard, keep_row: KeepRow) -> Answers:
    """Return the web process's answers to the door's questions ``library`` and ``keep``.

    Args:
        ask_card: gets row key, number, PIN and whether the row is wanted.
        keep_row: gets a sealed row, its last day if no push has brought it, its PIN's last day, and
            the day on which it was learnt. May raise `DoorctlError`.
    """

    def answer_card(card: _Card) -> LibraryReply:
        if len(card.key) != ROW_KEY_BYTES:
            raise StoreError("that is no row key")
        identifier = Identifier(card.kind, card.number)
        return ask_card(card.key, identifier, Pin(card.pin), card.row_wanted)

    def answer_keep(kept: _Kept) -> Nothing:
        keep_row(_sealed(kept.row), kept.row_until, kept.pin_until, kept.learnt_on)
        return Nothing()

    return {**LIBRARY.answered(answer_card), **KEEP.answered(answer_keep)}


def _sealed(line: str) -> SealedRow:
    try:
        return decode_row(line.encode())
    except ValueError as err:
        raise StoreError(f"that row can't be kept: {err}") from None


# Asks the library system about a card that the cache can't judge: once, and not twice.

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
        self._log = log
        self._pause_s = pause_s
        self._guard = Lock()
        self._asking: set[bytes] = set()
        # Until when each card rests; as all rest equally long, the first is the first to go.
        self._resting: dict[bytes, float] = {}
        self._failing = False

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about one card and PIN, within the library system's own time limit.

        Errors of the library system are not raised. The card rests under its row key, `card`;
        `row_wanted` asks for the patron's row too.

        Returns:
            The library system's answer; at once ``WAITS`` for a card that rests or is being asked
            about, and ``SILENT`` where too many are.
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
            return SILENT
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
                return SILENT
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
            if why is not None and not self._failing:
                self._log.emit("alarm", kind="library_silent", why=why)
            elif why is None and self._failing:
                self._log.emit("alarm", kind="library_answers")
            self._failing = why is not None
