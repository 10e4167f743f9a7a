"""The door log: read from the file, searched by keys that the door makes, and counted."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.day import planned, planned_changes
from doorctl.core.alarms import ENDS, Source
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, open_attempts, open_book, shown_since
from doorctl.lookup.calendar import calendar_of
from doorctl.lookup.cards import keys_of
from doorctl.lookup.configured import local, zone
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.passages import LEAF, HourCount
from doorctl.privacy.statistics import Gathered, gather, moments, widened
from doorctl.services.branch import note
from doorctl.services.cards import numbers_of, open_register
from doorctl.store.alarms import MOST_ENDED, AlarmRecords
from doorctl.store.branch_rows import ModeDeed
from doorctl.store.door_log import (
    EVERY,
    VISIT_COLUMNS,
    DoorEvent,
    DoorLogRows,
    LogFilter,
    Slot,
    Visit,
    VisitHistory,
)
from doorctl.store.hourly import HourlyHistory

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

LAST_OF_CARD: Final = 6

ENTERED, LEFT = "entered", "left"


def as_dict(visit: Visit) -> dict[str, Any]:
    """Return an attempt for scripts, by the names of its fields; `at` has milliseconds."""
    held = {name: getattr(visit, name) for name in VISIT_COLUMNS}
    at = visit.at.isoformat(timespec="milliseconds")
    return held | {"at": at, "clock": visit.clock.value}


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


MOST_EXPORTED: Final = 20_000
"""Attempts in one export: twice what a busy branch keeps, and a few megabytes of memory."""

REVEALS_AN_HOUR: Final = 20
"""People that one account may look up in an hour: a case has a few, a snooper has many."""
REVEALS_A_DAY: Final = 60


@dataclass(frozen=True, slots=True)
class Hidden:
    """Which visits no list shows while the clock is not set or in doubt; both times are local.

    Those before `before`, because it may be as late as `now`.
    """

    before: datetime
    now: datetime


def hidden(app: App) -> Hidden | None:
    """Return which visits are hidden; None while the clock is known to be right."""
    moment = app.clock.bounded()
    if moment.settled:
        return None
    branch = zone(app.config)
    return Hidden(shown_since(app).astimezone(branch), moment.latest.astimezone(branch))


@dataclass(frozen=True, slots=True)
class LogView:
    """What fits a filter, with its times; `version` is the log's before it was read.

    `visits` are the newest first, and there are `more` that fit. `events` are what happened without
    a card in the time of the page, in any order, where the filter leaves them in.
    """

    chosen: LogFilter
    version: int
    visits: tuple[Visit, ...]
    more: bool
    events: tuple[DoorEvent, ...]
    picture: Picture
    hidden: Hidden | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """What has happened at the door since it was closed, local; the newest refusal first."""

    since: datetime
    granted: int
    refused: int
    last_refused: tuple[Visit, ...]
    events: tuple[DoorEvent, ...]
    hidden: Hidden | None = None


# Staff's looks at the door log. Each opens a database once, is pseudonymous and never shows what is
# too old. StoreError: the log can't be read.


def view(
    app: App, chosen: LogFilter, *, before: int | None, limit: int, night: bool = False
) -> LogView:
    """Return attempts with numbers below `before`, or the newest, with events and the picture.

    `chosen` has both its times; a `night` is from when the house was closed until now.
    """
    written, branch = version(app), _of_branch(app)
    now = app.clock.moment().local
    if night:
        hour = now.replace(minute=0, second=0, microsecond=0)
        chosen = replace(chosen, since=night_begins(branch.calendar, now), until=hour + HOUR)
    with open_attempts(app) as rows:
        visits, ends = _page_before(rows, chosen, before, limit)
        more = len(visits) > limit
        events: tuple[DoorEvent, ...] = ()
        if not chosen.narrows:
            since = visits[limit - 1].at if more else chosen.since
            events = _events(rows, branch, since, ends)
        picture = _picture(rows, chosen, branch.calendar, now)
    return LogView(chosen, written, tuple(visits[:limit]), more, events, picture, hidden(app))


def beside(app: App, attempt: int, *, same_day: bool) -> tuple[Visit, ...]:
    """Return an attempt and the last others with its card before, newest first.

    They are of the same local day only where the reader may not link days. It stands alone where it
    has no card, or a code, which is many people's. Raises InputError: there is no such attempt.
    """
    with open_attempts(app) as rows:
        found = rows.oldest(EVERY, attempt - 1, 1)
        if not found or found[0].attempt != attempt:
            raise InputError("there is no such attempt in the door log")
        key = rows.row_key(attempt)
        if key is None or key == CODES_KEY:
            return tuple(found)
        at = app.clock.moment().local.tzinfo
        day = datetime.combine(found[0].at.astimezone(at).date(), time(), at)
        since = day if same_day else EVERY.since
        cards = LogFilter(since=since, cards=frozenset({key}))
        return tuple(rows.newest(cards, attempt + 1, LAST_OF_CARD))


def last_night(app: App, limit: int) -> Night:
    """Return what has happened since the house was closed, with the last refusals."""
    now, branch = app.clock.moment().local, _of_branch(app)
    since = night_begins(branch.calendar, now)
    chosen = LogFilter(since=since)
    with open_attempts(app) as rows:
        slots = rows.counts(chosen, DAY)
        refused = rows.newest(replace(chosen, verdict="refused"), None, limit)
        events = _events(rows, branch, since, now + HOUR)
    granted, shut_out = (sum(slot.granted for slot in slots), sum(slot.refused for slot in slots))
    return Night(since, granted, shut_out, tuple(refused), events, hidden(app))


def version(app: App) -> int:
    """Return a number that changes with each commit; costs microseconds, and never raises."""
    files = app.storage.visits_db, app.storage.branch_db
    return hash(tuple(_state(path, suffix) for path in files for suffix in ("", "-wal")))


def search(app: App, typed: str, limit: int) -> list[Visit]:
    """Return the newest attempts with a swiped or typed card, sealed by the door; audited."""
    keys = keys_of(numbers_of(app).readings(typed, None))
    note(app, Deed(Action.CARD_SEARCHED, keys))
    with open_attempts(app) as rows:
        return rows.newest(LogFilter(cards=frozenset(keys)), None, limit)


def note_seen(app: App, attempt: int) -> None:
    """Put on the audit log that somebody looks at other attempts with this one's card."""
    note(app, Deed(Action.CARD_SEARCHED, _cards(app, attempt)))


def reveal(app: App, reveals: Reveals, attempt: int, purpose: str) -> str | None:
    """Return the library system's number of a visit's patron; None where it is not known.

    Audited, and refused beyond so many an hour and account.
    """
    refuse_purpose(purpose)
    reveals.count(app.by, app.clock.monotonic_s())
    cards, ref = _cards(app, attempt), None
    for key in cards:
        with open_register(app) as patrons:
            patron = patrons.find(key)
        ref = None if patron is None else patron.patron_ref
    note(app, Deed(Action.VISIT_REVEALED, cards, ref, purpose, {"attempt": attempt}))
    return ref


def _cards(app: App, attempt: int) -> tuple[bytes, ...]:
    with open_attempts(app) as rows:
        key = rows.row_key(attempt)
    return () if key is None else (key,)


def export(app: App, chosen: LogFilter, purpose: str) -> list[Visit]:
    """Return all attempts that fit, oldest first; audited.

    Raises InputError: there are too many; part of them would look like all.
    """
    refuse_purpose(purpose)
    with open_attempts(app) as rows:
        visits = rows.oldest(chosen, 0, MOST_EXPORTED + 1)
    if len(visits) > MOST_EXPORTED:
        raise InputError(
            "more than {n} attempts fit, and part of them would look like all; choose fewer days",
            n=MOST_EXPORTED,
        )
    note(app, Deed(Action.VISITS_EXPORTED, why=purpose, details={"visits": len(visits)}))
    return visits


def _picture(
    rows: DoorLogRows, chosen: LogFilter, calendar: Calendar | None, now: datetime
) -> Picture:
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


def _of_branch(app: App) -> _OfBranch:
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


def _events(
    rows: DoorLogRows, branch: _OfBranch, since: datetime, until: datetime
) -> tuple[DoorEvent, ...]:
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


def _page_before(
    rows: DoorLogRows, chosen: LogFilter, before: int | None, limit: int
) -> tuple[list[Visit], datetime]:
    """Return a page with one more if there is one, and the time up to which events belong to it."""
    ends = chosen.until
    if before is None:
        return rows.newest(chosen, None, limit + 1), ends
    # The last attempt of the page before says when this one ends.
    visits = rows.newest(chosen, before + 1, limit + 2)
    if visits and visits[0].attempt == before:
        ends = visits.pop(0).at
    return visits[: limit + 1], ends


class Reveals:
    """How many people each account has looked up lately. Thread-safe; a restart forgets it."""

    def __init__(self) -> None:
        self._at_s: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count(self, by: str, now_s: float) -> None:
        """Count one more look-up. Raises InputError: it is one too many; nothing was counted."""
        with self._lock:
            times = self._at_s.setdefault(by, deque())
            while times and now_s - times[0] >= DAY.total_seconds():
                times.popleft()
            lately = sum(now_s - at_s < HOUR.total_seconds() for at_s in times)
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
        stat = path.with_name(f"{path.name}{suffix}").stat()
    except OSError:
        return ()
    # A reader makes an empty file beside a database that nobody writes.
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size) if stat.st_size else ()


def list_visits(app: App, since: datetime | None, why: str = "") -> list[Visit]:
    """Return the visits that may be shown, oldest first; the look is first noted on the audit log.

    A `since` without an offset is local; None means all.
    """
    not_before = shown_since(app)
    if since is not None:
        not_before = max(not_before, local(since, app.config))
    with closing(VisitHistory(app.storage.visits_db)) as history:
        visits = list(history.visits(not_before))
    since_then = not_before.isoformat(timespec="seconds")
    details: Details = {"since": since_then, "visits": len(visits)}
    note(app, Deed(Action.VISITS_LISTED, why=why, details=details))
    return visits


SETTLED: Final = timedelta(days=2)
"""Counts of hours that are over for so long hardly ever change."""
READ_AGAIN: Final = timedelta(days=31)
A_MONTH: Final = timedelta(days=32)

Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Settled:
    """What was counted up to a UTC time, and what the table said of it."""

    until: datetime
    totals: tuple[int, int]
    sums: Gathered


def statistics(
    app: App, since: date | None, until: date | None, kept: dict[Span, Settled] | None = None
) -> Gathered:
    """Return how much the door is used; it names nobody, so no look goes on the audit log.

    It covers the month or the year that both local days lie in, else all time. With what is `kept`
    from call to call only the last days of years are read; the figures are the same, without days.
    """
    branch = zone(app.config)
    since_at, until_at = span = moments(*widened(since, until), branch)
    is_month = since_at and until_at and until_at - since_at < A_MONTH
    with closing(HourlyHistory(app.storage.visits_db)) as history:
        if kept is None or is_month:
            return gather(history.hours(*span), branch)
        long_ago = app.clock.moment().latest_known - SETTLED
        settled = _settled(history, span, long_ago, branch, kept)
        return gather(history.hours(settled.until, until_at), branch, settled.sums, daily=False)


def _settled(
    history: HourlyHistory, span: Span, until: datetime, branch: tzinfo, kept: dict[Span, Settled]
) -> Settled:
    since, ends = span
    until = max(min(until, ends or until), since or until)
    found = kept.get(span)
    if (
        found is None
        or until - found.until >= READ_AGAIN
        or history.totals(since, found.until) != found.totals
    ):
        # Asked first: what is counted while the rows are read makes them differ the next time.
        totals = history.totals(since, until)
        sums = gather(history.hours(since, until), branch, daily=False)
        kept[span] = found = Settled(until, totals, sums)
    return found
