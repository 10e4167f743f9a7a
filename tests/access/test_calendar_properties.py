from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import OPEN as OPENS
from doorctl.access.calendar import Calendar, DatedDay, Day, ModeSpan
from tests.access.calendars import CLOSED, ODD_ZONES, OPEN, calendars, days, oracle, times

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


@given(calendars, st.data())
def test_it_opens_next_at_the_first_open_instant(calendar: Calendar, data: st.DataObject) -> None:
    """Until then nobody comes in; at that instant patrons do."""
    local = data.draw(times())
    opens = calendar.opens_next(local)

    if opens is None:
        assert all(mode not in OPENS for _, mode in calendar.changes(local, local))
        assert calendar.mode_at(local) not in OPENS
        return
    assert calendar.mode_at(opens) in OPENS
    if opens != local:
        before = (opens.astimezone(UTC) - TICK).astimezone(opens.tzinfo)
        assert calendar.mode_at(before) not in OPENS


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
