"""Ends APScheduler's own thread, as an exception in it would."""

from __future__ import annotations

import logging
import threading

from doorctl.doord.chores import PurgeSchedule

LIMIT_S = 10.0
LOGGER = logging.getLogger("apscheduler.scheduler")


class Deadly(logging.Filter):
    """Raises in the one thread that shall die, at the first thing that it says once it is awake."""

    def filter(self, _record: logging.LogRecord) -> bool:
        """Let nobody else's record suffer."""
        if threading.current_thread().name == "APScheduler":
            raise SystemExit
        return True


def end_scheduler(schedule: PurgeSchedule) -> None:
    """End the thread of a schedule that was started, the only one; return once it is dead."""
    (thread,) = (one for one in threading.enumerate() if one.name == "APScheduler")
    deadly, level = Deadly(), LOGGER.level
    LOGGER.addFilter(deadly)
    LOGGER.setLevel(logging.DEBUG)
    try:
        schedule.nudge()
        thread.join(LIMIT_S)
    finally:
        LOGGER.setLevel(level)
        LOGGER.removeFilter(deadly)
    assert not thread.is_alive()
