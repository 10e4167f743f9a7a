"""Times as staff write and read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.cli.options import DAYS, END_TIME, HOURS, instant, weekday_names
from doorctl.config.clashes import clock
from doorctl.core.moments import ClockState, Moment

ZONE = ZoneInfo("Europe/Copenhagen")
LOCAL = datetime(2026, 11, 25, 14, 30, tzinfo=ZONE)
NOW = Moment(LOCAL, LOCAL.astimezone(UTC), ClockState.TRUSTED)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("21:00", datetime(2026, 11, 25, 21, tzinfo=ZONE)),
        ("22", datetime(2026, 11, 25, 22, tzinfo=ZONE)),
        ("14:31", datetime(2026, 11, 25, 14, 31, tzinfo=ZONE)),
        ("14:30", datetime(2026, 11, 26, 14, 30, tzinfo=ZONE)),
        ("7.30", datetime(2026, 11, 26, 7, 30, tzinfo=ZONE)),
        ("9", datetime(2026, 11, 26, 9, tzinfo=ZONE)),
        ("00:00", datetime(2026, 11, 26, tzinfo=ZONE)),
        ("2026-11-26T08:00", datetime(2026, 11, 26, 8, tzinfo=ZONE)),
        ("2026-11-26", datetime(2026, 11, 26, tzinfo=ZONE)),
        ("2026-11-26T08:00+00:00", datetime(2026, 11, 26, 9, tzinfo=ZONE)),
        ("2026-07-01T08:00", datetime(2026, 7, 1, 6, tzinfo=UTC)),
    ],
)
def test_an_end_is_local_unless_it_says_otherwise(written: str, meant: datetime) -> None:
    """A time of day is the next such time: today's, or tomorrow's where that is past.

    Bug (review of the pages): `mode set --until 22` was told to write 2026-11-25, not the 21:00
    that the help promises.
    """
    found = instant(END_TIME.convert(written, None, None), NOW)

    assert found == meant
    assert found.utcoffset() == meant.astimezone(ZONE).utcoffset()


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        ("2026-10-25T02:45", "00:45", "01:45"),
        ("2026-10-25T02:45+01:00", "01:45", "01:45"),
        ("2026-03-29T02:45", "01:45", "01:45"),
        ("2026-10-25T03:00", "02:00", "02:00"),
    ],
)
def test_a_window_ends_when_the_clock_shows_its_end_for_the_last_time(
    written: str, first: str, last: str
) -> None:
    """In the night in October an hour comes twice, and a window from 02:30 has both in it."""
    read = END_TIME.convert(written, None, None)

    assert f"{instant(read, NOW).astimezone(UTC):%H:%M}" == first
    assert f"{instant(read, NOW, last=True).astimezone(UTC):%H:%M}" == last


@pytest.mark.parametrize("written", ["24:00", "24", "21,0", "21:60", "21:0", "", "²1:00"])
def test_an_end_that_can_be_read_in_two_ways_is_refused(written: str) -> None:
    """Nothing is guessed from half a time."""
    with pytest.raises(click.BadParameter):
        END_TIME.convert(written, None, None)


@given(st.integers(0, DAY_MINUTES - 1), st.integers(1, DAY_MINUTES))
def test_a_span_is_read_as_it_is_shown(starts: int, length: int) -> None:
    """Each span of a day, over midnight or not, comes back from its own text."""
    ends = starts + length
    if length == DAY_MINUTES and starts:
        return  # One that ends when it began is written for no day but the whole one.
    shown = f"{clock(starts)}-{clock(ends)}"
    found = HOURS.convert(shown, None, None)

    assert (found.opens, found.closes) == (starts, ends)


@pytest.mark.parametrize("written", ["7-22", "0700-22.00", "07:00-2200", "7.00 - 22"])
def test_a_span_is_typed_as_danes_type_times(written: str) -> None:
    """As in the pages; the configuration's file has one form."""
    assert HOURS.convert(written, None, None) == Span(7 * 60, 22 * 60)
    for wrong in ("7", "7-", "7-22-23", "24-7", "7-7"):
        with pytest.raises(click.BadParameter):
            HOURS.convert(wrong, None, None)


@given(st.frozensets(st.integers(0, 6), min_size=1))
def test_weekdays_are_read_as_they_are_shown(days: frozenset[int]) -> None:
    """In any order, and Monday comes first."""
    names = weekday_names(days)

    assert DAYS.convert(",".join(reversed(names)), None, None) == days
    assert [date(2026, 11, 23) + timedelta(days=day) for day in sorted(days)] == [
        day
        for day in (date(2026, 11, 23) + timedelta(days=ahead) for ahead in range(7))
        if f"{day:%a}".lower() in names
    ]


def test_what_is_read_already_stays() -> None:
    """A default is a value and not a text."""
    assert END_TIME.convert(time(21), None, None) == time(21)
    assert DAYS.convert(frozenset({1}), None, None) == frozenset({1})
