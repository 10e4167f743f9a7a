"""What the commands tell of the hours, by a clock that is set and by one that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from doorctl.access.calendar import Calendar, Cause, DatedDay, Day, Mode, ModeSpan, StoredDay
from doorctl.access.day import Override
from doorctl.core.moments import ClockState, Moment
from doorctl.services.hours import Hours, refuse_day

ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = datetime(2026, 11, 25, 7, tzinfo=ZONE)
SHORT: Day = (ModeSpan(Mode.SELF_SERVICE, 8 * 60, 22 * 60), ModeSpan(Mode.STAFFED, 600, 960))
WEEK = (*(SHORT,) * 5, (), (ModeSpan(Mode.SELF_SERVICE, 8 * 60, 22 * 60),))


def hours(
    local: datetime = LOCAL,
    override: Override | None = None,
    state: ClockState = ClockState.TRUSTED,
) -> Hours:
    """Return the hours of a branch that is closed on Saturdays."""
    return Hours(Calendar(WEEK), override, Moment(local, local.astimezone(UTC), state))


def test_what_comes_next() -> None:
    """Before it opens it is closed until then, and the next change is when it opens."""
    opening = LOCAL.replace(hour=8)

    assert hours().standing.until == opening
    assert hours().next_change == (opening, Mode.SELF_SERVICE)
    assert hours().opens_next == opening


def test_open_now_is_now() -> None:
    """Staffed or self-service, whoever asks need not wait."""
    for hour in (8, 12, 21):
        at = LOCAL.replace(hour=hour)
        assert hours(at).opens_next == at


def test_a_mode_set_by_hand_is_reckoned_with() -> None:
    """A branch that staff have closed until tomorrow noon opens then, not in the morning."""
    noon = LOCAL.replace(hour=12) + timedelta(days=1)
    closed = Override(Mode.CLOSED, noon, "flood", "staff-7")

    assert hours(override=closed).opens_next == noon
    assert hours(override=closed).standing.cause is Cause.STAFF


def test_opening_late_on_the_last_day_that_is_looked_at() -> None:
    """14 days are real ones: clocks that go forward meanwhile hide no hour of them."""
    before_the_change = datetime(2027, 3, 20, 9, tzinfo=ZONE)
    opening = datetime(2027, 4, 3, 9, 30, tzinfo=ZONE)
    week: tuple[Day, ...] = ((),) * 7
    opens = DatedDay((ModeSpan(Mode.SELF_SERVICE, 9 * 60 + 30, 20 * 60),))
    calendar = Calendar(week, {opening.date(): opens})
    moment = hours(before_the_change).moment

    assert Hours(calendar, None, moment).opens_next == opening


def test_by_a_clock_that_is_not_set_nothing_is_foretold() -> None:
    """A wrong promise is worse than none."""
    unset = hours(state=ClockState.UNTRUSTED)

    assert unset.next_change is None
    assert unset.opens_next is None
    assert unset.standing.cause is Cause.CLOCK


def test_a_branch_without_hours_can_have_an_exception() -> None:
    """Open at all hours, but not on Christmas Eve."""
    always = replace(hours(), calendar=Calendar())

    refuse_day(always, StoredDay(LOCAL.date(), (ModeSpan(Mode.SELF_SERVICE, 600, 720),)))
