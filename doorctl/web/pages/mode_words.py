"""What the modes and their causes are called, on every page that shows them; in English."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from doorctl.access.calendar import Cause, Mode
from doorctl.access.hours import DAY_MINUTES

MODES: Mapping[Mode | None, str] = MappingProxyType(
    {
        Mode.STAFFED: "Staffed",
        Mode.SELF_SERVICE: "Self-service",
        Mode.CLOSED: "Closed",
        Mode.LOCKDOWN: "Locked down",
        None: "Not known",
    }
)

CAUSES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.SCHEDULE: "the usual hours",
        Cause.EXCEPTION: "an exception for this date",
        Cause.HOLIDAY: "a public holiday",
        Cause.STAFF: "set by hand",
        Cause.LOCKDOWN: "a lockdown is over, and staff have to lift it",
        Cause.UNKNOWN_CALENDAR: "the calendar is missing or at its end",
        Cause.CLOCK: "the clock is not set",
    }
)

SETTABLE: Final = (Mode.STAFFED, Mode.SELF_SERVICE, Mode.CLOSED, Mode.LOCKDOWN)
"""What staff may set by hand, in the order in which it is offered."""


def minutes(after_midnight: int) -> str:
    """Return "07:05" for minutes after midnight: 24:00 ends a day, 00:00 begins one."""
    told = after_midnight if after_midnight <= DAY_MINUTES else after_midnight - DAY_MINUTES
    return f"{told // 60:02}:{told % 60:02}"
