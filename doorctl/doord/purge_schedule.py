"""When the door log is purged: by APScheduler, on a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from doorctl.ops.clock import utc_now

PULSE = "pulse"


PULSE_EVERY_S = 60.0
"""How often the scheduler looks whether a purge is due."""


class Every(BaseTrigger):  # type: ignore[misc]  # the library has no types
    """Due again after so many seconds; what was missed is one run, however long it is ago.

    APScheduler's own interval lists every missed time before it begins one (its issues 526, 1066):
    14 million of a minute each, and its lock held meanwhile, where a clock of 1999 is set right.
    """

    def __init__(self, every_s: float) -> None:
        self._every = timedelta(seconds=every_s)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the next time after `now`; as the library asks for it."""
        due = (previous or now) + self._every
        return due if due > now else now + self._every


class PurgeSchedule:
    """Calls `run` on a thread of its own, never twice at once; it must be harmless to repeat.

    A run that was missed is made up for, once. An exception of `run` ends that run only. `run` has
    to be quick, else the schedule counts as stuck. `due_s` is when it comes next, by `monotonic_s`.
    """

    def __init__(
        self,
        interval_h: float,
        run: Callable[[], None],
        monotonic_s: Callable[[], float],
        *,
        pulse_every_s: float = PULSE_EVERY_S,
    ) -> None:
        self._run, self._monotonic_s = run, monotonic_s
        self._interval_s, self._pulse_every_s = interval_h * 3600, pulse_every_s
        self.due_s = self._pulse_s = monotonic_s()
        # A zone without rules: due times can't fall into a daylight-saving gap.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(1)}
        )
        self._scheduler.add_job(
            self._pulse,
            Every(pulse_every_s),
            id=PULSE,
            coalesce=True,
            misfire_grace_time=None,
            # The second one waits for the only thread: a nudge during a run is not lost.
            max_instances=2,
            next_run_time=utc_now(),
        )

    def start(self) -> None:
        """Run for the first time, at once; call once."""
        _silence()
        self._scheduler.start()

    def nudge(self, in_s: float = 0) -> None:
        """Run at the first pulse from `in_s` seconds on, unless it is due earlier. Thread-safe."""
        self.due_s = min(self.due_s, self._monotonic_s() + in_s)
        if self._scheduler.running:
            # APScheduler 3 waits out a clock that was set back (its issues 351 and 752).
            self._scheduler.modify_job(PULSE, next_run_time=utc_now())

    def overdue_s(self) -> float:
        """Return how long a pulse has been missing, monotonic seconds. Thread-safe.

        It is 0 while all is well. It grows where the scheduler's thread has died, where either of
        its threads hangs, and where it waits for a time that does not come.
        """
        return max(0.0, self._monotonic_s() - self._pulse_s - self._pulse_every_s)

    def stop(self) -> None:
        """Start no other run; does not wait for a run that is going on. Idempotent."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _pulse(self) -> None:
        self._pulse_s = self._monotonic_s()
        if self._pulse_s >= self.due_s:
            self.due_s = self._pulse_s + self._interval_s
            self._run()


def _silence() -> None:
    # The standard library would print warnings of a logger without handlers on stderr.
    logger = logging.getLogger("apscheduler")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
