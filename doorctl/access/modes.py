"""The mode that stands: what staff said until it ends, else the calendar; any doubt closes.

A change by staff holds at once and ends by itself; only a lockdown never ends into a door that
stands free: until staff lift it, the calendar's staffed hours are closed. What is planned, for
warnings and outputs, is told by :func:`planned` and :func:`planned_changes` over the same two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from doorctl.access.calendar import LOOK_AHEAD, OPEN, Calendar, Cause, Mode
from doorctl.moments import Moment


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
