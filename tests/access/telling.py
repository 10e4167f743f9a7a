"""Events that are told to an attempt one after the other, and what comes of them."""

from __future__ import annotations

from dataclasses import replace

from doorctl.access.attempt import Attempt, after
from doorctl.access.messages import Concluded, Effect, Event, Now, PadRules, Prepared, Rules
from doorctl.access.patron import Reason
from doorctl.access.policy import Policy
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.readings import CardRead, CardUnreadable, KeyPressed, Shape
from tests.access.samples import PATRON, ROW_KEY, STRETCHED, moment

CARD = CardRead((Identifier(IdentifierKind.CARD, "3000001234"),))
OTHER = CardRead((Identifier(IdentifierKind.CARD, "3000005678"),))
GARBAGE = CardUnreadable(Shape.GARBAGE)
RULES = Rules(Policy(), PadRules())
NO_PIN_RULES = Rules(Policy(require_pin=False), PadRules())
KNOWN = Prepared(1, STRETCHED, ROW_KEY, PATRON)
UNKNOWN = replace(KNOWN, patron=None)


def now(s: float, version: int | None = 1) -> Now:
    """Return a time at which the cache has a version."""
    return Now(s, moment(), version)


Told = tuple[Event, float] | tuple[Event, float, int | None]
"""An event, its time and the cache's version then, 1 where none is given."""


def play(*steps: Told, rules: Rules = RULES) -> tuple[Attempt, list[Effect]]:
    """Tell events; return the attempt at the end and all effects."""
    attempt, effects = Attempt(), list[Effect]()
    for event, at, *version in steps:
        attempt, more = after(attempt, event, now(at, *version), rules)
        effects.extend(more)
    return attempt, effects


def keys(digits: str, start_s: float = 1.0, version: int | None = 1) -> list[Told]:
    """Return key presses, a second apart."""
    return [(KeyPressed(key), start_s + at, version) for at, key in enumerate(digits)]


def ended(effects: list[Effect]) -> list[tuple[int, Reason]]:
    """Return what was concluded."""
    return [(it.attempt, it.reason) for it in effects if isinstance(it, Concluded)]
