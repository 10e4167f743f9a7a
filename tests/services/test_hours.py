"""What the commands tell of the hours by a clock that is not set, and dates in an open house."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from doorctl.access.calendar import Calendar, Cause, Mode, ModeSpan, StoredDay
from doorctl.core.moments import ClockState, Moment
from doorctl.services.hours import Hours, refuse_day

LOCAL = datetime(2026, 11, 25, 7, tzinfo=ZoneInfo("Europe/Copenhagen"))
UNSET = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.UNTRUSTED)
SPAN = (ModeSpan(Mode.SELF_SERVICE, 480, 1320),)


def test_by_a_clock_that_is_not_set_nothing_is_foretold() -> None:
    """A wrong promise is worse than none."""
    unset = Hours(Calendar((SPAN,) * 7), None, UNSET)

    assert (unset.next_change, unset.opens_next) == (None, None)
    assert unset.standing.cause is Cause.CLOCK


def test_a_branch_without_hours_can_have_an_exception() -> None:
    """Open at all hours, but not on Christmas Eve."""
    refuse_day(Hours(Calendar(), None, UNSET), StoredDay(LOCAL.date(), SPAN))
