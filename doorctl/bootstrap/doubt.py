"""A trusted clock that is far behind an earlier trusted one: one of the two was wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from doorctl.moments import Moment

CLOCK_DOUBT = timedelta(days=1)
"""A high-water mark that is less ahead hides nothing that anybody misses."""


def is_set_back(moment: Moment) -> bool:
    """Tell whether the highest trusted time, which retention counts from, is not to be believed."""
    return moment.dependable and moment.high_water - moment.local > CLOCK_DOUBT


class ClockDoubt:
    """Alarms once a run: it lasts until the time has come, and somebody has to look once.

    Args:
        alarm: takes the kind and the text of the alarm.
    """

    def __init__(self, alarm: Callable[[str, str], None]) -> None:
        self._alarm = alarm
        self._told = False

    def look(self, moment: Moment) -> None:
        """Alarm if there is doubt for the first time."""
        if is_set_back(moment) and not self._told:
            self._told = True
            why = f"a trusted clock once said {moment.high_water:%Y-%m-%d}; older visits are hidden"
            self._alarm("clock_set_back", why)
