"""Before closing: who no longer comes in."""

from __future__ import annotations

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
