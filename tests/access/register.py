"""Two cards, what a push can bring of them, and what a worker is asked about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from doorctl.access.messages import Prepared
from doorctl.access.patron import Patron, pin_check
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from tests.access.samples import PATRON, day

CARDS = (
    Identifier(IdentifierKind.CARD, "3000001234"),
    Identifier(IdentifierKind.CARD, "3000001235"),
)
KEYS = {card: StretchedKey(bytes([at]) * 32) for at, card in enumerate(CARDS)}
PINS = ("12", "21")

LEARNT_UNTIL = {"pushed": None, "learnt": day(0), "outdated": day(-1)}
SORTS = (*LEARNT_UNTIL, "none")
"""What a row can have of a PIN."""


def row(card: Identifier, pin: str, *, blocked: bool, sort: str = "pushed") -> Patron:
    """Return a card's row with a PIN, or of the sort that has none."""
    blocks = frozenset("O") if blocked else frozenset[str]()
    patron = replace(PATRON, pin_check=None, blocks=blocks)
    if sort == "none":
        return patron
    check = pin_check(KEYS[card], Pin(pin))
    return replace(patron, pin_check=check, pin_until=LEARNT_UNTIL[sort])


@dataclass
class Job:
    """A question to the worker, and what it has found so far."""

    attempt: int
    card: Identifier
    delay_s: float
    throttled: bool = False
    lent: Patron | None = None
    proved: bool = False
    found: Prepared | None = None
