"""An oracle for calendars, written another way, and strategies for calendars and times.

The oracle knows nothing of days and tails: it lays every span of a stretch of dates out as a
stretch of naive wall-clock time and looks whether one covers what the wall shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from doorctl.access.calendar import Calendar, Cause, DatedDay, Day, Mode, ModeSpan
from tests.access.samples import COPENHAGEN

STAFFED, OPEN, CLOSED = Mode.STAFFED, Mode.SELF_SERVICE, Mode.CLOSED
MINUTE = timedelta(minutes=1)

ODD_ZONES = ("Europe/Copenhagen", "Asia/Beirut", "Australia/Lord_Howe", "America/Havana", "UTC")
"""Ours; clocks changed at midnight, by half an hour, from one o'clock to midnight, never."""

SPECIAL_DAYS = (
    date(2026, 3, 28),
    date(2026, 3, 29),
    date(2026, 10, 24),
    date(2026, 10, 25),
    date(2026, 12, 31),
    date(2027, 1, 1),
    date(2028, 2, 29),
)


def oracle(calendar: Calendar, local: datetime) -> Mode | None:
    """Return what the wall's time says, by stretches of naive time."""
    wall = local.replace(tzinfo=None)
    if calendar.known_until is not None and wall.date() > calendar.known_until:
        return None
    found = {mode for start, end, mode in stretches(calendar, wall.date()) if start <= wall < end}
    return STAFFED if STAFFED in found else OPEN if OPEN in found else CLOSED


def stretches(calendar: Calendar, day: date) -> Iterator[tuple[datetime, datetime, Mode]]:
    """Yield the naive start and end of each span that may touch a date."""
    for began in (day - timedelta(days=1), day):
        if began != day and day in calendar.days:
            continue
        midnight = datetime.combine(began, time())
        if began in calendar.days:
            spans = calendar.days[began].spans
        elif calendar.week is None:
            spans = (ModeSpan(OPEN, 0, 1440),)
        else:
            spans = calendar.week[began.weekday()]
        for one in spans:
            yield midnight + one.starts * MINUTE, midnight + one.ends * MINUTE, one.mode


def minutes_of(day: date, zone: ZoneInfo = COPENHAGEN) -> Iterator[datetime]:
    """Yield each real minute of a local day, as the wall shows it."""
    at = datetime.combine(day, time(), zone).astimezone(UTC)
    while (local := at.astimezone(zone)).date() == day:
        yield local
        at += MINUTE


def every_day(*spans: ModeSpan) -> Calendar:
    """Return a calendar with the same spans on all days."""
    return Calendar((spans,) * 7)


def at(text: str) -> datetime:
    """Return a time in Copenhagen, ``YYYY-MM-DDTHH:MM``."""
    return datetime.fromisoformat(text).replace(tzinfo=COPENHAGEN)


modes = st.sampled_from([STAFFED, OPEN])
edges = st.sampled_from([0, 60, 90, 120, 125, 150, 180, 420, 1320, 1380, 1439])
"""Minutes of the day at which something may go wrong, those of the changed hours among them."""

starts = edges | st.integers(0, 1439)
lengths = st.sampled_from([1, 30, 60, 120, 1440]) | st.integers(1, 1440)
mode_spans = st.builds(
    lambda mode, start, length: ModeSpan(mode, start, start + length), modes, starts, lengths
)
day_spans: st.SearchStrategy[Day] = st.lists(mode_spans, max_size=3).map(tuple)
days = st.sampled_from(SPECIAL_DAYS) | st.dates(date(2026, 3, 20), date(2026, 4, 5))
dated_days = st.builds(DatedDay, day_spans, st.sampled_from([Cause.EXCEPTION, Cause.HOLIDAY]))
calendars = st.builds(
    Calendar,
    st.none() | st.tuples(*[day_spans] * 7),
    st.dictionaries(days, dated_days, max_size=3),
    st.none() | days,
)


@st.composite
def times(draw: st.DrawFn, zone: ZoneInfo = COPENHAGEN) -> datetime:
    """Draw a real local time near a special day, on a minute's edge or a microsecond beside."""
    midnight = datetime.combine(draw(days), time(), zone).astimezone(UTC)
    minute = draw(starts)
    beside = timedelta(microseconds=draw(st.sampled_from([-1, 0, 1, 30_000_000])))
    return (midnight + minute * MINUTE + beside).astimezone(zone)
