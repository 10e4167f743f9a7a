from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import (
    ALL_DAY,
    Calendar,
    Cause,
    DatedDay,
    Day,
    Mode,
    ModeSpan,
    StoredWeek,
)
from doorctl.access.calendar import OPEN as OPENS
from doorctl.access.wall_time import clock_change
from tests.access.calendars import (
    CLOSED,
    ODD_ZONES,
    OPEN,
    SPECIAL_DAYS,
    STAFFED,
    at,
    calendars,
    days,
    every_day,
    minutes_of,
    oracle,
    times,
)

LIBRARY = every_day(ModeSpan(OPEN, 7 * 60, 22 * 60), ModeSpan(STAFFED, 10 * 60, 18 * 60))
"""Self-service from 7 to 22, somebody at the desk from 10 to 18."""

NIGHT = Calendar(((), (), (), (), (), (ModeSpan(OPEN, 20 * 60, 26 * 60),), ()))
"""Saturdays from 20 until 2 on Sunday, which is when clocks are changed."""

CHRISTMAS = date(2026, 12, 24)
CLOSED_ON_CHRISTMAS = {CHRISTMAS: DatedDay((), note="Juleaften")}


@pytest.mark.parametrize(
    ("clock", "mode"),
    [
        ("06:59:59.999999", CLOSED),
        ("07:00:00", OPEN),
        ("09:59:59.999999", OPEN),
        ("10:00:00", STAFFED),
        ("17:59:59.999999", STAFFED),
        ("18:00:00", OPEN),
        ("21:59:59.999999", OPEN),
        ("22:00:00", CLOSED),
        ("22:00:00.000001", CLOSED),
    ],
)
def test_spans_are_half_open_and_staffed_wins(clock: str, mode: Mode) -> None:
    """A start belongs to its span and an end does not, to the microsecond; staff go first."""
    assert LIBRARY.mode_at(at(f"2026-03-12T{clock}")) is mode


SPANS = {
    "evening": ModeSpan(OPEN, 19 * 60, 22 * 60),
    "over the change": ModeSpan(OPEN, 90, 150),
    "the changed hour": ModeSpan(STAFFED, 120, 180),
    "over midnight": ModeSpan(OPEN, 22 * 60, 26 * 60 + 30),
    "a whole day from noon": ModeSpan(OPEN, 720, 720 + 1440),
    "all day": ModeSpan(OPEN, 0, 1440),
}


@pytest.mark.parametrize("day", SPECIAL_DAYS, ids=str)
@pytest.mark.parametrize("name", SPANS)
def test_every_minute_of_a_special_day(day: date, name: str) -> None:
    """Each real minute of the days on which clocks or years change is what the wall says."""
    calendar = every_day(SPANS[name])
    minutes = list(minutes_of(day))

    assert len(minutes) in {1380, 1440, 1500}
    assert [calendar.mode_at(one) for one in minutes] == [oracle(calendar, one) for one in minutes]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 29), (180, 30, 0, 240, 1380, 1380)),
        (date(2026, 10, 25), (180, 90, 120, 300, 1500, 1500)),
        (date(2028, 2, 29), (180, 60, 60, 270, 1440, 1440)),
        (date(2026, 12, 31), (180, 60, 60, 270, 1440, 1440)),
    ],
    ids=str,
)
def test_open_minutes_of_a_special_day(day: date, expected: tuple[int, ...]) -> None:
    """An hour that comes twice is open twice, one that is left out never: counted by hand."""
    counted = tuple(
        sum(every_day(one).mode_at(minute) is not CLOSED for minute in minutes_of(day))
        for one in SPANS.values()
    )

    assert counted == expected


def test_an_exception_is_the_whole_local_date() -> None:
    """It replaces the week's spans and the tail of the day before, and ends at midnight."""
    week = every_day(ModeSpan(OPEN, 20 * 60, 26 * 60)).week
    calendar = Calendar(week, CLOSED_ON_CHRISTMAS)

    assert calendar.mode_at(at("2026-12-23T23:59:59.999999")) is OPEN
    assert calendar.mode_at(at("2026-12-24T00:00")) is CLOSED
    assert calendar.mode_at(at("2026-12-24T21:00")) is CLOSED
    assert calendar.mode_at(at("2026-12-25T01:00")) is CLOSED
    assert calendar.mode_at(at("2026-12-25T20:00")) is OPEN


def test_an_exception_over_midnight_runs_into_the_next_day() -> None:
    """A night that is open on a date ends the next morning, unless that date is dated too."""
    night = {CHRISTMAS: DatedDay((ModeSpan(STAFFED, 23 * 60, 25 * 60),))}
    closed_after = {**night, date(2026, 12, 25): DatedDay(())}

    assert Calendar(LIBRARY.week, night).mode_at(at("2026-12-25T00:59")) is STAFFED
    assert Calendar(LIBRARY.week, closed_after).mode_at(at("2026-12-25T00:59")) is CLOSED


def test_without_a_week_it_is_always_self_service() -> None:
    """No week is self-service at all hours, but on dates with hours of their own."""
    assert Calendar().always_open
    assert Calendar().mode_at(at("2026-03-12T03:00")) is OPEN
    assert Calendar().next_change(at("2026-03-12T03:00")) is None
    assert Calendar().day(CHRISTMAS) == ALL_DAY

    dated = Calendar(None, CLOSED_ON_CHRISTMAS)

    assert not dated.always_open
    assert dated.mode_at(at("2026-12-24T12:00")) is CLOSED


def test_beyond_what_is_known_there_is_no_mode() -> None:
    """After the last known date nothing is said, which is not the same as closed."""
    calendar = Calendar(LIBRARY.week, known_until=date(2026, 3, 12))

    assert not Calendar(known_until=CHRISTMAS).always_open
    assert calendar.mode_at(at("2026-03-12T23:59:59.999999")) is CLOSED
    assert calendar.mode_at(at("2026-03-13T00:00")) is None
    assert calendar.next_change(at("2026-03-12T22:30")) == (at("2026-03-13T00:00"), None)
    assert calendar.day(date(2026, 3, 13)) is None


def test_the_cause_of_a_dates_hours() -> None:
    """It is the schedule, what the dated day says, or that nobody knows."""
    holiday = {CHRISTMAS: DatedDay((), Cause.HOLIDAY)}
    calendar = Calendar(LIBRARY.week, holiday, known_until=date(2026, 12, 25))

    assert calendar.cause_on(date(2026, 12, 23)) is Cause.SCHEDULE
    assert calendar.cause_on(CHRISTMAS) is Cause.HOLIDAY
    assert calendar.cause_on(date(2026, 12, 26)) is Cause.UNKNOWN_CALENDAR
    assert Calendar(None, CLOSED_ON_CHRISTMAS).cause_on(CHRISTMAS) is Cause.EXCEPTION


def test_a_day_is_told_in_spans_that_lie_apart() -> None:
    """For people, staffed hours cut self-service in two, and a tail belongs to its morning."""
    assert LIBRARY.day(CHRISTMAS) == (
        ModeSpan(OPEN, 420, 600),
        ModeSpan(STAFFED, 600, 1080),
        ModeSpan(OPEN, 1080, 1320),
    )
    assert NIGHT.day(date(2026, 3, 28)) == (ModeSpan(OPEN, 1200, 1440),)
    assert NIGHT.day(date(2026, 3, 29)) == (ModeSpan(OPEN, 0, 120),)
    assert NIGHT.day(date(2026, 3, 30)) == ()


def test_a_span_that_goes_on_beneath_staffed_hours_is_told_of_the_next_day() -> None:
    """Staff go home at midnight and it stays open for an hour: no span of no length is told."""
    calendar = every_day(ModeSpan(STAFFED, 1080, 1440), ModeSpan(OPEN, 1080, 1500))

    assert calendar.day(CHRISTMAS) == (ModeSpan(OPEN, 0, 60), ModeSpan(STAFFED, 1080, 1440))


def test_spans_that_touch_are_one() -> None:
    """What two spans say without a break between is told as one, and is no change."""
    calendar = every_day(ModeSpan(OPEN, 480, 720), ModeSpan(OPEN, 720, 1200))

    assert calendar.day(CHRISTMAS) == (ModeSpan(OPEN, 480, 1200),)
    assert calendar.next_change(at("2026-12-24T09:00")) == (at("2026-12-24T20:00"), CLOSED)


@pytest.mark.parametrize(
    ("now", "change", "mode"),
    [
        ("2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", CLOSED),
        ("2026-10-25T01:30+02:00", "2026-10-25T02:00+02:00", CLOSED),
    ],
)
def test_a_change_at_the_hour_that_is_changed(now: str, change: str, mode: Mode) -> None:
    """A span that ends at 2 ends when 2 comes first: in spring the clock then shows 3."""
    found = NIGHT.next_change(at(now[:16]))

    assert found is not None
    assert (found[0].isoformat()[:16] + found[0].isoformat()[-6:], found[1]) == (change, mode)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(
            ModeSpan(OPEN, 150, 165),
            [
                ("02:30:00+02:00", OPEN),
                ("02:45:00+02:00", CLOSED),
                ("02:30:00+01:00", OPEN),
                ("02:45:00+01:00", CLOSED),
            ],
            id="an hour that comes twice opens and closes twice",
        ),
        pytest.param(
            ModeSpan(OPEN, 60, 150),
            [("02:30:00+02:00", CLOSED), ("02:00:00+01:00", OPEN), ("02:30:00+01:00", CLOSED)],
            id="the clocks themselves open it once more",
        ),
    ],
)
def test_when_the_clocks_go_back(span: ModeSpan, expected: list[tuple[str, Mode]]) -> None:
    """Each pass of the hour is judged by what the wall shows."""
    changes = every_day(span).changes(at("2026-10-25T01:00"), at("2026-10-25T12:00"))

    assert [(found.isoformat()[11:], mode) for found, mode in changes] == expected


def test_a_change_is_looked_for_14_days_ahead() -> None:
    """A change at the end of 14 days is told, one a minute later is not."""
    closed = ((),) * 7
    opens = {date(2026, 3, 26): DatedDay((ModeSpan(OPEN, 720, 780),))}
    calendar = Calendar(closed, opens)

    assert calendar.next_change(at("2026-03-12T12:00")) == (at("2026-03-26T12:00"), OPEN)
    assert calendar.next_change(at("2026-03-12T11:59")) is None


@pytest.mark.parametrize(
    ("mode", "starts", "ends"),
    [
        (Mode.CLOSED, 0, 60),
        (Mode.LOCKDOWN, 0, 60),
        (OPEN, -1, 60),
        (OPEN, 1440, 1500),
        (OPEN, 60, 60),
        (OPEN, 60, 59),
        (OPEN, 60, 1501),
    ],
)
def test_what_is_no_span_is_refused(mode: Mode, starts: int, ends: int) -> None:
    """A span opens, begins within its day and lasts from a minute to a day."""
    with pytest.raises(ValueError, match="no span"):
        ModeSpan(mode, starts, ends)


@pytest.mark.parametrize("count", [6, 8])
def test_a_week_has_seven_days(count: int) -> None:
    """No more and no fewer."""
    assert len(StoredWeek(((),) * 7).days) == 7
    with pytest.raises(ValueError, match=f"^no week: {count} days$"):
        StoredWeek(((),) * count)


def test_a_calendar_never_changes() -> None:
    """Neither its fields nor the mapping that it was made of can change it."""
    given = dict(CLOSED_ON_CHRISTMAS)
    calendar = Calendar(None, given)
    given.clear()

    assert CHRISTMAS in calendar.days
    with pytest.raises(FrozenInstanceError):
        calendar.known_until = CHRISTMAS  # type: ignore[misc]
    with pytest.raises(TypeError):
        calendar.days[CHRISTMAS - timedelta(days=1)] = DatedDay(())  # type: ignore[index]


@pytest.mark.parametrize(
    ("zone", "day", "changed"),
    [
        ("Europe/Copenhagen", date(2026, 3, 29), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("Europe/Copenhagen", date(2026, 10, 25), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)),
        ("Australia/Lord_Howe", date(2026, 10, 4), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ],
)
def test_the_clocks_are_changed_at_an_instant_of_the_branchs_own_day(
    zone: str, day: date, changed: datetime
) -> None:
    """To the minute, by the branch's midnight and not by the machine's."""
    assert [*clock_change(day, ZoneInfo(zone))] == [changed]


@pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 3, 30), date(2026, 7, 1)])
def test_on_other_days_they_are_not(day: date) -> None:
    """Neither the day before nor the day after."""
    assert [*clock_change(day, ZoneInfo("Europe/Copenhagen"))] == []


TICK = timedelta(microseconds=1)


@given(calendars, times())
def test_the_mode_is_the_oracles(calendar: Calendar, local: datetime) -> None:
    """Whatever the calendar and the time, the mode is what naive stretches of time say."""
    assert calendar.mode_at(local) is oracle(calendar, local)


@given(calendars, days, st.integers(0, 1439))
def test_a_days_spans_are_its_modes(calendar: Calendar, day: datetime, minute: int) -> None:
    """What is told of a day to people is what is judged at each of its minutes."""
    told = calendar.day(day)
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=UTC)
    judged = calendar.mode_at(wall)

    if told is None:
        assert judged is None
        return
    modes = [one.mode for one in told if one.starts <= minute < one.ends]
    assert (modes or [CLOSED]) == [judged]
    assert list(told) == sorted(told, key=lambda one: one.starts)


@given(calendars, st.data())
def test_a_change_is_the_first_instant_at_which_the_mode_differs(
    calendar: Calendar, data: st.DataObject
) -> None:
    """Every real minute up to it is as now, the last microsecond too, and then it is another."""
    zone = ZoneInfo(data.draw(st.sampled_from(ODD_ZONES)))
    local = data.draw(times(zone))
    mode = calendar.mode_at(local)
    now = local.astimezone(UTC)
    found = calendar.next_change(local)
    end = now + timedelta(days=2) if found is None else found[0].astimezone(UTC)

    for before in [*minutes_between(now, min(end, now + timedelta(days=2))), end - TICK]:
        assert calendar.mode_at(max(before, now).astimezone(zone)) is mode
    if found is not None:
        assert now < end <= now + timedelta(days=14)
        assert found[0].tzinfo is zone
        assert calendar.mode_at(found[0]) is found[1] is not mode


def minutes_between(start: datetime, end: datetime) -> list[datetime]:
    """Return each instant from one to another, without it, some minutes apart, on the minute."""
    first = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    count = max(0, (end - first) // timedelta(minutes=5))
    return [first + timedelta(minutes=5 * place) for place in range(count)]


@given(calendars, times(), st.data())
def test_less_self_service_opens_nothing(
    calendar: Calendar, local: datetime, data: st.DataObject
) -> None:
    """Taking spans of self-service out, or narrowing them, never opens what was closed."""
    narrowed = replace(
        calendar,
        week=None
        if calendar.week is None
        else tuple(data.draw(less(day)) for day in calendar.week),
        days={day: DatedDay(data.draw(less(dated.spans))) for day, dated in calendar.days.items()},
    )

    if calendar.mode_at(local) not in OPENS:
        assert narrowed.mode_at(local) not in OPENS


def less(day: Day) -> st.SearchStrategy[Day]:
    """Return a strategy for the same day with less self-service."""
    return st.tuples(*(narrower(one) for one in day)).map(
        lambda spans: tuple(one for one in spans if one is not None)
    )


def narrower(one: ModeSpan) -> st.SearchStrategy[ModeSpan | None]:
    """Return a strategy for a span within a span of self-service, or None in its place."""
    if one.mode is not OPEN:
        return st.just(one)
    cuts = st.lists(st.integers(one.starts, one.ends), min_size=2, max_size=2, unique=True)
    return st.none() | cuts.map(sorted).map(
        lambda bounds: ModeSpan(OPEN, *bounds) if bounds[0] < 1440 else None
    )
