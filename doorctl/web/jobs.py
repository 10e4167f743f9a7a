"""What the web process's jobs about the hours have in common.

The door has no network and no room for them. Each belongs to one thread, which may wait, and gets a
turn every few seconds. Nothing is done while the clock is not set: the days to ask for are not
known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from doorctl.access.calendar import (
    DaySource,
    StoredDay,
)
from doorctl.core.errors import StoreError
from doorctl.core.ports import Clock
from doorctl.store.branch_writer import BranchRecordsWriter

PAUSE_S = 10.0
"""Between two turns."""

AGAIN_S = 600.0
"""After a failure: at boot the network may come a little later than this process."""

Write = Callable[[Callable[[BranchRecordsWriter], object]], object]
"""Runs a job on the writer's thread; returns when the job is done, and raises what it raised."""


def store_days(
    write: Write, clock: Clock, source: DaySource, days: Iterable[StoredDay], known_until: date
) -> None:
    """Store the days that are ahead; raises StoreError, where the clock is not set any more."""
    # Not the moment of the request: midnight may have passed, and a past day is refused.
    moment = clock.moment()
    if not moment.dependable:
        raise StoreError("the clock is not set any more; the hours stay as they were stored")
    ahead = [day for day in days if day.day >= moment.local.date()]
    write(lambda writer: writer.set_days(source, ahead, moment, known_until=known_until))
