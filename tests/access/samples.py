"""Invented patrons and moments that the tests of this room share."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from doorctl.access.patron import Patron, Reason, pin_check
from doorctl.access.policy import Case, Policy, decide
from doorctl.core.masked import Pin, StretchedKey
from doorctl.core.moments import ClockState, Moment

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 3, 12, 19, 0, tzinfo=COPENHAGEN)
"""A Thursday evening."""

HIGH_WATER = (NOW - timedelta(days=10)).astimezone(UTC)
"""What an unset clock is known to be past, ten days before the real time."""

STRETCHED = StretchedKey(bytes(range(32)))
RIGHT_PIN = Pin("4711")
WRONG_PIN = Pin("4712")
ROW_KEY = bytes(16)

PATRON = Patron("1001", pin_check(STRETCHED, RIGHT_PIN), resident=True)
"""Whom nothing keeps out."""

UNJUDGED = frozenset({Reason.PIN_TIMEOUT, Reason.FAULT, Reason.CARD_UNREADABLE})
"""Ends of an attempt whose PIN was never compared, so that no guess was spent."""


def moment(state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return `NOW` as each quality of clock tells it; an unset one is off by years."""
    if state is ClockState.UNTRUSTED:
        return Moment(NOW.replace(year=2030), HIGH_WATER, state)
    return Moment(NOW, NOW.astimezone(UTC), state)


def day(offset: int) -> date:
    """Return the day so many days from today."""
    return NOW.date() + timedelta(days=offset)


# The decision's reason alone, for tests that ask for no more.


def reason_of(policy: Policy, case: Case) -> Reason:
    """Return how a case ends."""
    return decide(policy, case).reason
