"""What a SIP2 answer means to the door: a table of what BL and CQ say, then the row."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from doorctl.access.messages import LibraryAnswer
from doorctl.ports import LibraryPatron
from doorctl.sources.sip2_frames import Information

LOST_CARD, FINES, FEES = 5, 11, 12
BLOCKS: Mapping[int, str] = MappingProxyType({LOST_CARD: "O", FINES: "E", FEES: "E"})
"""Places of the patron status that mean one of FBS's own block codes."""

DENIED = "S"

BIRTHDAYS = (b"PB", b"BC", b"PD")
"""Dialects of servers, PD is Horizon's; the protocol itself has no birthday."""

EXPIRIES = (b"PA", b"PX", b"PE")
"""PX is Polaris', which means something else by PA; PE is some Symphony's, elsewhere a branch."""

PATRON_CLASS = b"PC"

_DATE = re.compile(rb"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?:[ A-Z]{4}[0-9]{6})?")
"""A day, by some servers with the protocol's time of day."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a library means by its own codes.

    Args:
        resident_classes: the patron classes whose patrons live in the municipality.
        deny_flags: places, from 1, of the patron status that count as block S.
    """

    resident_classes: frozenset[str] = frozenset()
    deny_flags: frozenset[int] = frozenset()


def meaning(information: Information) -> LibraryAnswer | None:
    """Return what it says of the PIN; None where it leaves open whether the card is valid.

    A blank or missing CQ is a no: servers answer so about cards that they don't know.
    """
    if information.first(b"CQ") != b"Y":
        return LibraryAnswer.NO
    return LibraryAnswer.YES if information.first(b"BL") in {b"Y", b"N"} else None


def read_patron(information: Information, dialect: Dialect) -> LibraryPatron:
    """Return the row of an answer whose meaning is yes.

    SIP2 has no patron's number but the card's, so the reference is a random one of this answer.
    A card that is not valid (BL N, as for an expired one) is not active, and opens no door.
    """
    patron_class = information.first(PATRON_CLASS)
    return LibraryPatron(
        patron_ref=f"sip2-{secrets.token_hex(16)}",
        resident=patron_class in {one.encode() for one in dialect.resident_classes},
        active=information.first(b"BL") == b"Y",
        birthday=_birthday(information),
        blocks=_blocks(information.flags, dialect.deny_flags),
        valid_until=min(_days(information, EXPIRIES), default=None),
        hold_from=None,
        hold_until=None,
        tags=frozenset(),
    )


def _blocks(flags: frozenset[int], denied: frozenset[int]) -> frozenset[str]:
    known = {BLOCKS[flag] for flag in flags & BLOCKS.keys()}
    return frozenset(known | {DENIED} if flags & denied else known)


def _birthday(information: Information) -> date | None:
    """Return the one day that all dialects name, None where they name none or several."""
    days = _days(information, BIRTHDAYS)
    return days.pop() if len(days) == 1 else None


def _days(information: Information, names: tuple[bytes, ...]) -> set[date]:
    return {day for name in names if (day := _day(information.first(name))) is not None}


def _day(written: bytes | None) -> date | None:
    match = _DATE.fullmatch(written or b"")
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
