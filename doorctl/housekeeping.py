"""What the loop sees to about once a second: the watchdog, the clock, the time kept on disk."""

from __future__ import annotations

from collections.abc import Callable

from doorctl.ports import Clock, Supervisor

PING_EVERY_S = 5.0
"""How often the worker is asked whether it still works."""

WORKER_LIMIT_S = 60.0
"""A worker silent for so long is stuck: the watchdog is not fed and systemd starts afresh.

Longer than a purge of a branch's door log takes on a slow card (5 million rows: not measured).
"""

RELOCK_GRACE_S = 0.2
"""How late the loop may lock before systemd kills it, to lock within a second of the release's end.

Systemd looks up to 0.25 s late, and killing and locking took 0.3 to 0.7 s on an emulated Pi
(tests/pi). With 0.1 s such a Pi, starved of its processor, killed a loop that had just locked.
"""

KEEP_TIME_EVERY_S = 600.0
"""How often the high-water mark goes to disk: what a power cut can take back of it."""


class Housekeeping:
    """Turn once with each turn of the loop; one thread.

    Args:
        clock: the machine's.
        supervisor: fed only while everything answers.
        threads_alive: whether every thread that the door needs is still there.
        stepped: whether the wall clock jumped since it was asked last.
        purge_soon: follows a jump, or a clock that can be trusted at last: visits may be old.
        keep_time: has the worker store the highest trusted time.
        ping: has the worker call its argument.
        relocks_s: when the strike has to be locked again, monotonic seconds; None while it is, or
            while it stands free.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        supervisor: Supervisor,
        threads_alive: Callable[[], bool],
        stepped: Callable[[], bool],
        purge_soon: Callable[[], None],
        keep_time: Callable[[], None],
        ping: Callable[[Callable[[], None]], None],
        relocks_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._supervisor = supervisor
        self._threads_alive = threads_alive
        self._stepped = stepped
        self._purge_soon = purge_soon
        self._keep_time = keep_time
        self._ping = ping
        self._relocks_s = relocks_s
        self._answered_s = self._pinged_s = self._kept_s = clock.monotonic_s()
        self._dependable = clock.moment().dependable

    def turn(self) -> None:
        """Feed the watchdog if all is well, and do what is due."""
        now_s = self._clock.monotonic_s()
        if now_s - self._pinged_s >= PING_EVERY_S:
            self._pinged_s = now_s
            self._ping(self._answer)
        if now_s - self._answered_s < WORKER_LIMIT_S and self._threads_alive():
            self._supervisor.alive(self._limit_s(now_s))
        if self._stepped():
            self._purge_soon()
        self._keep_time_when_due(now_s)

    def _limit_s(self, now_s: float) -> float | None:
        relocks_s = self._relocks_s()
        return None if relocks_s is None else max(0.0, relocks_s - now_s) + RELOCK_GRACE_S

    def _answer(self) -> None:
        self._answered_s = self._clock.monotonic_s()

    def _keep_time_when_due(self, now_s: float) -> None:
        dependable = self._clock.moment().dependable
        newly = dependable and not self._dependable
        self._dependable = dependable
        if newly:
            # The purge at the start was postponed if nobody vouched for the clock then.
            self._purge_soon()
        if newly or (dependable and now_s - self._kept_s >= KEEP_TIME_EVERY_S):
            self._kept_s = now_s
            self._keep_time()
