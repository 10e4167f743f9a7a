"""When the purge runs: at the start, then at an interval, and whenever the clock was set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from doorctl.ops.clock import utc_now

JOB, PULSE = "purge", "pulse"

PULSE_EVERY_S = 60.0
"""How often the scheduler shows that it still starts what is due."""


class PurgeSchedule:
    """Calls `run` on a thread of its own, never twice at once; it must be harmless to repeat.

    A run that was missed is made up for, once. An exception of `run` ends that run only, and goes
    to `failed` on the same thread. `run` has to be quick, else the schedule counts as stuck.
    """

    def __init__(
        self,
        interval_h: float,
        run: Callable[[], None],
        monotonic_s: Callable[[], float],
        *,
        failed: Callable[[BaseException], None] = lambda _error: None,
        pulse_every_s: float = PULSE_EVERY_S,
    ) -> None:
        self._failed = failed
        self._monotonic_s = monotonic_s
        self._every_s = {JOB: interval_h * 3600, PULSE: pulse_every_s}
        self._began_s = dict.fromkeys(self._every_s, monotonic_s())
        # A zone without rules: due times can't fall into a daylight-saving gap.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(1)}
        )
        self._scheduler.add_listener(self._on_error, EVENT_JOB_ERROR)
        for job, work in ((JOB, run), (PULSE, lambda: None)):
            self._scheduler.add_job(
                partial(self._begin, job, work),
                "interval",
                seconds=self._every_s[job],
                id=job,
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
        """Run soon: the wall clock was set, so the due time means nothing. Thread-safe.

        It runs `in_s` seconds from now at the latest, or after the interval if that is shorter, but
        not before the run that is going on has ended.

        Needed because APScheduler 3 waits out a clock that was set back (its issues 351 and 752).
        """
        if self._scheduler.running:
            for job, every_s in self._every_s.items():
                due = utc_now() + timedelta(seconds=min(in_s, every_s))
                # One that is wanted at once is not put off by one that is wanted later.
                waiting = self._scheduler.get_job(job).next_run_time
                self._scheduler.modify_job(job, next_run_time=min(due, waiting))

    def overdue_s(self) -> float:
        """Return how long due work has not been started, monotonic seconds. Thread-safe.

        It is about 0 while all is well. It grows where the scheduler's thread has died, where
        either of its threads hangs, and where it waits for a time that does not come.
        """
        now_s = self._monotonic_s()
        late_s = (now_s - self._began_s[job] - every_s for job, every_s in self._every_s.items())
        return max(0.0, *late_s)

    def stop(self) -> None:
        """Start no other run; does not wait for a run that is going on. Idempotent."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _begin(self, job: str, work: Callable[[], None]) -> None:
        self._began_s[job] = self._monotonic_s()
        work()

    def _on_error(self, event: JobExecutionEvent) -> None:
        self._failed(event.exception)


def _silence() -> None:
    # The standard library would print warnings of a logger without handlers on stderr.
    logger = logging.getLogger("apscheduler")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
