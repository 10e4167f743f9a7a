"""What passes are called, in English, and which of them open anything now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import Enum
from types import MappingProxyType

from doorctl.access.hours import DAY_MINUTES, Span
from doorctl.access.rights import Pass, PassKind
from doorctl.ports import PassEntry
from doorctl.web.pages.words import Words
from doorctl.web.times_of_day import hours_of_day

KINDS: Mapping[PassKind, str] = MappingProxyType(
    {
        PassKind.ASSOCIATION: "Association",
        PassKind.CLASS: "School class",
        PassKind.CLEANER: "Cleaning",
        PassKind.TECHNICIAN: "Technician",
        PassKind.STAFF: "Staff: opens while it is closed too",
        PassKind.EMERGENCY: "Emergency: always opens",
    }
)
"""In the order in which they are offered."""


class PassState(Enum):
    """What a pass does now."""

    VALID = "valid"
    AHEAD = "ahead"
    OVER = "over"
    REVOKED = "revoked"


STATES: Mapping[PassState, str] = MappingProxyType(
    {
        PassState.VALID: "Valid",
        PassState.AHEAD: "Not yet",
        PassState.OVER: "Over",
        PassState.REVOKED: "Revoked",
    }
)


def state(one: PassEntry, today: date) -> PassState:
    """Return what a pass does on a local day."""
    if one.revoked_at is not None:
        return PassState.REVOKED
    if one.held.last_day < today:
        return PassState.OVER
    return PassState.AHEAD if one.held.first_day > today else PassState.VALID


def hours(words: Words, held: Pass) -> str:
    """Return from when until when, such as "17.00-21.00", for people; empty for all day."""
    if held.times == (Span(0, DAY_MINUTES),):
        return ""
    return ", ".join(hours_of_day(words, span.opens, span.closes) for span in held.times)
