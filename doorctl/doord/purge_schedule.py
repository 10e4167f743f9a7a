"""When the door log is purged: on a thread of its own, by the monotonic clock alone."""

from __future__ import annotations

from collections.abc import Callable

from doorctl.core.ports import EventLog
from doorctl.ops.threads import regular

PULSE_EVERY_S = 60.0
"""How often the schedule looks whether a purge is due."""


class PurgeSchedule:
    """Calls `run` on a thread of its own, never twice at once; it must be harmless to repeat.

    A run that was missed is made up for, once. An exception of `run` ends that run only, and is
    logged as ``rounds_failing``. `run` has to be quick, else the schedule counts as stuck. `due_s`
    is when it comes next, by `monotonic_s`, so that setting the clock changes nothing.
    """

    def __init__(
        self,
        interval_h: float,
        run: Callable[[], None],
        monotonic_s: Callable[[], float],
        log: EventLog,
        *,
        pulse_every_s: float = PULSE_EVERY_S,
    ) -> None:
        self._run, self._monotonic_s = run, monotonic_s
        self._interval_s, self._pulse_every_s = interval_h * 3600, pulse_every_s
        self.due_s = self._pulse_s = monotonic_s()
        self._pulses = regular("purge-schedule", self._pulse, pulse_every_s, log, pulse_every_s)

    def start(self) -> None:
        """Run for the first time, at once; call once."""
        self._pulses.start()

    def nudge(self, in_s: float = 0) -> None:
        """Run at the first pulse from `in_s` seconds on, unless it is due earlier. Thread-safe."""
        self.due_s = min(self.due_s, self._monotonic_s() + in_s)
        self._pulses.wake()

    def overdue_s(self) -> float:
        """Return how long a pulse has been missing, monotonic seconds. Thread-safe.

        It is 0 while all is well. It grows where the schedule's thread has died, and where it
        hangs.
        """
        return max(0.0, self._monotonic_s() - self._pulse_s - self._pulse_every_s)

    def stop(self) -> None:
        """Start no other run; does not wait for a run that is going on. Idempotent."""
        self._pulses.stop(0)

    def _pulse(self) -> None:
        self._pulse_s = self._monotonic_s()
        if self._pulse_s >= self.due_s:
            self.due_s = self._pulse_s + self._interval_s
            self._run()
