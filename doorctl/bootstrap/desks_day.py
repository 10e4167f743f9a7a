"""One day at the door as a picture: attempts by the quarter, the hours, and who may be inside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Final

from doorctl.access.modes import planned, planned_changes
from doorctl.bootstrap.hours import hours_now
from doorctl.config import Config
from doorctl.errors import StoreError
from doorctl.ports import LEAF, HourCount
from doorctl.store.door_log import DoorLogRows
from doorctl.store.statistics import HourlyHistory
from doorctl.web.desks import DayPicture, ModeBand, Slot

SLOT: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
ONE_DAY: Final = timedelta(days=1)

ENTERED, LEFT = "entered", "left"


def day_picture(
    config: Config, path: Path, day: date, zone: tzinfo, *, oldest: datetime, now: datetime
) -> DayPicture:
    """Return the picture of a local day.

    Args:
        config: the whole configuration.
        path: of ``visits.db``.
        day: in `zone`.
        zone: the branch's.
        oldest: UTC; nothing before it is counted.
        now: aware; no head-count is told of an hour that has not begun.

    Raises:
        StoreError: the door log can't be read.
    """
    start = datetime.combine(day, time(), zone).astimezone(UTC)
    end = datetime.combine(day + ONE_DAY, time(), zone).astimezone(UTC)
    since = max(start, oldest)
    with closing(DoorLogRows(path)) as rows:
        counted = rows.counts(since, end, int(SLOT.total_seconds()))
    slots = tuple(Slot(at.astimezone(zone), granted, refused) for at, granted, refused in counted)
    inside: tuple[tuple[datetime, int], ...] = ()
    if oldest <= start:
        with closing(HourlyHistory(path)) as history:
            inside = head_counts(history.hours(start, end), start, min(now.astimezone(UTC), end))
    told = tuple((at.astimezone(zone), count) for at, count in inside)
    return DayPicture(day, slots, tuple(_bands(config, start, end)), told)


def head_counts(
    counts: Iterable[HourCount], start: datetime, until: datetime
) -> tuple[tuple[datetime, int], ...]:
    """Return how many may have been inside at the end of each hour of a day.

    It begins with an empty house at midnight, as the door's own count does after closing.

    Args:
        counts: of that day, in any order.
        start: UTC; the day's midnight.
        until: UTC; the hour that it lies in is told up to then.

    Returns:
        UTC times and estimates, from midnight on; nothing where no one was seen to come or go.
    """
    change: dict[datetime, int] = defaultdict(int)
    for one in counts:
        if one.kind == LEAF and one.hour is not None and one.outcome in {ENTERED, LEFT}:
            change[one.hour] += one.count if one.outcome == ENTERED else -one.count
    if not change:
        return ()
    return tuple(_summed(change, start, until))


def _summed(
    change: dict[datetime, int], start: datetime, until: datetime
) -> Iterator[tuple[datetime, int]]:
    at, inside = start, 0
    yield at, inside
    while at < until:
        inside = max(0, inside + change.get(at, 0))
        at = min(at + HOUR, until)
        yield at, inside


def _bands(config: Config, start: datetime, end: datetime) -> Iterator[ModeBand]:
    try:
        hours = hours_now(config)
    except StoreError:
        return
    zone = hours.moment.local.tzinfo
    changes = planned_changes(hours.calendar, None, start.astimezone(zone), end)
    inner = [instant for instant, _ in changes if start < instant < end]
    for begins, stops in pairwise([start, *inner, end]):
        mode = planned(hours.calendar, None, begins.astimezone(zone))
        yield ModeBand(begins.astimezone(zone), stops.astimezone(zone), mode)
