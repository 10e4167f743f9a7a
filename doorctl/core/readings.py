"""What card reader and keypad have read: `cards` produces it, `access` consumes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from doorctl.core.masked import Identifier


class Shape(Enum):
    """How a frame was unreadable; nothing else of it is ever counted or logged."""

    GARBAGE = "garbage"
    TOO_LONG = "too_long"
    CUT_OFF = "cut_off"
    ONLY_TRACK_1 = "only_track_1"
    BAD_DATE = "bad_date"


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card was read; `identifiers` are its 1 to 3 meanings, best first.

    Ten bare digits are first an exact plastic-card number, then a CPR number.
    """

    identifiers: tuple[Identifier, ...]

    def may_be(self, other: CardRead) -> bool:
        """Tell whether both may be one card, in whatever form: they have a meaning in common."""
        return not set(self.identifiers).isdisjoint(other.identifiers)


@dataclass(frozen=True, slots=True)
class CardUnreadable:
    """Bytes came that are no card."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """One key of the PIN pad: ``0``-``9``, ``#`` (enter) or ``*`` (clear)."""

    key: str = field(repr=False)


Reading = CardRead | CardUnreadable | KeyPressed
