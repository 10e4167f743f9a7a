"""The door log for the staff pages: read from the file, searched by keys that the door makes."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Final

from doorctl.access.day import planned, planned_changes
from doorctl.config import Config
from doorctl.core.errors import InputError, StoreError
from doorctl.core.staff_text import refuse_purpose
from doorctl.ports import LEAF, Clock, HourCount, Visit
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.retention import visible_since
from doorctl.services.app import App, retention, visits_db
from doorctl.services.hours import hours_now
from doorctl.services.numbers import Numbers, keys_of
from doorctl.services.records import note
from doorctl.services.register import open_register
from doorctl.store.door_log import DoorLogRows, Wanted, wanted
from doorctl.store.visit_rows import HourlyHistory
from doorctl.web.desks import DayPicture, LogFilter, LogPage, ModeBand, Slot

# One day at the door as a picture: attempts by the quarter, the hours, and who may be inside.

SLOT: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
ONE_DAY: Final = timedelta(days=1)

ENTERED, LEFT = "entered", "left"


def day_picture(
    config: Config, path: Path, day: date, zone: tzinfo, *, oldest: datetime, now: datetime
) -> DayPicture:
    """Return the picture of a local day.

    Args:
        oldest: UTC; nothing before it is counted.
        now: aware; an hour that has not begun gets no head-count.

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
    """Return how many may have been inside at the end of each hour of a day, in UTC.

    It begins with an empty house at midnight, as the door's own count does after closing. It is
    empty where no one was seen to come or go. `counts` are that day's, in any order; `start` is its
    midnight, UTC.

    Args:
        until: UTC; the hour that it lies in is counted up to then.
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
        hours = hours_now(App.of(config))
    except StoreError:
        return
    zone = hours.moment.local.tzinfo
    changes = planned_changes(hours.calendar, None, start.astimezone(zone), end)
    inner = [instant for instant, _ in changes if start < instant < end]
    for begins, stops in pairwise([start, *inner, end]):
        mode = planned(hours.calendar, None, begins.astimezone(zone))
        yield ModeBand(begins.astimezone(zone), stops.astimezone(zone), mode)


MOST_EXPORTED: Final = 20_000
"""Attempts in one export: twice what a busy branch keeps, and a few megabytes of memory."""

REVEALS_AN_HOUR: Final = 20
"""People that one account may look up in an hour: a case has a few, a snooper has many."""
REVEALS_A_DAY: Final = 60
HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S


class DoorLogDesk:
    """Implements `doorctl.web.desks.DoorLog`. Thread-safe."""

    def __init__(self, config: Config, clock: Clock, numbers: Numbers) -> None:
        self._config = config
        self._clock = clock
        self._numbers = numbers
        self._reveals = Reveals()
        self._path = visits_db(config)

    def page(self, chosen: LogFilter, *, before: int | None = None, limit: int = 50) -> LogPage:
        """Return attempts with numbers below `before`, or the newest."""
        with self._rows() as rows:
            found = rows.newest(self._wanted(chosen), before, limit + 1)
        return LogPage(tuple(found[:limit]), more=len(found) > limit)

    def after(self, number: int, limit: int = 100) -> tuple[Visit, ...]:
        """Return attempts with higher numbers, oldest first."""
        with self._rows() as rows:
            return tuple(rows.oldest(self._wanted(LogFilter()), number, limit))

    def last(self) -> int:
        """Return the highest attempt number that may be shown, 0 for none."""
        with self._rows() as rows:
            newest = rows.newest(self._wanted(LogFilter()), None, 1)
        return newest[0].attempt if newest else 0

    def version(self) -> int:
        """Return a number that changes with each commit; never raises."""
        return hash(tuple(_state(self._path, suffix) for suffix in ("", "-wal")))

    def day(self, day: date) -> DayPicture:
        """Return the picture of a local day."""
        local = self._clock.moment().local
        zone = local.tzinfo or UTC
        return day_picture(self._config, self._path, day, zone, oldest=self._oldest(), now=local)

    def search(self, typed: str, by: str) -> frozenset[bytes]:
        """Return the row keys of a swiped or typed number, sealed by the door; audited."""
        keys = keys_of(self._numbers.readings(typed, None))
        note(App.of(self._config), Deed(Action.CARD_SEARCHED, keys), by)
        return frozenset(keys)

    def reveal(self, attempt: int, purpose: str, by: str) -> str | None:
        """Return the library system's number of a visit's patron; None where it is not known."""
        refuse_purpose(purpose)
        self._reveals.count(by, self._clock.monotonic_s())
        with self._rows() as rows:
            key = rows.row_key(attempt, self._oldest())
        ref = None if key is None else self._patron_ref(key)
        cards = () if key is None else (key,)
        deed = Deed(Action.VISIT_REVEALED, cards, ref, purpose, {"attempt": attempt})
        note(App.of(self._config), deed, by)
        return ref

    def export(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        """Return all attempts that fit, oldest first; audited."""
        refuse_purpose(purpose)
        with self._rows() as rows:
            found = rows.oldest(self._wanted(chosen), 0, MOST_EXPORTED + 1)
        if len(found) > MOST_EXPORTED:
            raise InputError(
                "more than {n} attempts fit, and part of them would look like all; choose fewer "
                "days",
                n=MOST_EXPORTED,
            )
        deed = Deed(Action.VISITS_EXPORTED, why=purpose, details={"visits": len(found)})
        note(App.of(self._config), deed, by)
        return tuple(found)

    def _patron_ref(self, key: bytes) -> str | None:
        with open_register(self._config) as patrons:
            patron = patrons.find(key)
        return None if patron is None else patron.patron_ref

    def _wanted(self, chosen: LogFilter) -> Wanted:
        oldest = self._oldest()
        return wanted(
            oldest if chosen.since is None else max(oldest, chosen.since),
            until=chosen.until,
            verdict=chosen.verdict,
            reasons=chosen.reasons,
            cards=chosen.cards,
        )

    def _oldest(self) -> datetime:
        return visible_since(self._clock.moment().latest_known, retention(self._config))

    @contextmanager
    def _rows(self) -> Iterator[DoorLogRows]:
        with closing(DoorLogRows(self._path)) as rows:
            yield rows


class Reveals:
    """How many people each account has looked up lately. Thread-safe; a restart forgets it."""

    def __init__(self) -> None:
        self._at_s: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count(self, by: str, now_s: float) -> None:
        """Count one more look-up.

        Raises:
            InputError: it is one too many; nothing was counted.
        """
        with self._lock:
            times = self._at_s.setdefault(by, deque())
            while times and now_s - times[0] >= DAY_S:
                times.popleft()
            lately = sum(now_s - at_s < HOUR_S for at_s in times)
            if lately >= REVEALS_AN_HOUR or len(times) >= REVEALS_A_DAY:
                raise InputError(
                    "an account may look up {n} people an hour and {most} a day; ask a colleague, "
                    "or wait",
                    n=REVEALS_AN_HOUR,
                    most=REVEALS_A_DAY,
                )
            times.append(now_s)


def _state(path: Path, suffix: str) -> tuple[int, ...]:
    try:
        found = path.with_name(f"{path.name}{suffix}").stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)
