"""The branch's day as it passes: the mode, and the warnings before it closes.

Calendar, staff's own change and a moment come in; what has to be done goes out. Everything is
computed once a minute and whenever a mode ends; in between it costs a comparison.

Calendars and warnings are whole minutes, so only the end of staff's own change
comes within a minute.

The mode is staff's own change until it ends, else the calendar's; any doubt closes. A change by
staff holds at once and ends by itself; only a lockdown never ends into a door that stands free:
until staff lift it, the calendar's staffed hours are closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import LOOK_AHEAD, OPEN, Calendar, Cause, Mode
from doorctl.access.wall_time import MINUTE
from doorctl.core.moments import Moment


@dataclass(frozen=True, slots=True)
class Override:
    """A mode that staff have set, until just before an aware instant, kept in UTC.

    `cause` is staff's own words, `by` their account. ValueError: `until` has no time zone.
    """

    mode: Mode
    until: datetime
    cause: str = field(default="", repr=False)
    by: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.until.tzinfo is None:
            raise ValueError("the end of an override has no time zone")
        object.__setattr__(self, "until", self.until.astimezone(UTC))


@dataclass(frozen=True, slots=True)
class Standing:
    """The current state of the branch; `mode` None is unknown, and nobody comes in.

    `until` is when it changes or is judged anew, None where not known or not within 14 days.
    `problem`: the calendar is missing, unreadable or at its end, also while staff have set a mode.
    """

    mode: Mode | None
    cause: Cause
    until: datetime | None = None
    problem: bool = False


def standing(calendar: Calendar | None, override: Override | None, moment: Moment) -> Standing:
    """Return the state of the branch at a moment, and until when; some 0.1 ms, on a Pi more."""
    found = judge(calendar, override, moment)
    if not moment.dependable:
        return found
    if found.cause is Cause.STAFF and override is not None:
        return replace(found, until=override.until)
    change = None if calendar is None else calendar.next_change(moment.local)
    return found if change is None else replace(found, until=change[0])


def judge(calendar: Calendar | None, override: Override | None, moment: Moment) -> Standing:
    """Return the state of the branch at a moment; `until` is left None.

    Without a calendar it is closed. An `override` that is over counts for nothing, but a lockdown.
    By an untrusted clock an override that closes holds, one that opens does not.
    """
    problem = calendar is None or (moment.dependable and calendar.mode_at(moment.local) is None)
    if override is not None and _holds(override, moment):
        return Standing(override.mode, Cause.STAFF, problem=problem)
    if calendar is None:
        return Standing(Mode.CLOSED, Cause.UNKNOWN_CALENDAR, problem=True)
    found = _by_calendar(calendar, moment)
    if _after_lockdown(found.mode, override) is found.mode:
        return found
    return Standing(Mode.CLOSED, Cause.LOCKDOWN)


def _after_lockdown(mode: Mode | None, override: Override | None) -> Mode | None:
    """Return the mode after staff's last change is over, from the calendar's mode."""
    lapsed = override is not None and override.mode is Mode.LOCKDOWN
    return Mode.CLOSED if lapsed and mode is Mode.STAFFED else mode


def _by_calendar(calendar: Calendar, moment: Moment) -> Standing:
    if not moment.dependable:
        if calendar.always_open:
            return Standing(Mode.SELF_SERVICE, Cause.SCHEDULE)
        return Standing(None, Cause.CLOCK)
    mode = calendar.mode_at(moment.local)
    return Standing(mode, calendar.cause_on(moment.local.date()), problem=mode is None)


def _holds(override: Override, moment: Moment) -> bool:
    if moment.dependable:
        return moment.local.astimezone(UTC) < override.until
    # The high-water mark is certainly past, so what ended before it has ended.
    return override.mode not in OPEN and moment.high_water.astimezone(UTC) < override.until


def planned(calendar: Calendar | None, override: Override | None, local: datetime) -> Mode:
    """Return the mode at a trusted time; closed where the calendar covers no such time."""
    if override is not None and local.astimezone(UTC) < override.until:
        return override.mode
    mode = calendar.mode_at(local) if calendar is not None else None
    return _after_lockdown(mode, override) or Mode.CLOSED


def planned_changes(
    calendar: Calendar | None, override: Override | None, after: datetime, until: datetime
) -> Iterator[tuple[datetime, Mode]]:
    """Yield each instant at which `planned` changes, and its new mode.

    From `after`, aware, not included, to `until`, included; the override is taken to stand before.
    """
    mode = planned(calendar, override, after)
    for instant in _instants(calendar, override, after, until):
        following = planned(calendar, override, instant)
        if following is not mode:
            yield instant, following
        mode = following


def next_planned_change(
    calendar: Calendar | None, override: Override | None, local: datetime
) -> tuple[datetime, Mode] | None:
    """Return the first planned change within 14 days, and the mode from then on; else None."""
    end = local.astimezone(UTC) + LOOK_AHEAD
    return next(planned_changes(calendar, override, local, end), None)


def opens_next(
    calendar: Calendar | None, override: Override | None, local: datetime
) -> datetime | None:
    """Return when patrons can come in: `local` if they can now, None if not in 14 days."""
    if planned(calendar, override, local) in OPEN:
        return local
    end = local.astimezone(UTC) + LOOK_AHEAD
    ahead = planned_changes(calendar, override, local, end)
    return next((instant for instant, mode in ahead if mode in OPEN), None)


def _instants(
    calendar: Calendar | None, override: Override | None, after: datetime, until: datetime
) -> Iterator[datetime]:
    start = after
    if override is not None and after.astimezone(UTC) < override.until:
        if override.until > until.astimezone(UTC):
            return
        start = override.until.astimezone(after.tzinfo)
        yield start
    if calendar is not None:
        yield from (instant for instant, _ in calendar.changes(start, until))


def no_entry(
    calendar: Calendar | None, override: Override | None, local: datetime, last_min: int
) -> bool:
    """Tell whether self-service is so near its end that nobody new comes in; `local` is trusted.

    `last_min` are real minutes before it ends in closed or lockdown, not in staffed; 0 for none.
    """
    if planned(calendar, override, local) is not Mode.SELF_SERVICE:
        return False
    end = local.astimezone(UTC) + timedelta(minutes=last_min)
    change = next(planned_changes(calendar, override, local, end), None)
    return change is not None and change[1] not in OPEN


SET_BACK = timedelta(days=1)
"""A clock that goes back by more than this was wrong before: warnings begin anew."""


@dataclass(frozen=True, slots=True)
class DayRules:
    """The branch's rules about its hours, in minutes before closing.

    Those inside are warned at `warn_min`; in the last `no_entry_min` before self-service ends in
    closed nobody new comes in.
    """

    warn_min: tuple[int, ...] = ()
    no_entry_min: int = 0


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """Another mode stands, or the same for another cause."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class ClosingWarned:
    """The house closes in so many minutes."""

    minutes: int


@dataclass(frozen=True, slots=True)
class CalendarLost:
    """The branch's hours are unknown: closed to patrons, and an alarm is due."""


@dataclass(frozen=True, slots=True)
class CalendarFound:
    """The end of :class:`CalendarLost`."""


DayEffect = CalendarLost | CalendarFound | ModeChanged | ClosingWarned


@dataclass(frozen=True, slots=True)
class Day:
    """The day as it stands; instants are UTC, and `calendar` is None where it can't be read.

    Args:
        standing: as of `seen`; None before the first look.
        seen: the moment of the last look; None where a new look is due.
        until: up to when that look holds; None by an unset clock.
        looked_until: up to when warnings were looked for.
        closes: when patrons have to be out as planned; None where that is far or nobody may be in.
        last_entry: from when on nobody new comes in; None likewise.
    """

    calendar: Calendar | None
    override: Override | None = None
    standing: Standing | None = None
    seen: Moment | None = None
    until: datetime | None = None
    looked_until: datetime | None = None
    closes: datetime | None = None
    last_entry: datetime | None = None

    def mode_at(self, moment: Moment, rules: DayRules) -> tuple[Mode | None, bool]:
        """Return the mode at a moment, and whether nobody new comes in shortly before closing.

        As `judge` and `no_entry`, to the microsecond, also where the last look is old or missing.
        """
        if self.standing is None or not self.looked_at(moment):
            last_min = rules.no_entry_min if moment.dependable else 0
            late = no_entry(self.calendar, self.override, moment.local, last_min)
            return judge(self.calendar, self.override, moment).mode, late
        return self.standing.mode, self.last_entry is not None and self.last_entry <= _utc(moment)

    def looked_at(self, moment: Moment) -> bool:
        """Tell whether the last look still holds at a moment."""
        seen = self.seen
        if seen is None or moment.state is not seen.state:
            return False
        if self.until is None:
            return moment.high_water == seen.high_water
        return _utc(seen) <= _utc(moment) < self.until


def with_hours(day: Day, calendar: Calendar | None, override: Override | None) -> Day:
    """Return the day with another calendar and another change by staff; a new look is due."""
    return replace(day, calendar=calendar, override=override, seen=None)


def turned(day: Day, moment: Moment, rules: DayRules) -> tuple[Day, tuple[DayEffect, ...]]:
    """Look at the clock: return the day as it stands now, and what has to be done.

    Without a dependable clock nothing is warned of; the mode is found all the same.
    """
    if day.looked_at(moment):
        return day, ()
    now = standing(day.calendar, day.override, moment)
    effects = _changed(day.standing, now)
    after = replace(day, standing=now, seen=moment, until=None, closes=None, last_entry=None)
    if not moment.dependable:
        return after, effects
    after = _dated(after, now, moment, rules)
    return after, (*effects, *_warned(day.looked_until, after, moment, rules))


def _changed(before: Standing | None, now: Standing) -> tuple[DayEffect, ...]:
    effects: list[DayEffect] = []
    if now.problem is not (before is not None and before.problem):
        effects.append(CalendarLost() if now.problem else CalendarFound())
    if before is None or (now.mode, now.cause) != (before.mode, before.cause):
        effects.append(ModeChanged(now))
    return tuple(effects)


def _dated(day: Day, now: Standing, moment: Moment, rules: DayRules) -> Day:
    """Return the day with everything that needs a right clock."""
    at = _utc(moment)
    minute_ends = at.replace(second=0, microsecond=0) + MINUTE
    mode_ends = minute_ends if now.until is None else now.until.astimezone(UTC)
    closes, last_entry = _closing(day, now, moment, rules)
    set_back = day.looked_until is not None and day.looked_until - at > SET_BACK
    return replace(
        day,
        until=min(minute_ends, mode_ends),
        # A warning is not repeated after a clock went back a little.
        looked_until=at if day.looked_until is None or set_back else max(at, day.looked_until),
        closes=closes,
        last_entry=last_entry,
    )


def _closing(
    day: Day, now: Standing, moment: Moment, rules: DayRules
) -> tuple[datetime | None, datetime | None]:
    """Return in UTC when patrons have to be out, and from when on nobody new comes in."""
    farthest_min = max((rules.no_entry_min, *rules.warn_min))
    if now.mode not in OPEN or not farthest_min:
        return None, None
    end = _utc(moment) + timedelta(minutes=farthest_min) + MINUTE
    changes = list(planned_changes(day.calendar, day.override, moment.local, end))
    closings = (instant.astimezone(UTC) for instant, mode in changes if mode not in OPEN)
    closes = next(closings, None)
    if closes is None or now.mode is not Mode.SELF_SERVICE or changes[0][1] in OPEN:
        return closes, None
    return closes, closes - timedelta(minutes=rules.no_entry_min)


def _warned(
    looked_until: datetime | None, day: Day, moment: Moment, rules: DayRules
) -> tuple[DayEffect, ...]:
    """Warn of the next closing; a closing that is over gets no warning."""
    if looked_until is None or day.closes is None:
        return ()
    now = _utc(moment)
    due = [
        minutes
        for minutes in rules.warn_min
        if looked_until < (at := day.closes - timedelta(minutes=minutes)) <= now
        and _open_since(at, day, moment)
    ]
    # A late look gives the shortest warning only.
    return (ClosingWarned(min(due)),) if due else ()


def _open_since(at: datetime, day: Day, moment: Moment) -> bool:
    """Tell whether patrons could be in ever since an instant: else there is nobody to warn."""
    since = at.astimezone(moment.local.tzinfo)
    changes = planned_changes(day.calendar, day.override, since, moment.local)
    modes = (planned(day.calendar, day.override, since), *(mode for _, mode in changes))
    return OPEN.issuperset(modes)


def _utc(moment: Moment) -> datetime:
    return moment.local.astimezone(UTC)
