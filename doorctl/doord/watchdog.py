"""The loop's duties about once a second: the watchdog, the clock, the time kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.core.moments import Moment
from doorctl.core.ports import Clock, Supervisor

PING_EVERY_S = 5.0
"""How often the worker is asked whether it still works."""

WORKER_LIMIT_S = 60.0
"""A worker silent for so long is stuck: the watchdog is not fed and systemd starts afresh.

The jobs that a patron waits for take a second, or a few on a dying disk.
"""

PURGE_LIMIT_S = 600.0
"""A purge may hold the worker this long: if killed, it would only begin again at the next start.

5 million rows are 10 000 transactions of 20 ms on a slow card, and then a VACUUM (not measured).
"""

SCHEDULE_LIMIT_S = 600.0
"""A purge that is this late does not come by itself, because the scheduler is dead or stuck.

A door whose scheduler dies at each start is then away for only seconds in ten minutes.
"""

KEPT_GRACE_S, FREED_GRACE_S = 0.4, 0.7
"""How late the loop may lock before the kernel ends it, to be locked a second after the release.

Where the kernel keeps a dead process's outputs, systemd still has to lock: 0.3 to 0.7 s on an
emulated Pi (tests/pi). Where it frees them, the pin falls at once and the loop may have more. Both
are longer than the 0.3 s for which an SD card stalls; the loop itself never waits for one.
"""

KEEP_TIME_EVERY_S = 600.0
"""How often the high-water mark goes to disk; a power cut loses no more than this."""


@dataclass(eq=False, kw_only=True)
class Housekeeping:
    """Do the duties of one turn of the loop; one thread.

    Args:
        supervisor: fed only while everything answers.
        overdue_s: for how long a job of the scheduler has been due, seconds.
        purging_since_s: when the running purge began, monotonic seconds; None while none runs.
        stepped: whether the wall clock jumped since the last call.
        purge_soon: called after a jump, or once a clock can be trusted: visits may be old.
        keep_time: has the worker store the highest trusted time.
        keep_clock: has it store what the next process has to know of the clock: a crash ends no
            doubt.
        alarm: takes a kind and why, once for each thing that stops and stays so for a turn, and
            for each doubt about the clock and its end.
        relocks_s: when the strike has to be locked again, monotonic seconds; None while it is, or
            while it stands free.
        grace_s: how much later the process is ended if the loop has not locked by then.
    """

    clock: Clock
    supervisor: Supervisor
    threads_alive: Callable[[], bool]
    overdue_s: Callable[[], float]
    purging_since_s: Callable[[], float | None]
    stepped: Callable[[], bool]
    purge_soon: Callable[[], None]
    keep_time: Callable[[], None]
    keep_clock: Callable[[], None]
    ping: Callable[[Callable[[], None]], None]
    alarm: Callable[[str, str], None]
    relocks_s: Callable[[], float | None] = lambda: None
    grace_s: float = KEPT_GRACE_S

    def __post_init__(self) -> None:
        self._answered_s = self._pinged_s = self._kept_s = self.clock.monotonic_s()
        moment = self.clock.moment()
        self._settled = moment.dependable and not moment.stepped
        self._in_doubt = self._leapt = False
        self._known: tuple[bool, bool] | None = None
        self._known_s = 0.0
        self._stuck = self._reported = ""

    def turn(self) -> None:
        """Feed the watchdog if all is well, and do every duty that is due."""
        now_s = self.clock.monotonic_s()
        if now_s - self._pinged_s >= PING_EVERY_S:
            self._pinged_s = now_s
            self.ping(self._answer)
        self._feed(now_s)
        if self.stepped():
            self.purge_soon()
        moment = self.clock.moment()
        self._tell_of_doubt(moment)
        self._keep_time_when_due(now_s, settled=moment.dependable and not moment.stepped)
        self._keep_clock_when_due(now_s, (moment.dependable, moment.stepped))

    def _feed(self, now_s: float) -> None:
        before, self._stuck = self._stuck, self._what_is_stuck(now_s)
        if not self._stuck:
            self._reported = ""
            self.supervisor.alive(self._limit_s(now_s))
        elif self._stuck == before != self._reported:
            # In seconds systemd kills the process, and nothing else would say why. Not in the first
            # turn: after the whole process stood still, the worker has not been asked again yet.
            self._reported = self._stuck
            self.alarm("process_stuck", self._stuck)

    def _what_is_stuck(self, now_s: float) -> str:
        since_s = self.purging_since_s()
        if since_s is not None and now_s - since_s < PURGE_LIMIT_S:
            self._answered_s = now_s
        if now_s - self._answered_s >= WORKER_LIMIT_S:
            return "the thread that reads and writes does not answer"
        if not self.threads_alive():
            return "the thread of a serial line has ended"
        if self.overdue_s() >= SCHEDULE_LIMIT_S:
            return f"a purge should have begun {SCHEDULE_LIMIT_S:.0f} s ago"
        return ""

    def _limit_s(self, now_s: float) -> float | None:
        relocks_s = self.relocks_s()
        return None if relocks_s is None else max(0.0, relocks_s - now_s) + self.grace_s

    def _answer(self) -> None:
        self._answered_s = self.clock.monotonic_s()

    def _tell_of_doubt(self, moment: Moment) -> None:
        before, self._in_doubt = self._in_doubt, moment.in_doubt
        if moment.in_doubt and not before:
            why = f"a source vouches for another time than {moment.local:%Y-%m-%d %H:%M}"
            self.alarm("clock_stepped", why)
        elif before and not moment.in_doubt:
            self.alarm("clock_stepped_cleared", f"it is {moment.local:%Y-%m-%d %H:%M}")
        before, self._leapt = self._leapt, moment.leapt
        if moment.leapt is not before:
            kind = "clock_leapt" if moment.leapt else "clock_leapt_cleared"
            self.alarm(kind, f"{moment.high_water:%Y-%m-%d %H:%M} UTC was the last time known")

    def _keep_time_when_due(self, now_s: float, *, settled: bool) -> None:
        newly = settled and not self._settled
        self._settled = settled
        if newly:
            # A purge is postponed while the clock is in doubt, or nobody vouches for it.
            self.purge_soon()
        if newly or (settled and now_s - self._kept_s >= KEEP_TIME_EVERY_S):
            self._kept_s = now_s
            self.keep_time()

    def _keep_clock_when_due(self, now_s: float, known: tuple[bool, bool]) -> None:
        if known != self._known or now_s - self._known_s >= KEEP_TIME_EVERY_S:
            self._known, self._known_s = known, now_s
            self.keep_clock()


# Faults of the machine and its devices, reported when they have lasted, and again when they end.
#
# What begins and ends within a moment (a cable pushed in anew, web restarting) wakes nobody at
# night; a lasting fault is reported before a patron stands outside because of it.

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a fault lasts before it is reported, and how soon it is reported again, seconds."""

    lasts_s: float = 0.0
    again_s: float = DAY_S


FAULTS: Mapping[str, Patience] = MappingProxyType(
    {
        "reader_lost": Patience(20.0),
        "keypad_lost": Patience(20.0),
        "register_old": Patience(),
        "disk_low": Patience(),
        "web_silent": Patience(180.0),
        "undervoltage": Patience(),
    }
)
"""Alarm -> its patience; its end is the same name with ``_cleared``."""


class LastingFaults:
    """Keep the current faults, and report those that last. One thread."""

    def __init__(self, alarm: Callable[[str, str], None]) -> None:
        self._alarm = alarm
        self._since_s: dict[str, float] = {}
        self._reported_s: dict[str, float] = {}

    def see(self, faults: Mapping[str, str | None], now_s: float) -> None:
        """Take the current state of each fault.

        `found` gives the reason, or None where the fault is not there; a fault of :data:`FAULTS`
        that is left out is unknown now, and stays as it was. `now_s` is monotonic.
        """
        for kind, why in faults.items():
            if why is None:
                self._end(kind)
            elif self._is_due(kind, now_s):
                self._reported_s[kind] = now_s
                self._alarm(kind, why)

    def _is_due(self, kind: str, now_s: float) -> bool:
        patience, reported_s = FAULTS[kind], self._reported_s.get(kind)
        if reported_s is not None:
            return now_s - reported_s >= patience.again_s
        return now_s - self._since_s.setdefault(kind, now_s) >= patience.lasts_s

    def _end(self, kind: str) -> None:
        self._since_s.pop(kind, None)
        if self._reported_s.pop(kind, None) is not None:
            self._alarm(f"{kind}_cleared", "")
