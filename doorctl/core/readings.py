"""What the reader and the keypad can say: the words that `cards` speaks and `access` hears."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from doorctl.core.masked import Identifier


class Shape(Enum):
    """In what way a frame was unreadable: all that is ever counted or logged of it."""

    GARBAGE = "garbage"
    TOO_LONG = "too_long"
    CUT_OFF = "cut_off"
    ONLY_TRACK_1 = "only_track_1"
    BAD_DATE = "bad_date"


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card was read.

    Args:
        identifiers: 1 to 3 readings of it, best first: ten bare digits are first an exact
            plastic-card number, then a CPR number.
    """

    identifiers: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class CardUnreadable:
    """Bytes came that are no card."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """One key of the PIN pad: ``0``-``9``, ``#`` (enter) or ``*`` (clear)."""

    key: str = field(repr=False)


Reading = CardRead | CardUnreadable | KeyPressed
