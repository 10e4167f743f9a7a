"""Before closing: who no longer comes in, and which warnings are due."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from doorctl.access.calendar import OPEN, Calendar, Mode
from doorctl.access.modes import Override, planned, planned_changes


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


def warnings_due(
    calendar: Calendar | None,
    override: Override | None,
    earlier: datetime,
    later: datetime,
    warn_min: Iterable[int],
) -> tuple[int, ...]:
    """Return which warnings fall due after one instant and up to another, the longest first.

    A warning falls due so many real minutes before patrons must be out: before staffed or
    self-service becomes closed or lockdown, not where one of them follows the other. Where it
    was not open yet at that time, there is nobody to warn.

    Args:
        calendar: as for `standing`.
        override: as for `standing`.
        earlier: when this was asked last, trusted, aware, in the branch's time zone.
        later: now, likewise. Who was away for long gets every warning of that time at once and
            says the shortest.
        warn_min: minutes before the end.
    """
    asked = sorted(set(warn_min), reverse=True)
    if not asked:
        return ()
    start, end = earlier.astimezone(UTC), later.astimezone(UTC)
    due: set[int] = set()
    for closing in _closings(calendar, override, earlier, end + timedelta(minutes=asked[0])):
        for minutes in asked:
            at = closing.astimezone(UTC) - timedelta(minutes=minutes)
            local = at.astimezone(earlier.tzinfo)
            if start < at <= end and planned(calendar, override, local) in OPEN:
                due.add(minutes)
    return tuple(minutes for minutes in asked if minutes in due)


def _closings(
    calendar: Calendar | None, override: Override | None, after: datetime, until: datetime
) -> list[datetime]:
    mode = planned(calendar, override, after)
    found = []
    for instant, following in planned_changes(calendar, override, after, until):
        if mode in OPEN and following not in OPEN:
            found.append(instant)
        mode = following
    return found
