"""The library system as the door sees it: somebody else asks it, and keeps what was learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, Pin
from doorctl.rpc.library import LibraryOverSocket
from tests.fakes.memory_store import MemoryPatrons


def registered(
    patron_ref: str = "1001", birthday: date | None = date(1970, 1, 1), **more: Any
) -> LibraryReply:
    """Return what the library system says of a resident who registered a minute ago."""
    row = Patron(patron_ref, **{"resident": True, **more})
    return LibraryReply(LibraryAnswer.YES, row, birthday)


@dataclass
class FakeLibrary(LibraryOverSocket):
    """Knows patrons by number and PIN; `answer` overrides what it would say.

    Args:
        patrons: the cache that learnt rows are kept in; None where web is away.
        known: number -> PIN and what is said of the patron.
        asked: numbers that were asked about, in order.
    """

    patrons: MemoryPatrons | None = None
    known: dict[str, tuple[str, LibraryReply]] = field(default_factory=dict)
    answer: LibraryAnswer | None = None
    asked: list[str] = field(default_factory=list)
    kept: list[SealedRow] = field(default_factory=list)

    def ask(
        self, card: bytes, identifier: Identifier, pin: Pin, *, row_wanted: bool
    ) -> LibraryReply:
        """Answer at once."""
        assert card
        number = identifier.reveal().partition(":")[2]
        self.asked.append(number)
        right, reply = self.known.get(number, ("", LibraryReply(LibraryAnswer.NO)))
        answer = self.answer or _judged(pin, right)
        return reply if row_wanted and answer is LibraryAnswer.YES else LibraryReply(answer)

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Keep the row in the cache, if there is one."""
        self.kept.append(row)
        if self.patrons is not None:
            self.patrons.keep(row, row_until=row_until, pin_until=pin_until, learnt_on=learnt_on)


def _judged(pin: Pin, right: str) -> LibraryAnswer:
    return LibraryAnswer.YES if right and pin == Pin(right) else LibraryAnswer.NO


@dataclass
class FakeLibrarySystem:
    """Knows PINs and rows by identifier; implements `LibrarySystem`.

    Args:
        pins: the right PIN of each.
        rows: what it says of each; a resident without a birthday where nothing stands.
        locked: whom it has locked out.
        failure: raised instead of an answer.
        meanwhile: called while it is being asked.
        asked: each question.
    """

    pins: dict[Identifier, Pin] = field(default_factory=dict)
    rows: dict[Identifier, LibraryReply] = field(default_factory=dict)
    locked: set[Identifier] = field(default_factory=set)
    failure: LibrarySystemError | None = None
    meanwhile: Callable[[], None] | None = None
    asked: list[Identifier] = field(default_factory=list)

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Answer from the dicts."""
        if not pin.reveal():
            return LibraryReply(LibraryAnswer.NO)
        self.asked.append(identifier)
        if self.meanwhile is not None:
            self.meanwhile()
        if self.failure is not None:
            raise self.failure
        if identifier in self.locked:
            return LibraryReply(LibraryAnswer.WAITS)
        if self.pins.get(identifier) != pin:
            return LibraryReply(LibraryAnswer.NO)
        reply = self.rows.get(identifier) or registered(f"fake-{len(self.asked)}", None)
        return reply if row_wanted else LibraryReply(LibraryAnswer.YES)
