"""The branch's day as it passes: which mode stands, who is warned, what is switched on.

Calendar and staff's own change come in, a moment comes in, what has to be done goes out. All of it
is found anew once a minute and whenever a mode ends; in between it costs a comparison.

Calendars, warnings and offsets are whole minutes, so nothing but the end of staff's own change
comes within one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.closing import no_entry
from doorctl.access.modes import Override, Standing, judge, planned, planned_changes, standing
from doorctl.access.outputs import Output, outputs_on
from doorctl.moments import Moment

ONE_MINUTE = timedelta(minutes=1)

SET_BACK = timedelta(days=1)
"""A clock that goes back by more than this was wrong before: warnings begin anew."""


@dataclass(frozen=True, slots=True)
class DayRules:
    """What follows from the hours at this branch.

    Args:
        warn_min: minutes before closing at which those inside are warned.
        no_entry_min: for how many minutes before self-service ends in closed nobody new comes in.
        outputs: what is switched with the modes.
    """

    warn_min: tuple[int, ...] = ()
    no_entry_min: int = 0
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """Another mode stands, or the same for another cause."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class ClosingWarned:
    """The house closes in so many minutes."""

    minutes: int


@dataclass(frozen=True, slots=True)
class OutputsChanged:
    """Exactly these outputs are on from now on."""

    on: frozenset[str]


@dataclass(frozen=True, slots=True)
class CalendarLost:
    """Nobody knows the branch's hours: closed to patrons, and somebody has to be told."""


@dataclass(frozen=True, slots=True)
class CalendarFound:
    """What :class:`CalendarLost` told is over."""


DayEffect = CalendarLost | CalendarFound | ModeChanged | ClosingWarned | OutputsChanged


@dataclass(frozen=True, slots=True)
class Day:
    """The day as it stands.

    Args:
        calendar: None where it is missing or can't be read.
        override: what staff have set.
        standing: as of `seen`; None before the first look.
        seen: the moment of the last look; None where it has to be looked at anew.
        until: up to when that look tells all there is, UTC; None by an unset clock.
        asked: up to when warnings were looked for, UTC.
        closes: when patrons have to be out as planned, UTC; None where that is further away than
            any warning, or where nobody may be in.
        last_entry: from when on nobody new comes in, UTC; None likewise.
        on: the outputs that are on; None before the first look by a dependable clock.
    """

    calendar: Calendar | None
    override: Override | None = None
    standing: Standing | None = None
    seen: Moment | None = None
    until: datetime | None = None
    asked: datetime | None = None
    closes: datetime | None = None
    last_entry: datetime | None = None
    on: frozenset[str] | None = None

    def mode_at(self, moment: Moment, rules: DayRules) -> tuple[Mode | None, bool]:
        """Return the mode at a moment, and whether nobody new comes in shortly before closing.

        As `judge` and `no_entry` say, to the microsecond, also where the last look is a second
        old or there was none.
        """
        if self.standing is None or not self.looked_at(moment):
            last_min = rules.no_entry_min if moment.dependable else 0
            late = no_entry(self.calendar, self.override, moment.local, last_min)
            return judge(self.calendar, self.override, moment).mode, late
        return self.standing.mode, self.last_entry is not None and self.last_entry <= _utc(moment)

    def looked_at(self, moment: Moment) -> bool:
        """Tell whether the last look still says all that there is at a moment."""
        seen = self.seen
        if seen is None or moment.state is not seen.state:
            return False
        if self.until is None:
            return moment.high_water == seen.high_water
        return _utc(seen) <= _utc(moment) < self.until


def told(day: Day, calendar: Calendar | None, override: Override | None) -> Day:
    """Return the day by another calendar and another change of staff's; look at it next."""
    return replace(day, calendar=calendar, override=override, seen=None)


def turned(day: Day, moment: Moment, rules: DayRules) -> tuple[Day, tuple[DayEffect, ...]]:
    """Look at the clock: return the day as it stands now, and what has to be done.

    Args:
        day: as it stood.
        moment: now. Warnings and outputs want a dependable clock; without one they stay as they
            are, while the mode is found all the same.
        rules: the branch's.
    """
    if day.looked_at(moment):
        return day, ()
    now = standing(day.calendar, day.override, moment)
    effects = _told_of(day.standing, now)
    after = replace(day, standing=now, seen=moment, until=None, closes=None, last_entry=None)
    if not moment.dependable:
        return after, effects
    after = _dated(after, now, moment, rules)
    warned = _warned(day.asked, after, moment, rules)
    switched = () if after.on is None or after.on == day.on else (OutputsChanged(after.on),)
    return after, (*effects, *warned, *switched)


def _told_of(before: Standing | None, now: Standing) -> tuple[DayEffect, ...]:
    effects: list[DayEffect] = []
    if now.problem is not (before is not None and before.problem):
        effects.append(CalendarLost() if now.problem else CalendarFound())
    if before is None or (now.mode, now.cause) != (before.mode, before.cause):
        effects.append(ModeChanged(now))
    return tuple(effects)


def _dated(day: Day, now: Standing, moment: Moment, rules: DayRules) -> Day:
    """Return the day with all that a clock has to be right for."""
    at = _utc(moment)
    minute_ends = at.replace(second=0, microsecond=0) + ONE_MINUTE
    mode_ends = minute_ends if now.until is None else now.until.astimezone(UTC)
    closes, last_entry = _closing(day, now, moment, rules)
    set_back = day.asked is not None and day.asked - at > SET_BACK
    return replace(
        day,
        until=min(minute_ends, mode_ends),
        # What was told before a clock went back a little is not told again.
        asked=at if day.asked is None or set_back else max(at, day.asked),
        closes=closes,
        last_entry=last_entry,
        on=outputs_on(rules.outputs, day.calendar, day.override, moment.local),
    )


def _closing(
    day: Day, now: Standing, moment: Moment, rules: DayRules
) -> tuple[datetime | None, datetime | None]:
    """Return in UTC when patrons have to be out, and from when on nobody new comes in.

    Staff and self-service may follow each other before that; then everybody comes in.
    """
    farthest_min = max((rules.no_entry_min, *rules.warn_min))
    if now.mode not in OPEN or not farthest_min:
        return None, None
    end = _utc(moment) + timedelta(minutes=farthest_min) + ONE_MINUTE
    changes = list(planned_changes(day.calendar, day.override, moment.local, end))
    closings = (instant.astimezone(UTC) for instant, mode in changes if mode not in OPEN)
    closes = next(closings, None)
    if closes is None or now.mode is not Mode.SELF_SERVICE or changes[0][1] in OPEN:
        return closes, None
    return closes, closes - timedelta(minutes=rules.no_entry_min)


def _warned(
    asked: datetime | None, day: Day, moment: Moment, rules: DayRules
) -> tuple[DayEffect, ...]:
    """Warn of the closing that comes next; one that is over by now is warned of no more."""
    if asked is None or day.closes is None:
        return ()
    now = _utc(moment)
    due = [
        minutes
        for minutes in rules.warn_min
        if asked < (at := day.closes - timedelta(minutes=minutes)) <= now
        and _open_since(at, day, moment)
    ]
    # Whoever looks late says the shortest only.
    return (ClosingWarned(min(due)),) if due else ()


def _open_since(at: datetime, day: Day, moment: Moment) -> bool:
    """Tell whether patrons could be in all the time since an instant: else nobody is to warn."""
    since = at.astimezone(moment.local.tzinfo)
    changes = planned_changes(day.calendar, day.override, since, moment.local)
    modes = (planned(day.calendar, day.override, since), *(mode for _, mode in changes))
    return OPEN.issuperset(modes)


def _utc(moment: Moment) -> datetime:
    return moment.local.astimezone(UTC)
