"""The branch's day as it passes: which mode stands, who is warned, what is switched on.

Calendar and staff's own change come in, a moment comes in, what has to be done goes out. All of it
is found anew once a minute and whenever a mode ends; in between it costs a comparison.

Calendars, warnings and offsets are whole minutes, so nothing but the end of staff's own change
comes within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import LOOK_AHEAD, OPEN, Calendar, Cause, Mode
from doorctl.core.moments import Moment

# The mode that stands: what staff said until it ends, else the calendar; any doubt closes.
#
# A change by staff holds at once and ends by itself; only a lockdown never ends into a door that
# stands free: until staff lift it, the calendar's staffed hours are closed. What is planned, for
# warnings and outputs, is told by :func:`planned` and :func:`planned_changes` over the same two.


@dataclass(frozen=True, slots=True)
class Override:
    """A mode that staff have set.

    Args:
        mode: any.
        until: when it ends, aware, kept in UTC; it no longer holds at that instant.
        cause: why, in their words.
        by: the account that set it.

    Raises:
        ValueError: `until` has no time zone.
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
    """What the branch is just now.

    Args:
        mode: None where nobody knows: nobody comes in, as when closed.
        cause: why.
        until: when it becomes another or is judged anew, aware; None where that is not known, or
            not within 14 days.
        problem: whether the calendar is missing, unreadable or at its end: somebody has to be
            told, whatever staff have set meanwhile.
    """

    mode: Mode | None
    cause: Cause
    until: datetime | None = None
    problem: bool = False


def standing(calendar: Calendar | None, override: Override | None, moment: Moment) -> Standing:
    """Return what the branch is at a moment, and until when.

    Finding the end takes some 0.1 ms, on a Pi more; a decision about a card asks `judge`. What is
    passed in is as for that.
    """
    found = judge(calendar, override, moment)
    if not moment.dependable:
        return found
    if found.cause is Cause.STAFF and override is not None:
        return replace(found, until=override.until)
    change = None if calendar is None else calendar.next_change(moment.local)
    return found if change is None else replace(found, until=change[0])


def judge(calendar: Calendar | None, override: Override | None, moment: Moment) -> Standing:
    """Return what the branch is at a moment; `until` is left None.

    Args:
        calendar: None where it is missing or can't be read: closed.
        override: what staff have set last and not ended; one that is over counts for nothing, but
            for a lockdown.
        moment: now. By an untrusted clock only what needs no clock opens: a calendar without
            hours. An override that closes still holds, one that opens does not.
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
    """Return what the calendar's mode comes to where the last change by staff is over."""
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
    """Return the mode at a time that is trusted; closed where the calendar says nothing."""
    if override is not None and local.astimezone(UTC) < override.until:
        return override.mode
    mode = calendar.mode_at(local) if calendar is not None else None
    return _after_lockdown(mode, override) or Mode.CLOSED


def planned_changes(
    calendar: Calendar | None,
    override: Override | None,
    after: datetime,
    until: datetime,
) -> Iterator[tuple[datetime, Mode]]:
    """Yield each instant after one and up to another at which `planned` becomes another.

    Args:
        calendar: as for `standing`.
        override: taken to have stood since before `after`.
        after: aware, in the branch's time zone; not included.
        until: aware; included.
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


# Before closing: who no longer comes in.


def no_entry(
    calendar: Calendar | None, override: Override | None, local: datetime, last_min: int
) -> bool:
    """Tell whether self-service is so near its end that nobody new comes in.

    Args:
        calendar: as for `standing`.
        override: as for `standing`.
        local: now, trusted, aware, in the branch's time zone.
        last_min: for how many real minutes before self-service ends in closed (or lockdown)
            nobody comes in; 0 for none. Where staff take over, everybody does.
    """
    if planned(calendar, override, local) is not Mode.SELF_SERVICE:
        return False
    end = local.astimezone(UTC) + timedelta(minutes=last_min)
    change = next(planned_changes(calendar, override, local, end), None)
    return change is not None and change[1] not in OPEN


# What else follows the mode: light, alarm arming, patrons' PCs, each with an offset.


@dataclass(frozen=True, slots=True)
class Output:
    """Something that is on in some modes.

    Args:
        name: what it is called.
        modes: when it is on.
        lead_min: real minutes by which it goes on before such a mode starts; negative: after.
        lag_min: real minutes by which it goes off after such a mode ends; negative: before.
    """

    name: str
    modes: frozenset[Mode]
    lead_min: int = 0
    lag_min: int = 0


def outputs_on(
    outputs: Iterable[Output],
    calendar: Calendar | None,
    override: Override | None,
    local: datetime,
) -> frozenset[str]:
    """Return the names of the outputs that are on.

    While staff have set the mode, it alone counts, without offsets: nobody could have known of
    it before, and a lockdown must not wait. Where the calendar says nothing it is closed.

    Args:
        outputs: all there are.
        calendar: as for `standing`.
        override: as for `standing`.
        local: now, trusted, aware, in the branch's time zone.
    """
    if override is not None and local.astimezone(UTC) < override.until:
        return frozenset(one.name for one in outputs if override.mode in one.modes)
    return frozenset(one.name for one in outputs if _is_on(one, calendar, local))


def _is_on(output: Output, calendar: Calendar | None, local: datetime) -> bool:
    now = local.astimezone(UTC)
    lead, lag = timedelta(minutes=output.lead_min), timedelta(minutes=output.lag_min)
    return any(
        (starts is None or starts - lead <= now) and (ends is None or now < ends + lag)
        for starts, ends in _runs(output, calendar, local)
    )


def _runs(
    output: Output, calendar: Calendar | None, local: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Yield start and end, UTC, of each time without a break in the output's modes.

    Only those near enough to count; None for a bound that is too far away for any offset.
    """
    reach = timedelta(minutes=max(abs(output.lead_min), abs(output.lag_min)))
    now = local.astimezone(UTC)
    after = (now - reach).astimezone(local.tzinfo)
    started: datetime | None = None
    running = planned(calendar, None, after) in output.modes
    for instant, mode in planned_changes(calendar, None, after, now + reach):
        at = instant.astimezone(UTC)
        if running and mode not in output.modes:
            yield started, at
        elif not running and mode in output.modes:
            started = at
        running = mode in output.modes
    if running:
        yield started, None


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
