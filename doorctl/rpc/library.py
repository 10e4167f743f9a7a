"""The library system's answers on their way between the two processes, over web's Unix socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import ROW_KEY_BYTES, SealedRow
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.core.ports import EventLog
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
