"""The picture of a night: visits by quarter, the modes behind them, events and heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.day import planned, planned_changes
from doorctl.core.alarms import ENDS, Source
from doorctl.core.errors import StoreError
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App, open_book
from doorctl.lookup.calendar import calendar_of
from doorctl.privacy.passages import LEAF, HourCount
from doorctl.store.alarms import MOST_ENDED, AlarmRecords
from doorctl.store.branch_rows import ModeDeed
from doorctl.store.door_log import (
    DoorEvent,
    DoorLogRows,
    LogFilter,
    Slot,
)

SLOT: Final = timedelta(minutes=15)

HOUR: Final = timedelta(hours=1)

DAY: Final = timedelta(days=1)

LONG: Final = timedelta(hours=50)
"""A longer span is counted by the hour."""

MORNING: Final = timedelta(hours=6)

NIGHT_BACK: Final = timedelta(days=4)
"""A night after closed days began before them; no branch is closed for longer than at Christmas."""

DOOR_FOLLOWS: Final = timedelta(seconds=15)
"""How long after staff have set a mode the door may say that it counts; mostly it is a second."""

MOST_EVENTS: Final = 5000
"""More than a week has, whose pushes come every few minutes."""

ENTERED, LEFT = "entered", "left"


@dataclass(frozen=True, slots=True)
class ModeBand:
    """The branch's mode, past or planned, for a part of one day."""

    starts: datetime
    ends: datetime
    mode: Mode


@dataclass(frozen=True, slots=True)
class Picture:
    """A span of time at the door; all times are UTC.

    `slots` are only those in which something happened, each `step` long, and `bands` leave no gaps
    where the hours are known; both are in order. `inside` estimates the head-count of a whole day,
    where it is known.
    """

    since: datetime
    until: datetime
    step: timedelta = SLOT
    slots: tuple[Slot, ...] = ()
    bands: tuple[ModeBand, ...] = ()
    inside: tuple[tuple[datetime, int], ...] = ()


def night_begins(calendar: Calendar | None, now: datetime) -> datetime:
    """Return when the house closed last before six this morning, local; midnight if it did not."""
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    ends = min(now, midnight + MORNING)
    changes = planned_changes(calendar, None, midnight - NIGHT_BACK, ends)
    closed = [at for at, mode in changes if mode not in OPEN]
    return closed[-1].astimezone(now.tzinfo) if closed else midnight


def morning_before(now: datetime) -> datetime:
    """Return the last six o'clock in the morning that has come, local as `now` is."""
    morning = datetime.combine(now.date(), time(), now.tzinfo) + MORNING
    return morning if morning <= now else morning - DAY


def head_counts(
    counts: Iterable[HourCount], start: datetime, until: datetime
) -> tuple[tuple[datetime, int], ...]:
    """Return how many may have been inside at the end of each hour of a day, in UTC.

    It begins with an empty house at midnight, as the door's own count does after closing. It is
    empty where no one was seen to come or go. `counts` are that day's, in any order; `start` is its
    midnight and `until` the end of the count, both UTC.
    """
    change: dict[datetime, int] = defaultdict(int)
    for entry in counts:
        if entry.kind == LEAF and entry.hour is not None and entry.outcome in {ENTERED, LEFT}:
            change[entry.hour] += entry.count if entry.outcome == ENTERED else -entry.count
    if not change:
        return ()
    at, inside, summed = start, 0, [(start, 0)]
    while at < until:
        inside = max(0, inside + change[at])
        at = min(at + HOUR, until)
        summed.append((at, inside))
    return tuple(summed)


def picture_of(
    rows: DoorLogRows, chosen: LogFilter, calendar: Calendar | None, now: datetime
) -> Picture:
    """Return the picture of the time that a filter names, from the door log's rows."""
    zone, start = now.tzinfo or UTC, chosen.since.astimezone(UTC)
    end = max(chosen.until.astimezone(UTC), start + HOUR)
    step = HOUR if end - start > LONG else SLOT
    inside: tuple[tuple[datetime, int], ...] = ()
    is_day = start.astimezone(zone).time() == time() and step == SLOT
    if rows.not_before <= start and is_day and not chosen.narrows:
        until = min(now.astimezone(UTC), end)
        inside = head_counts(rows.hours(start, end), start, until)
    bands = tuple(_bands(calendar, start, end, zone)) if calendar else ()
    return Picture(start, end, step, tuple(rows.counts(chosen, step)), bands, inside)


class _OfBranch(NamedTuple):
    """The calendar, the web process's alarms (the door keeps its own), and who set a mode."""

    calendar: Calendar | None
    alarms: Sequence[DoorEvent]
    deeds: Sequence[ModeDeed]


def of_branch(app: App) -> _OfBranch:
    """Return what the picture needs of ``branch.db``; empty where that can't be read."""
    calendar, heard, deeds = None, set[tuple[datetime, str]](), tuple[ModeDeed, ...]()
    with suppress(StoreError), open_book(app) as book:
        calendar, deeds = calendar_of(app.config.opening, book.calendar()), book.mode_deeds()
        records = AlarmRecords(book.path, book.reader)
        for one in (*records.standing(), *records.ended(MOST_ENDED)):
            if one.source is Source.WEB and not one.known.wordless:
                heard |= {(one.since, one.kind), (one.last, one.kind)}
                if one.cleared_at is not None and one.kind in ENDS:
                    heard.add((one.cleared_at, ENDS[one.kind]))
    alarms = [DoorEvent(at, ClockState.TRUSTED, kind) for at, kind in heard]
    return _OfBranch(calendar, alarms, deeds)


def events_of(
    rows: DoorLogRows, branch: _OfBranch, since: datetime, until: datetime
) -> tuple[DoorEvent, ...]:
    """Return the events and web's alarms of a time, a change of the mode with who asked."""
    begins = max(since, rows.not_before)
    alarms = (alarm for alarm in branch.alarms if begins <= alarm.at < until)
    events = rows.events(since, until, MOST_EVENTS)
    return (*(_with_staff(event, branch.deeds) for event in events), *alarms)


def _with_staff(event: DoorEvent, deeds: Sequence[ModeDeed]) -> DoorEvent:
    """Return a change of the mode with the account that has just asked for it, if any has."""
    if event.kind != "mode":
        return event
    asked = [deed for deed in deeds if deed.at <= event.at <= deed.at + DOOR_FOLLOWS]
    return replace(event, by=asked[-1].by, cause=asked[-1].cause) if asked else event


def _bands(calendar: Calendar, start: datetime, end: datetime, zone: tzinfo) -> Iterator[ModeBand]:
    begins, local = start, start.astimezone(zone)
    mode = planned(calendar, None, local)
    for instant, following in planned_changes(calendar, None, local, end):
        stops = instant.astimezone(UTC)
        if stops < end:
            yield ModeBand(begins, stops, mode)
            begins, mode = stops, following
    yield ModeBand(begins, end, mode)
