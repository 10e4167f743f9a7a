"""The hours on the screen: today's, how soon it closes, when it opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.day import Override, opens_next, planned_changes
from doorctl.access.wall_time import MINUTE
from doorctl.core.moments import Moment

WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Opens:
    """When the branch opens again: in 0-14 days, on a weekday (Monday is 0), at minute 0-1439."""

    days: int
    weekday: int
    minute: int


@dataclass(frozen=True, slots=True)
class Staffed:
    """When staff are there next: in 0-6 days, on a weekday, from one minute to another, 0-1440."""

    days: int
    weekday: int
    starts: int
    ends: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """The hours at one minute; `mode` is None where it is unknown.

    `entry`: somebody new may come in; `minutes` until it closes, rounded up, None unless soon;
    `hours`, from which minute to which it is open today, staffed or not, None where not known or
    not counting; `opens` next, None unless closed by plan; `staffed` is None where staff are not
    there within a week.
    """

    mode: Mode | None
    entry: bool = True
    minutes: int | None = None
    hours: tuple[tuple[int, int], ...] | None = None
    opens: Opens | None = None
    staffed: Staffed | None = None


def outlook(
    calendar: Calendar | None,
    override: Override | None,
    moment: Moment,
    standing: tuple[Mode | None, bool],
    countdown_min: int,
) -> Outlook:
    """Return the hours for the screen; they hold for the minute of the moment.

    The next opening takes about 1 ms. `calendar` is None where it was not read; by an untrusted
    clock no time of day is shown. The last `countdown_min` minutes before closing are counted.
    """
    mode, no_entry = standing
    if calendar is None or not moment.dependable:
        return Outlook(mode, entry=not no_entry)
    return Outlook(
        mode,
        entry=not no_entry,
        minutes=_minutes(calendar, override, moment.local, countdown_min) if mode in OPEN else None,
        hours=None if _overridden(override, moment.local) else _today(calendar, moment.local),
        # The end of a lockdown is not shown in front of the door.
        opens=_opens(calendar, override, moment.local) if mode is Mode.CLOSED else None,
        staffed=_staffed(calendar, override, moment.local),
    )


def _minutes(
    calendar: Calendar, override: Override | None, local: datetime, countdown_min: int
) -> int | None:
    now = local.astimezone(UTC)
    changes = planned_changes(calendar, override, local, now + countdown_min * MINUTE)
    closes = next((instant for instant, mode in changes if mode not in OPEN), None)
    if closes is None:
        return None
    return -((now - closes) // MINUTE)


def _overridden(override: Override | None, local: datetime) -> bool:
    return override is not None and local.astimezone(UTC) < override.until


def _today(calendar: Calendar, local: datetime) -> tuple[tuple[int, int], ...] | None:
    if (spans := calendar.day(local.date())) is None:
        return None
    joined: list[tuple[int, int]] = []
    for span in spans:
        starts = joined.pop()[0] if joined and joined[-1][1] == span.starts else span.starts
        joined.append((starts, span.ends))
    return tuple(joined)


def _opens(calendar: Calendar, override: Override | None, local: datetime) -> Opens | None:
    instant = opens_next(calendar, override, local)
    if instant is None:
        return None
    days = (instant.date() - local.date()).days
    return Opens(days, instant.weekday(), instant.hour * 60 + instant.minute)


def _staffed(calendar: Calendar, override: Override | None, local: datetime) -> Staffed | None:
    """Return the next staffed span that begins after now, and after what staff set by hand."""
    after = local
    if override is not None and _overridden(override, local):
        after = override.until.astimezone(local.tzinfo)
    minute = after.hour * 60 + after.minute
    first = (after.date() - local.date()).days
    for days in range(first, WEEK_DAYS):
        day = local.date() + timedelta(days)
        for span in calendar.day(day) or ():
            if span.mode is Mode.STAFFED and (days > first or span.starts > minute):
                return Staffed(days, day.weekday(), span.starts, span.ends)
    return None
