"""From what the wall's clock shows to real instants, over the days on which clocks are changed.

Works with the zone that comes with a local time, whatever made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MINUTE = timedelta(minutes=1)
ONE_DAY = timedelta(days=1)


def instants_of(day: date, minutes: Iterable[int], zone: tzinfo | None) -> Iterator[datetime]:
    """Yield the instants, in UTC, at which the wall may show minutes after a day's midnight.

    Args:
        day: the local date.
        minutes: 0-1439. One that comes twice has two instants; for one that is left out there
            are two beside the change, which show another time.
        zone: the branch's.
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
