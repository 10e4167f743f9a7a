"""The library system as the door sees it: somebody else asks it, and keeps what was learnt."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from doorctl.access.messages import LibraryAnswer, LibraryPatron, LibraryReply
from doorctl.access.patron import SealedRow
from doorctl.core.masked import Identifier, Pin
from doorctl.rpc.door import LibraryOverSocket
from tests.fakes.memory_store import MemoryPatrons


def registered(patron_ref: str = "1001", *, resident: bool = True) -> LibraryPatron:
    """Return somebody who registered a minute ago."""
    return LibraryPatron(
        patron_ref,
        resident=resident,
        active=True,
        birthday=date(1970, 1, 1),
        blocks=frozenset(),
        valid_until=None,
        hold_from=None,
        hold_until=None,
        tags=frozenset(),
    )


@dataclass
class FakeLibrary(LibraryOverSocket):
    """Knows patrons by number and PIN; `answer` overrides what it would say.

    Args:
        patrons: the cache that learnt rows are kept in; None where web is away.
        known: number -> PIN and patron.
        asked: numbers that were asked about, in order.
    """

    patrons: MemoryPatrons | None = None
    known: dict[str, tuple[str, LibraryPatron]] = field(default_factory=dict)
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
        right, patron = self.known.get(number, ("", None))
        answer = self.answer or _judged(pin, right)
        given = patron if row_wanted and answer is LibraryAnswer.YES else None
        return LibraryReply(answer, given)

    def keep(
        self, row: SealedRow, *, row_until: date | None, pin_until: date, learnt_on: date
    ) -> None:
        """Keep the row in the cache, if there is one."""
        self.kept.append(row)
        if self.patrons is not None:
            self.patrons.keep(row, row_until=row_until, pin_until=pin_until, learnt_on=learnt_on)


def _judged(pin: Pin, right: str) -> LibraryAnswer:
    return LibraryAnswer.YES if right and pin == Pin(right) else LibraryAnswer.NO
