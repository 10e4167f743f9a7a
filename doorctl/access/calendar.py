"""What the branch is at every local minute: a week, dated days over it, and how far it is known.

All rules use the time that clocks on the wall show. When the clocks go back, an hour that comes
twice is judged the same twice; when they go forward, the skipped hour is never judged. Only
:meth:`Calendar.changes` uses real time, so that a change is reported at the instant it happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from itertools import pairwise
from types import MappingProxyType

from doorctl.access.wall_time import ONE_DAY, clock_change, instants_of

DAY_MINUTES = 24 * 60
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` until just before `closes`, minutes after the same midnight.

    `opens` is 0-1439; `closes` is more, and over 1440 for a span that ends on the next day.
    """

    opens: int
    closes: int


LOOK_AHEAD = timedelta(days=14)
"""How far ahead a next change is searched; the website's hours are kept as far ahead."""


class Mode(Enum):
    """What the branch is to patrons."""

    STAFFED = "staffed"
    """The door is free; somebody is at the desk."""
    SELF_SERVICE = "self_service"
    """Card and PIN."""
    CLOSED = "closed"
    LOCKDOWN = "lockdown"
    """Nobody but emergency passes; never in a calendar, only by staff."""


OPEN = frozenset({Mode.STAFFED, Mode.SELF_SERVICE})
"""The modes in which patrons come in, and the only ones that a calendar contains."""


class Cause(Enum):
    """Why a mode stands."""

    SCHEDULE = "schedule"
    EXCEPTION = "exception"
    HOLIDAY = "holiday"
    STAFF = "staff"
    LOCKDOWN = "lockdown"
    """A lockdown has ended and was not lifted by staff, so the door does not stand free."""
    UNKNOWN_CALENDAR = "unknown_calendar"
    CLOCK = "clock"


BY_STAFF = frozenset({Cause.STAFF, Cause.LOCKDOWN})
"""Causes that come from staff's last change; staff can end them."""


@dataclass(frozen=True, slots=True)
class ModeSpan:
    """A mode of `OPEN` from `starts`, 0-1439, until just before `ends`, at most a day later.

    Both count from the same midnight; outside all spans it is closed. ValueError: other values.
    """

    mode: Mode
    starts: int
    ends: int

    def __post_init__(self) -> None:
        if self.mode not in OPEN:
            raise ValueError(f"a calendar has no spans of {self.mode.value}")
        if not 0 <= self.starts < DAY_MINUTES or not 0 < self.ends - self.starts <= DAY_MINUTES:
            raise ValueError(f"no span of a day: minutes {self.starts} to {self.ends}")


Day = tuple[ModeSpan, ...]
"""A day's spans; where two overlap, `Mode.STAFFED` wins. None: closed."""

ALL_DAY: Day = (ModeSpan(Mode.SELF_SERVICE, 0, DAY_MINUTES),)


@dataclass(frozen=True, slots=True)
class DatedDay:
    """All hours of one date, in place of the week's; `note` may be the holiday's name."""

    spans: Day
    cause: Cause = Cause.EXCEPTION
    note: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The branch's hours; immutable, so thread-safe.

    `week` is seven days, Monday first; None for self-service at all hours. `days` replace whole
    local dates, tails too. `known_until` is the last date that it covers; None for ever.
    """

    week: tuple[Day, ...] | None = None
    days: Mapping[date, DatedDay] = field(default_factory=dict)
    known_until: date | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "days", MappingProxyType(dict(self.days)))

    @property
    def always_open(self) -> bool:
        """Whether it is self-service at every time, so that no clock is needed."""
        return self.week is None and not self.days and self.known_until is None

    def mode_at(self, local: datetime) -> Mode | None:
        """Return the mode at a local time; None, which opens nothing, after `known_until`."""
        if not self._knows(local.date()):
            return None
        # Spans begin and end on whole minutes, so what goes beyond the minute can't matter.
        return _mode(self.spans(local.date()), local.hour * 60 + local.minute)

    def cause_on(self, day: date) -> Cause:
        """Return why the hours of a date are what they are."""
        dated = self.days.get(day)
        if not self._knows(day):
            return Cause.UNKNOWN_CALENDAR
        return Cause.SCHEDULE if dated is None else dated.cause

    def day(self, day: date) -> Day | None:
        """Return a date's open spans, from midnight to midnight, in order and without overlaps.

        None after `known_until`; of two that overlap only `Mode.STAFFED` is left.
        """
        return _resolved(self.spans(day)) if self._knows(day) else None

    def spans(self, day: date) -> Day:
        """Return a date's hours as given: they may begin with the tail of the day before."""
        if day in self.days:
            return self._own(day)
        before = self._own(day - ONE_DAY)
        tails = (
            ModeSpan(span.mode, 0, span.ends - DAY_MINUTES)
            for span in before
            if span.ends > DAY_MINUTES
        )
        return (*tails, *self._own(day))

    def changes(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, Mode | None]]:
        """Yield each instant at which `mode_at` changes, in the zone of `after`, and its new mode.

        From `after`, aware, not included, to `until`, included.
        """
        zone = after.tzinfo
        mode = self.mode_at(after)
        for instant in self._instants(after, until):
            local = instant.astimezone(zone)
            following = self.mode_at(local)
            if following is not mode:
                yield local, following
            mode = following

    def next_change(self, local: datetime) -> tuple[datetime, Mode | None] | None:
        """Return the first change within `LOOK_AHEAD`, and the mode from then on; else None."""
        # Most changes come within a day; laying out all 14 costs six times as much.
        now = local.astimezone(UTC)
        found = (next(self.changes(local, now + reach), None) for reach in (ONE_DAY, LOOK_AHEAD))
        return next((change for change in found if change is not None), None)

    def _knows(self, day: date) -> bool:
        return self.known_until is None or day <= self.known_until

    def _own(self, day: date) -> Day:
        if (dated := self.days.get(day)) is not None:
            return dated.spans
        return ALL_DAY if self.week is None else self.week[day.weekday()]

    def _instants(self, after: datetime, until: datetime) -> list[datetime]:
        """Return, in order, every instant at which the mode may change, in UTC."""
        zone = after.tzinfo
        first, last = after.astimezone(UTC), until.astimezone(UTC)
        found: set[datetime] = set()
        day, end = after.date(), until.astimezone(zone).date()
        while day <= end:
            found.update(instants_of(day, _bounds(self.spans(day)), zone))
            found.update(clock_change(day, zone))
            day += ONE_DAY
        return sorted(instant for instant in found if first < instant <= last)


def _mode(spans: Day, minute: int) -> Mode:
    modes = {span.mode for span in spans if span.starts <= minute < span.ends}
    if Mode.STAFFED in modes:
        return Mode.STAFFED
    return Mode.SELF_SERVICE if modes else Mode.CLOSED


def _bounds(spans: Day) -> list[int]:
    """Return where a date's mode may change: its midnight, and each end that lies within it."""
    inner = {bound for span in spans for bound in (span.starts, span.ends) if bound < DAY_MINUTES}
    return sorted({0, *inner})


def _resolved(spans: Day) -> Day:
    bounds = [*_bounds(spans), DAY_MINUTES]
    found: list[ModeSpan] = []
    for starts, ends in pairwise(bounds):
        mode = _mode(spans, starts)
        if found and found[-1].mode is mode and found[-1].ends == starts:
            found[-1] = ModeSpan(mode, found[-1].starts, ends)
        elif mode in OPEN:
            found.append(ModeSpan(mode, starts, ends))
    return tuple(found)


class DaySource(Enum):
    """Where the hours of a date come from."""

    CONFIG = "config"
    HOLIDAY = "holiday"
    STAFF = "staff"
    WEBSITE = "website"


@dataclass(frozen=True, slots=True)
class StoredDay:
    """The hours of one date from one source; `note` is for people ("Grundlovsdag")."""

    day: date
    spans: Day
    note: str = ""


@dataclass(frozen=True, slots=True)
class StoredDays:
    """All the hours from one source; days that are past stay for a month.

    `known_until` is the last date that the source covered, also by leaving it out; None where it
    only names exceptions. `fetched_at` is UTC.
    """

    days: tuple[StoredDay, ...]
    known_until: date | None
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class StoredWeek:
    """The usual week that staff have set, Monday first; ValueError where it has not seven days."""

    days: tuple[Day, ...]

    def __post_init__(self) -> None:
        if len(self.days) != len(WEEKDAYS):
            raise ValueError(f"no week: {len(self.days)} days")


@dataclass(frozen=True, slots=True)
class StoredCalendar:
    """The branch's stored hours; the calendar decides which source goes before which.

    `sources` are those that ever had any hours; `week` is None until staff have set one. Of the
    dates that are `damaged` the hours can't be read: then it is closed.
    """

    sources: Mapping[DaySource, StoredDays] = field(default_factory=dict)
    week: StoredWeek | None = None
    damaged: frozenset[date] = frozenset()
