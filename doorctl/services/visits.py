"""The door log: read from the file, searched by keys that the door makes, and counted."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

from doorctl.access.code_throttle import CODES_KEY
from doorctl.core.errors import InputError
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, open_attempts, shown_since
from doorctl.lookup.cards import keys_of
from doorctl.lookup.configured import local, zone
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.services.branch import note
from doorctl.services.picture import (
    DAY,
    HOUR,
    Picture,
    events_of,
    morning_before,
    night_begins,
    of_branch,
    picture_of,
)
from doorctl.services.register import numbers_of, open_register
from doorctl.store.door_log import (
    EVERY,
    VISIT_COLUMNS,
    DoorEvent,
    DoorLogRows,
    LogFilter,
    Visit,
    VisitHistory,
)

LAST_OF_CARD: Final = 6


def as_dict(visit: Visit) -> dict[str, Any]:
    """Return an attempt for scripts, by the names of its fields; `at` has milliseconds."""
    held = {name: getattr(visit, name) for name in VISIT_COLUMNS}
    at = visit.at.isoformat(timespec="milliseconds")
    return held | {"at": at, "clock": visit.clock.value}


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


def view(
    app: App, chosen: LogFilter, *, before: int | None, limit: int, night: bool = False
) -> LogView:
    """Return attempts with numbers below `before`, or the newest, with events and the picture.

    `chosen` has both its times; a `night` is from when the house was closed until now.
    """
    written, branch = version(app), of_branch(app)
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
            events = events_of(rows, branch, since, ends)
        picture = picture_of(rows, chosen, branch.calendar, now)
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
    now, branch = app.clock.moment().local, of_branch(app)
    since = night_begins(branch.calendar, now)
    chosen = LogFilter(since=since)
    with open_attempts(app) as rows:
        slots = rows.counts(chosen, DAY)
        refused = rows.newest(replace(chosen, verdict="refused"), None, limit)
        events = events_of(rows, branch, since, now + HOUR)
    granted, shut_out = (sum(slot.granted for slot in slots), sum(slot.refused for slot in slots))
    return Night(since, granted, shut_out, tuple(refused), events, hidden(app))


@dataclass(frozen=True, slots=True)
class FinishedNight:
    """What happened from closing until six in the morning, local; `events` without pushes."""

    since: datetime
    until: datetime
    granted: int
    refused: int
    events: int


def finished_night(app: App, after: datetime | None = None) -> FinishedNight | None:
    """Return the counts of the last night that is over.

    None while the clock is not known to be right, and where that night ended no later than `after`.
    Later it is the same but for what is erased meanwhile.
    """
    moment = app.clock.bounded()
    if not moment.settled:
        return None
    until = morning_before(moment.local)
    if after is not None and until <= after:
        return None
    branch = of_branch(app)
    since = night_begins(branch.calendar, until)
    with open_attempts(app) as rows:
        slots = rows.counts(LogFilter(since=since, until=until), HOUR)
        events = events_of(rows, branch, since, until)
    granted, refused = (sum(slot.granted for slot in slots), sum(slot.refused for slot in slots))
    told = sum(event.kind != "push" for event in events)
    return FinishedNight(since, until, granted, refused, told)


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


def list_visits(
    app: App, since: datetime | None, why: str = "", last: int | None = None
) -> list[Visit]:
    """Return the visits that may be shown, oldest first; the look is first noted on the audit log.

    A `since` without an offset is local; None means all. Of these the newest `last`, if given.
    """
    not_before = shown_since(app)
    if since is not None:
        not_before = max(not_before, local(since, app.config))
    with closing(VisitHistory(app.storage.visits_db)) as history:
        visits = list(deque(history.visits(not_before), last))
    since_then = not_before.isoformat(timespec="seconds")
    details: Details = {"since": since_then, "visits": len(visits)}
    note(app, Deed(Action.VISITS_LISTED, why=why, details=details))
    return visits


Span = tuple[datetime | None, datetime | None]
