"""Danish public holidays on the calendar, as ``hours.holidays`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorctl.core.alarms import over, today
from doorctl.extras.extra import Extra, JobParts

if TYPE_CHECKING:
    from doorctl.config import Config
    from doorctl.core.moments import Moment
    from doorctl.store.branch_writer import BranchRecordsWriter


def begin(config: Config, writer: BranchRecordsWriter, moment: Moment) -> None:
    """Store the holidays of years to come in an empty ``branch.db``."""
    from doorctl.extras.holidays.compute import computed
    from doorctl.extras.holidays.job import store_initial_holidays

    store_initial_holidays(config.opening, writer, moment, computed)


def jobs(parts: JobParts) -> None:
    """Have the holidays kept in ``branch.db``, on a thread of its own."""
    if parts.config.opening.source == "website":
        return
    from doorctl.extras.holidays.compute import computed_apart
    from doorctl.extras.holidays.job import HolidayJob
    from doorctl.ops.threads import regular
    from doorctl.web.jobs import PAUSE_S

    job = HolidayJob(parts.config.opening, computed_apart, parts.write, parts.clock, parts.log)
    running = regular("hours", job.turn, PAUSE_S, parts.log)
    parts.stack.enter_context(running.going(lambda: None))


ALARMS = {
    "holidays_failing": today(
        "The public holidays could not be computed or stored.",
        "Write the next holiday on the staff page.",
    ),
    "holidays_failing_cleared": over("holidays_failing", "The public holidays are stored again."),
}

EXTRA = Extra(alarms=ALARMS, begin=begin, jobs=jobs)
