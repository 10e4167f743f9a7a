"""When the purge runs: at the start, then at an interval, and whenever the clock was set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, timedelta

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from doorctl.ops.clock import utc_now

JOB = "purge"


class PurgeSchedule:
    """Calls `run` on a thread of its own, never twice at once; it must be harmless to repeat.

    A run that was missed is made up for, once. An exception of `run` ends that run only.

    Args:
        interval_h: hours between two runs.
        run: what is to be done.
        failed: takes what `run` raised, on the same thread.
    """

    def __init__(
        self,
        interval_h: float,
        run: Callable[[], None],
        failed: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        self._failed = failed
        # A zone without rules: due times can't fall into a daylight-saving gap.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, executors={"default": ThreadPoolExecutor(1)}
        )
        self._scheduler.add_listener(self._on_error, EVENT_JOB_ERROR)
        self._scheduler.add_job(
            run,
            "interval",
            hours=interval_h,
            id=JOB,
            coalesce=True,
            misfire_grace_time=None,
            max_instances=1,
            next_run_time=utc_now(),
        )

    def start(self) -> None:
        """Run for the first time, at once; call once."""
        _silence()
        self._scheduler.start()

    def nudge(self, in_s: float = 0) -> None:
        """Run soon: the wall clock was set, so the due time means nothing. Thread-safe.

        While a run is going on, running now does nothing.

        Args:
            in_s: seconds from now.

        Needed because APScheduler 3 waits out a clock that was set back (its issues 351 and 752).
        """
        if self._scheduler.running:
            self._scheduler.modify_job(JOB, next_run_time=utc_now() + timedelta(seconds=in_s))

    def stop(self) -> None:
        """Start no other run; does not wait for one that is going on. Idempotent."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _on_error(self, event: JobExecutionEvent) -> None:
        self._failed(event.exception)


def _silence() -> None:
    # The standard library would print warnings of a logger without handlers on stderr.
    logger = logging.getLogger("apscheduler")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
