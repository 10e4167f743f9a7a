from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, DatedDay, Mode, ModeSpan, Span
from doorctl.config.clashes import WEEK_MINUTES, Week, clashes_of_week, written
from doorctl.config.hours import Opening, past_exceptions, span
from tests.config.conftest import RIGHT, Configured

Hours = Callable[[str], Opening]


@pytest.fixture
def opening(configured: Configured) -> Hours:
    """Return a function that loads hours and returns all that the configuration says of them."""
    return lambda hours: configured(f"{RIGHT}[hours]\n{hours}").opening


def test_days_are_monday_first_and_absent_ones_closed(opening: Hours) -> None:
    """Each day stands at its place of the week, its spans in order; the others are closed."""
    hours = 'sunday = ["10:00-12:00"]\nmonday = ["13:00-17:00", "08:00-12:00"]'

    assert opening("").week == ((),) * 7
    assert opening(hours).week == (
        (ModeSpan(Mode.SELF_SERVICE, 480, 720), ModeSpan(Mode.SELF_SERVICE, 780, 1020)),
        *((),) * 5,
        (ModeSpan(Mode.SELF_SERVICE, 600, 720),),
    )


def test_staffed_hours_stand_beside_the_week(opening: Hours) -> None:
    """Staffed hours of a day may lie within self-service, whose end they share, or apart."""
    hours = """monday = ["08:00-20:00"]
[hours.staffed]
monday = ["10:00-20:00"]
tuesday = ["10:00-18:00"]
"""
    calendar = opening(hours).calendar

    assert calendar.day(date(2026, 3, 9)) == (
        ModeSpan(Mode.SELF_SERVICE, 480, 600),
        ModeSpan(Mode.STAFFED, 600, 1200),
    )
    assert calendar.day(date(2026, 3, 10)) == (ModeSpan(Mode.STAFFED, 600, 1080),)
    assert calendar.day(date(2026, 3, 11)) == ()


def test_without_a_table_the_calendar_is_always_open(configured: Configured) -> None:
    """No hours are self-service at all hours, and what else there is has its default."""
    config = configured(RIGHT)

    assert config.opening.week is None
    assert config.opening.calendar.always_open
    assert (config.opening.source, config.opening.website_days) == ("config", 14)
    assert (config.closing.warn_min, config.closing.no_entry_min) == ((15, 10, 5), 0)


@pytest.mark.parametrize("written_date", ["2026-12-24", '"2026-12-24"'])
def test_exceptions_are_dated_days(opening: Hours, written_date: str) -> None:
    """A date, with or without quotes, has its own hours and note; empty ones are closed."""
    hours = f"""thursday = ["08:00-22:00"]
[[hours.exceptions]]
date = {written_date}
self_service = ["10:00-14:00"]
staffed = ["10:00-12:00"]
note = "Juleaften"
[[hours.exceptions]]
date = 2026-12-31
"""
    calendar = opening(hours).calendar

    assert calendar.days[date(2026, 12, 24)] == DatedDay(
        (ModeSpan(Mode.SELF_SERVICE, 600, 840), ModeSpan(Mode.STAFFED, 600, 720)),
        note="Juleaften",
    )
    assert calendar.day(date(2026, 12, 31)) == ()
    assert calendar.day(date(2026, 12, 17)) == (ModeSpan(Mode.SELF_SERVICE, 480, 1320),)


def test_exceptions_that_are_past(opening: Hours) -> None:
    """The file loads all the same; who asks with today's date is told of those before it."""
    dates = (f"[[hours.exceptions]]\ndate = 2026-12-{day}\n" for day in (24, 31))
    found = opening("".join(dates))

    assert list(past_exceptions(found, date(2026, 12, 24))) == []
    assert [str(problem) for problem in past_exceptions(found, date(2026, 12, 25))] == [
        (
            "hours.exceptions[0].date: found 2026-12-24, which is past; "
            "take the exception out or correct the year"
        )
    ]


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("00:00-24:00", 0, 1440),
        ("08:00-22:00", 480, 1320),
        ("00:00-00:01", 0, 1),
        ("22:00-24:00", 1320, 1440),
        ("22:00-00:00", 1320, 1440),
        ("22:00-02:00", 1320, 1560),
        ("23:59-23:58", 1439, 2878),
    ],
)
def test_spans_are_minutes_after_midnight(text: str, opens: int, closes: int) -> None:
    """24:00 may end a span, and an end before the start is on the next day."""
    assert span(text) == Span(opens, closes)


@pytest.mark.parametrize(
    "hours",
    [
        'friday = ["08:00-12:00", "12:15-22:00"]',
        'sunday = ["20:00-02:00"]\n[hours.staffed]\nmonday = ["00:30-02:00"]',
        'monday = ["08:00-12:00"]\n[hours.staffed]\nmonday = ["12:00-18:00"]',
        'friday = ["08:00-12:00", "12:00-24:00"]\nsaturday = ["00:00-02:00"]',
        (
            'friday = ["01:00-22:00"]\nexceptions = [{date = 2026-12-25}, '
            '{date = 2026-12-24, self_service = ["20:00-02:00"]}]'
        ),
    ],
)
def test_what_hours_may_say(opening: Hours, hours: str) -> None:
    """A break of a quarter of an hour, staff in the tail round the week, staff afterwards.

    Spans that touch, also at midnight; a dated night whose tail the next dated day cuts off.
    """
    assert opening(hours).week is not None


spans = st.builds(
    lambda mode, starts, length: ModeSpan(mode, starts, starts + length),
    st.sampled_from((Mode.SELF_SERVICE, Mode.STAFFED)),
    st.integers(0, DAY_MINUTES - 1),
    st.integers(1, DAY_MINUTES - 1),
).filter(lambda one: one.ends < DAY_MINUTES or one.ends - DAY_MINUTES < one.starts)


@given(spans)
def test_a_span_reads_back_what_it_shows(one: ModeSpan) -> None:
    """The text that a message shows of a span is one that can be written."""
    assert span(written(one)) == Span(one.starts, one.ends)


@given(st.dictionaries(st.integers(0, 6), st.lists(spans, max_size=4), max_size=4))
def test_what_is_told_is_told_by_the_minutes(days: dict[int, list[ModeSpan]]) -> None:
    """Minute by minute round the week: twice open, twice staffed, half outside, a short gap."""
    week, staffed = (as_week(days, mode) for mode in (Mode.SELF_SERVICE, Mode.STAFFED))
    both = tuple((*own, *desk) for own, desk in zip(week, staffed, strict=True))
    told = [str(clash.problem) for clash in clashes_of_week(both)]
    own, at_desk = minutes_of(week), minutes_of(staffed)

    double = len(own) != len(set(own)) or len(at_desk) != len(set(at_desk))
    assert any("overlaps" in line for line in told) == double
    if not double:
        assert any("partly" in line for line in told) == any(
            0 < len({*minutes} & {*own}) < len(minutes)
            for place, day in enumerate(staffed)
            for one in day
            for minutes in [minutes_of(as_week({place: [one]}, one.mode))]
        )
        assert any(" begins " in line for line in told) == (
            has_short_gap({*own, *at_desk}) or has_short_gap({*at_desk})
        )


def as_week(days: dict[int, list[ModeSpan]], mode: Mode) -> Week:
    """Return a mode's spans of the days, Monday is 0, as a week in order."""
    listed = ([one for one in days.get(place, ()) if one.mode is mode] for place in range(7))
    return tuple(tuple(sorted(day, key=lambda one: (one.starts, one.ends))) for day in listed)


def minutes_of(week: Week) -> list[int]:
    """Return each minute of each span, round the week, those of two spans twice."""
    return [
        (place * DAY_MINUTES + minute) % WEEK_MINUTES
        for place, day in enumerate(week)
        for one in day
        for minute in range(one.starts, one.ends)
    ]


def has_short_gap(minutes: set[int]) -> bool:
    """Tell whether fewer than 15 minutes lie between two of them, round the week."""
    ordered = sorted(minutes)
    following = [*ordered[1:], *(one + WEEK_MINUTES for one in ordered[:1])]
    return any(0 < later - one - 1 < 15 for one, later in zip(ordered, following, strict=True))
