"""From wall time to real instants, in any time zone, over the days on which clocks are changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MINUTE = timedelta(minutes=1)


ONE_DAY = timedelta(days=1)


def instants_of(day: date, minutes: Iterable[int], zone: tzinfo | None) -> Iterator[datetime]:
    """Yield the instants, in UTC, at which the wall may show minutes, 0-1439, after midnight.

    A minute that comes twice has two; a skipped one has two beside the change.
    """
    midnight = datetime.combine(day, time(), zone)
    for minute in minutes:
        wall = midnight + minute * MINUTE
        yield wall.replace(fold=0).astimezone(UTC)
        yield wall.replace(fold=1).astimezone(UTC)


def clock_change(day: date, zone: tzinfo | None) -> Iterator[datetime]:
    """Yield the instant, in UTC, at which the clocks are changed on a day, if they are."""
    early = datetime.combine(day, time(), zone).astimezone(UTC)
    late = early + ONE_DAY
    before = early.astimezone(zone).utcoffset()
    if late.astimezone(zone).utcoffset() == before:
        return
    while late - early > MINUTE:
        middle = early + (late - early) // (2 * MINUTE) * MINUTE
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    yield late
