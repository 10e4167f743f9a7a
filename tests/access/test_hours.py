from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.hours import Span, WeeklyHours
from tests.access.samples import COPENHAGEN

WEEK = timedelta(days=7)
MONDAY = datetime(2026, 3, 9, tzinfo=COPENHAGEN)
LIBRARY = WeeklyHours(((Span(7 * 60, 22 * 60),),) * 7)
"""Open from 7:00 until 22:00 every day."""

NIGHT_CAFE = WeeklyHours(((), (), (), (), (), (), (Span(20 * 60, 26 * 60),)))
"""Open on Sundays from 20:00 until 2:00 on Monday."""


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [
        ("06:59:59", False),
        ("06:59:59.999999", False),
        ("07:00:00", True),
        ("07:00:00.000001", True),
        ("21:59:59", True),
        ("21:59:59.999999", True),
        ("22:00:00", False),
        ("22:00:00.000001", False),
    ],
)
def test_spans_are_half_open(clock: str, is_open: bool) -> None:
    """Opening time belongs to the span and closing time does not, to the microsecond."""
    local = datetime.fromisoformat(f"2026-03-12T{clock}").replace(tzinfo=COPENHAGEN)

    assert LIBRARY.open_at(local) is is_open


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-03-15T19:59:59.999999", False),
        ("2026-03-15T20:00:00", True),
        ("2026-03-15T23:59:59.999999", True),
        ("2026-03-16T00:00:00", True),
        ("2026-03-16T01:59:59.999999", True),
        ("2026-03-16T02:00:00", False),
        ("2026-03-15T01:00:00", False),
        ("2026-03-17T01:00:00", False),
    ],
)
def test_a_span_runs_over_midnight_and_over_the_weeks_end(when: str, is_open: bool) -> None:
    """Sunday night goes on into Monday, and into no other morning."""
    assert NIGHT_CAFE.open_at(datetime.fromisoformat(when).replace(tzinfo=COPENHAGEN)) is is_open


def test_an_evening_until_midnight_ends_at_midnight() -> None:
    """A span that closes at 24:00 holds until the last microsecond of the day, no longer."""
    evenings = WeeklyHours(((Span(20 * 60, 24 * 60),),) * 7)
    midnight = MONDAY + timedelta(days=1)

    assert evenings.open_at(midnight - timedelta(microseconds=1))
    assert not evenings.open_at(midnight)


def test_without_spans_it_is_closed() -> None:
    """A day without spans is closed all day, next to days that are open."""
    only_tuesday = WeeklyHours(((), (Span(0, 1440),), (), (), (), (), ()))
    open_days = {
        at.weekday()
        for at in (MONDAY + timedelta(minutes=minute) for minute in range(7 * 1440))
        if only_tuesday.open_at(at)
    }

    assert open_days == {1}


def minutes_of(day: date) -> Iterator[datetime]:
    """Yield each real minute of a local day, as the wall shows it."""
    at = datetime(day.year, day.month, day.day, tzinfo=COPENHAGEN).astimezone(UTC)
    while (local := at.astimezone(COPENHAGEN)).date() == day:
        yield local
        at += timedelta(minutes=1)


SPANS = (Span(19 * 60, 22 * 60), Span(90, 150), Span(120, 180), Span(0, 1440))
"""An evening, a span over the change of the clocks, the changed hour itself, all day."""

USUAL = (180, 60, 60, 1440)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 3, 12), USUAL),
        (date(2026, 3, 29), (180, 30, 0, 1380)),
        (date(2026, 10, 25), (180, 90, 120, 1500)),
        (date(2028, 2, 29), USUAL),
        (date(2026, 12, 31), USUAL),
        (date(2027, 1, 1), USUAL),
    ],
    ids=str,
)
def test_every_minute_of_a_special_day(day: date, expected: tuple[int, ...]) -> None:
    """An hour that comes twice is open twice, one that is left out is not: the wall decides."""
    for span, minutes in zip(SPANS, expected, strict=True):
        hours = WeeklyHours(((span,),) * 7)
        open_minutes = [local for local in minutes_of(day) if hours.open_at(local)]

        assert minutes == len(open_minutes), span
        walls = [local.hour * 60 + local.minute for local in open_minutes]
        assert all(span.opens <= wall < span.closes for wall in walls)


@pytest.mark.parametrize("fold", [0, 1])
def test_both_passes_of_the_hour_that_comes_twice(fold: int) -> None:
    """At 02:59:59 it is open, at 03:00 closed, in the first pass as in the second."""
    hours = WeeklyHours(((Span(120, 180),),) * 7)
    last = datetime(2026, 10, 25, 2, 59, 59, 999999, fold=fold, tzinfo=COPENHAGEN)

    assert hours.open_at(last)
    assert not hours.open_at(datetime(2026, 10, 25, 3, 0, tzinfo=COPENHAGEN))


def test_a_night_span_over_the_change() -> None:
    """Saturday 22:30 to 2:30 is 3 1/2 real hours in spring and 4 1/2 in autumn."""
    hours = WeeklyHours(((), (), (), (), (), (Span(1350, 1590),), ()))
    lengths = []
    for sunday in (date(2026, 3, 29), date(2026, 10, 25)):
        night = [*minutes_of(sunday - timedelta(days=1)), *minutes_of(sunday)]
        lengths.append(sum(map(hours.open_at, night)))

    # In spring there is no 2:00-2:30; in autumn there are two, with a closed half hour between.
    assert lengths == [210, 270]


def test_the_year_turns_without_a_gap() -> None:
    """Thursday 31 December runs over midnight into Friday 1 January."""
    hours = WeeklyHours(((), (), (), (Span(1380, 1500),), (), (), ()))

    assert hours.open_at(datetime(2026, 12, 31, 23, 59, 59, 999999, COPENHAGEN))
    assert hours.open_at(datetime(2027, 1, 1, 0, 59, 59, 999999, COPENHAGEN))
    assert not hours.open_at(datetime(2027, 1, 1, 1, 0, tzinfo=COPENHAGEN))


spans = st.builds(
    lambda opens, length: Span(opens, opens + length), st.integers(0, 1439), st.integers(1, 1440)
)
tables = st.tuples(*[st.lists(spans, max_size=3).map(tuple)] * 7)


@given(tables, st.timedeltas(timedelta(0), WEEK - timedelta(microseconds=1)))
def test_a_week_is_a_circle_of_spans(
    days: tuple[tuple[Span, ...], ...], into_week: timedelta
) -> None:
    """It is open exactly where some span, laid on the circle of the week, covers the time."""
    expected = any(
        (into_week - timedelta(days=at, minutes=span.opens)) % WEEK
        < timedelta(minutes=span.closes - span.opens)
        for at, day in enumerate(days)
        for span in day
    )

    assert WeeklyHours(days).open_at(MONDAY + into_week) is expected


@given(tables, st.integers(0, 7 * 1440 - 1), st.sampled_from([-1, 0, 1]))
def test_the_circle_at_its_edges(
    days: tuple[tuple[Span, ...], ...], minute: int, microseconds: int
) -> None:
    """The same holds a microsecond before, at and after each whole minute."""
    into_week = (timedelta(minutes=minute) + timedelta(microseconds=microseconds)) % WEEK
    expected = any(
        (into_week - timedelta(days=at, minutes=span.opens)) % WEEK
        < timedelta(minutes=span.closes - span.opens)
        for at, day in enumerate(days)
        for span in day
    )

    assert WeeklyHours(days).open_at(MONDAY + into_week) is expected
