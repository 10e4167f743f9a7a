"""The library system's answers on their way between the two processes, over web's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from doorctl.access.messages import SILENT_REPLY, LibraryReply
from doorctl.access.patron import ROW_KEY_BYTES, SealedRow
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import EventLog, Unshown
from doorctl.rpc.question import Answers, Empty, Question
from doorctl.sync.wire import decode_row, encode

LIMIT_S = 5.0
"""Longest wait for web to have kept a row; a push under way is waited for, up to this. For the
library system's word the door says its own."""


class CardAndPin(Unshown, frozen=True):
    """A card in a question; in memory only."""

    key: bytes
    kind: IdentifierKind
    number: str
    pin: Pin
    row_wanted: bool


class LearntRow(Unshown, frozen=True):
    """A sealed row to be kept, as it would stand in a push."""

    row: str
    row_until: date | None
    pin_until: date
    learnt_on: date


LIBRARY = Question("library", CardAndPin, LibraryReply, "web", LIMIT_S)
KEEP = Question("keep", LearntRow, Empty, "web", LIMIT_S)


class LibraryOverSocket:
    """Ask the web process, which has a network, for the library system's word. One thread.

    It never raises, for a failure behind it does not concern the door. Each answer is waited for
    `timeout_s` at the longest; `log` gets an alarm where a row could not be kept.
    """

    def __init__(self, path: Path, timeout_s: float, log: EventLog) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._log = log

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Ask about a card, by row key and number; silent where no answer comes or can be read."""
        number = identifier.reveal().partition(":")[2]
        about = CardAndPin(card, identifier.kind, number, pin, row_wanted)
        try:
            return LIBRARY.ask(self._path, about, timeout_s=self._timeout_s)
        except DoorctlError:
            return SILENT_REPLY

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Have web keep a row; where it can't, the next visit asks anew."""
        about = LearntRow(encode(row).decode(), row_until, pin_until, learnt_on)
        try:
            KEEP.ask(self._path, about)
        except DoorctlError as err:
            self._log.emit("alarm", kind="not_kept", why=str(err))


def library_answers(ask: Callable[..., LibraryReply], keep: Callable[..., None]) -> Answers:
    """Return the web process's answers to the door's questions ``library`` and ``keep``.

    They are called as `LibraryLimiter.ask` and `PatronCacheWriter.keep`, which may raise
    DoorctlError.
    """

    def answer_card(card: CardAndPin) -> LibraryReply:
        if len(card.key) != ROW_KEY_BYTES:
            raise StoreError("that is no row key")
        identifier = Identifier(card.kind, card.number)
        return ask(card.key, identifier, card.pin, row_wanted=card.row_wanted)

    def answer_keep(kept: LearntRow) -> Empty:
        days = {"row_until": kept.row_until, "pin_until": kept.pin_until}
        keep(_sealed(kept.row), **days, learnt_on=kept.learnt_on)
        return Empty()

    return {**LIBRARY.answered(answer_card), **KEEP.answered(answer_keep)}


def _sealed(line: str) -> SealedRow:
    try:
        return decode_row(line.encode())
    except ValueError as err:
        raise StoreError(f"that row can't be kept: {err}") from None
