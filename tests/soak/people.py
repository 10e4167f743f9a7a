"""Who comes to the door of a soaked branch, and the rows that a push brings of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from random import Random

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.store.keys import ArgonSealer

ENTITLED = 30
FIRST_CARD = 3_000_001_300
PIN = "4729"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who comes again and again.

    `card`: its number, invented; `patron`: what the register says otherwise than of anybody.
    """

    card: str
    reason: str
    patron: Patron

    @property
    def swipe(self) -> bytes:
        """What the reader sends."""
        return f"{self.card}\r".encode()


def visitors() -> list[Visitor]:
    """Return everybody: most are let in, the others prove their PIN and are refused."""
    patrons = [("ok", Patron("", resident=True))] * ENTITLED
    patrons += [
        ("not_resident", Patron("", resident=False)),
        ("blocked", Patron("", resident=True, blocks=frozenset("O"))),
        ("expired", Patron("", resident=True, valid_until=date(2020, 1, 1))),
        ("ok", Patron("", resident=True, blocks=frozenset("E"))),
    ]
    return [
        Visitor(str(FIRST_CARD + number), reason, patron)
        for number, (reason, patron) in enumerate(patrons)
    ]


def sealed(people: Sequence[Visitor], sealer: ArgonSealer) -> Iterator[SealedRow]:
    """Yield the rows that a push brings of them."""
    for number, visitor in enumerate(people):
        stretched = sealer.stretch(Identifier(IdentifierKind.CARD, visitor.card))
        check = pin_check(stretched, Pin(PIN))
        patron = replace(visitor.patron, patron_ref=f"soak-{number}", pin_check=check)
        yield SealedRow(row_key(stretched), patron)


def order(people: Sequence[Visitor], random: Random) -> Iterator[Visitor]:
    """Yield who comes next, for ever."""
    while True:
        yield from random.sample(list(people), len(people))
