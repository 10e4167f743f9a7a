"""Keeps the public holidays in ``branch.db``: those of two years, and more where it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from doorctl.access.calendar import DaySource, StoredDay
from doorctl.config.hours import Opening
from doorctl.core.errors import DoorctlError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.extras.holidays.compute import HolidaysWanted
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.web.jobs import AGAIN_S, Write, store_days

INITIAL_YEARS = 10
"""Years for a branch that never runs a web process: longer than a memory card lives."""

Compute = Callable[[HolidaysWanted], tuple[StoredDay, ...]]


@dataclass(eq=False)
class HolidayJob:
    """Keep the public holidays of this year and the next in ``branch.db``. One thread.

    They are stored at the start and with another year. `compute` raises DoorctlError; the log gets
    ``holidays_failing`` once until they could be computed and stored.
    """

    opening: Opening
    compute: Compute
    write: Write
    clock: Clock
    log: EventLog

    def __post_init__(self) -> None:
        self._due_s = -inf
        self._stored: HolidaysWanted | None = None
        self._failing = AlarmOnce(self.log, "holidays_failing")

    def turn(self) -> None:
        """Compute and store the holidays, if others are wanted than are stored."""
        moment, now_s = self.clock.moment(), self.clock.monotonic_s()
        if not moment.dependable or now_s < self._due_s:
            return
        try:
            year = moment.local.year
            wanted = HolidaysWanted((year, year + 1), self.opening.holidays_also)
            if wanted != self._stored:
                days = self.compute(wanted)
                store_days(self.write, self.clock, DaySource.HOLIDAY, days, wanted.known_until)
                self._stored = wanted
            self._failing.tell(None)
        except DoorctlError as error:
            self._due_s = now_s + AGAIN_S
            self._failing.tell(str(error))


def store_initial_holidays(
    opening: Opening,
    writer: BranchRecordsWriter,
    moment: Moment,
    compute: Callable[[HolidaysWanted], Iterable[StoredDay]],
) -> None:
    """Store the holidays of `INITIAL_YEARS`, where any are wanted, in an empty ``branch.db``.

    While the clock is not set, they begin with the latest year that is known to have come. The
    website's hours have them in place. Raises DoorctlError: nothing was changed.
    """
    if opening.holidays == "ignore" or opening.source == "website":
        return
    first = moment.known_time.date()
    years = tuple(range(first.year, first.year + INITIAL_YEARS))
    wanted = HolidaysWanted(years, opening.holidays_also)
    days = [holiday for holiday in compute(wanted) if holiday.day >= first]
    writer.set_days(DaySource.HOLIDAY, days, moment, known_until=wanted.known_until)
