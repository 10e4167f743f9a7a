"""The watchdog is fed while all threads go on, and the minute's chores are given to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce
from doorctl.doord.chores import KEEP_TIME_EVERY_S, Chores
from doorctl.ops.supervisor import SystemdSupervisor

PING_EVERY_S = 5.0
"""How often the worker is asked whether it still works."""


WORKER_LIMIT_S = 60.0
"""A worker silent for so long is stuck: the watchdog is not fed and systemd starts afresh.

The jobs that a patron waits for take a second, or a few on a dying disk.
"""


PURGE_HANGS_S = 600.0
"""A purge may hold the worker this long: if killed, it would only begin again at the next start.

5 million rows are 10 000 transactions of 20 ms on a slow card, and then a VACUUM (not measured).
"""


SCHEDULE_LIMIT_S = 600.0
"""A purge that is this late does not come by itself, because the scheduler is dead or stuck.

A door whose scheduler dies at each start is then away for only seconds in ten minutes.
"""


@dataclass(eq=False)
class Housekeeping:
    """Do the duties of one turn of the loop; one thread.

    The supervisor is fed only while everything that the door rests on works. `lines_alive` tells
    whether each line's thread runs, even where the device is missing. `relocks_s` is when
    the strike has to be locked again, monotonic seconds; None while it is, or while it stands free.
    """

    chores: Chores
    supervisor: SystemdSupervisor
    lines_alive: Callable[[], bool]
    relocks_s: Callable[[], float | None]

    def __post_init__(self) -> None:
        self._stores = self.chores.stores
        self._answered_s = self._pinged_s = self._kept_s = self._stores.clock.monotonic_s()
        moment = self._stores.clock.moment()
        self._settled = moment.dependable and not moment.stepped
        log = self._stores.log
        self._doubt, self._leapt = AlarmOnce(log, "clock_stepped"), AlarmOnce(log, "clock_leapt")
        # The doubt of an earlier process may be over by now; only this says so.
        self._doubt.stands = (moment.dependable and moment.stepped and not moment.leapt) or None
        self._known: tuple[bool, bool, bool] | None = None
        self._known_s = 0.0
        self._stuck = self._reported = ""

    def turn(self) -> None:
        """Feed the watchdog if all is well, and do every duty that is due."""
        now_s = self._stores.clock.monotonic_s()
        if now_s - self._pinged_s >= PING_EVERY_S:
            self._pinged_s = now_s
            self._stores.worker.submit(self._answer)
        self._feed(now_s)
        if self._stores.clock.stepped():
            # Visits may be old now.
            self.chores.schedule.nudge()
        moment = self._stores.clock.moment()
        self._tell_of_doubt(moment)
        self._keep_time_when_due(now_s, settled=moment.dependable and not moment.stepped)
        self._keep_clock_when_due(now_s, (moment.dependable, moment.stepped, moment.unconfirmed))

    def _feed(self, now_s: float) -> None:
        before, self._stuck = self._stuck, self._what_is_stuck(now_s)
        if not self._stuck:
            self._reported = ""
            self.supervisor.alive(self._limit_s(now_s))
        elif self._stuck == before != self._reported:
            # In seconds systemd kills the process, and nothing else would say why. Not in the first
            # turn: after the whole process stood still, the worker has not been asked again yet.
            self._reported = self._stuck
            self._stores.alarm("process_stuck", self._stuck)

    def _what_is_stuck(self, now_s: float) -> str:
        since_s = self.chores.purging.since_s
        if since_s is not None and now_s - since_s < PURGE_HANGS_S:
            self._answered_s = now_s
        if now_s - self._answered_s >= WORKER_LIMIT_S:
            return "the thread that reads and writes does not answer"
        if not self.lines_alive():
            return "the thread of the reader or the keypad has ended"
        if self.chores.schedule.overdue_s() >= SCHEDULE_LIMIT_S:
            return f"a purge should have begun {SCHEDULE_LIMIT_S:.0f} s ago"
        return ""

    def _limit_s(self, now_s: float) -> float | None:
        relocks_s = self.relocks_s()
        return None if relocks_s is None else max(0.0, relocks_s - now_s) + self.chores.grace_s

    def _answer(self) -> None:
        self._answered_s = self._stores.clock.monotonic_s()

    def _tell_of_doubt(self, moment: Moment) -> None:
        vouched = f"a source vouches for another time than {moment.local:%Y-%m-%d %H:%M}"
        known = f"{moment.high_water:%Y-%m-%d %H:%M} UTC was the last time known"
        doubts = (self._doubt, moment.in_doubt, vouched), (self._leapt, moment.leapt, known)
        for alarm, doubtful, why in doubts:
            # By a clock that no source vouches for, what an earlier process doubted is not over.
            if doubtful or moment.dependable or alarm.stands is not None:
                alarm.tell(why if doubtful else None)

    def _keep_time_when_due(self, now_s: float, *, settled: bool) -> None:
        newly = settled and not self._settled
        self._settled = settled
        if newly:
            # A purge is postponed while the clock is in doubt or not vouched for.
            self.chores.schedule.nudge()
        if newly or (settled and now_s - self._kept_s >= KEEP_TIME_EVERY_S):
            self._kept_s = now_s
            self.chores.keep_time()

    def _keep_clock_when_due(self, now_s: float, known: tuple[bool, bool, bool]) -> None:
        if known != self._known or now_s - self._known_s >= KEEP_TIME_EVERY_S:
            self._known, self._known_s = known, now_s
            self.chores.keep_clock()
