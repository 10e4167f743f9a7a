"""What the screen at the door says of the hours: today's, how soon it closes, when it opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import LOOK_AHEAD, OPEN, Calendar, Mode
from doorctl.access.modes import Override, planned_changes
from doorctl.moments import Moment

ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Open from one minute after midnight to another, 0-1440; staffed or by card and PIN."""

    starts: int
    ends: int
    staffed: bool


@dataclass(frozen=True, slots=True)
class Opens:
    """When it opens again.

    Args:
        days: how many days from today, 0-14.
        weekday: of that day, Monday is 0.
        minute: of that day by the wall clock, 0-1439.
    """

    days: int
    weekday: int
    minute: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """The hours at one minute.

    Args:
        mode: what stands; None where nobody knows.
        entry: whether somebody new may come in before the house closes.
        minutes: until it closes, rounded up; None unless that is soon.
        hours: today's; None where the calendar doesn't count or the date is not known.
        opens: when it opens again; None unless it is closed by plan.
    """

    mode: Mode | None
    entry: bool = True
    minutes: int | None = None
    hours: tuple[Hours, ...] | None = None
    opens: Opens | None = None


def outlook(
    calendar: Calendar | None,
    override: Override | None,
    moment: Moment,
    standing: tuple[Mode | None, bool],
    countdown_min: int,
) -> Outlook:
    """Return what is said of the hours; holds for the minute of the moment.

    When it opens again takes about 1 ms to find.

    Args:
        calendar: None where it is missing or was not read yet.
        override: what staff have set last.
        moment: now; by a clock that is not to be trusted no time of day is told.
        standing: the mode that stands, and whether nobody new comes in any more.
        countdown_min: how many minutes before closing are counted.
    """
    mode, no_entry = standing
    if calendar is None or not moment.dependable:
        return Outlook(mode, entry=not no_entry)
    return Outlook(
        mode,
        entry=not no_entry,
        minutes=_minutes(calendar, override, moment.local, countdown_min) if mode in OPEN else None,
        hours=None if _overridden(override, moment.local) else _today(calendar, moment.local),
        # When a lockdown ends is told to nobody in front of the door.
        opens=_opens(calendar, override, moment.local) if mode is Mode.CLOSED else None,
    )


def _minutes(
    calendar: Calendar, override: Override | None, local: datetime, countdown_min: int
) -> int | None:
    now = local.astimezone(UTC)
    changes = planned_changes(calendar, override, local, now + countdown_min * ONE_MINUTE)
    closes = next((instant for instant, mode in changes if mode not in OPEN), None)
    if closes is None:
        return None
    return -((now - closes) // ONE_MINUTE)


def _overridden(override: Override | None, local: datetime) -> bool:
    return override is not None and local.astimezone(UTC) < override.until


def _today(calendar: Calendar, local: datetime) -> tuple[Hours, ...] | None:
    spans = calendar.day(local.date())
    if spans is None:
        return None
    return tuple(Hours(one.starts, one.ends, one.mode is Mode.STAFFED) for one in spans)


def _opens(calendar: Calendar, override: Override | None, local: datetime) -> Opens | None:
    end = local.astimezone(UTC) + LOOK_AHEAD
    changes = planned_changes(calendar, override, local, end)
    instant = next((instant for instant, mode in changes if mode in OPEN), None)
    if instant is None:
        return None
    days = (instant.date() - local.date()).days
    return Opens(days, instant.weekday(), instant.hour * 60 + instant.minute)
