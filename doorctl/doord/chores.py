"""What the door does beside opening: purge, prove it, test itself, count, keep the time.

None of them may end the door: our own mistake in one raises an alarm, and patrons come in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from doorctl.access.patron import CacheStamp
from doorctl.config import Config
from doorctl.config.tables import OLD_SHARE
from doorctl.core.errors import DoorctlError, StoreError, StoreSlowError
from doorctl.core.moments import BootTime, Moment
from doorctl.core.ports import WELL, AlarmOnce, EventLog
from doorctl.devices.pins import outputs_kept
from doorctl.doord.self_test import house
from doorctl.doord.self_test import run as run_self_test
from doorctl.doord.stores import DoorStores, why_lost
from doorctl.lookup.calendar import calendar_of
from doorctl.lookup.configured import outdated, retention
from doorctl.lookup.key_days import CERTIFICATE, days_of_keys
from doorctl.lookup.release import Release
from doorctl.ops.clock import utc_now
from doorctl.ops.machine import DataDisk, disk_low, undervoltage, upgrade_not_begun
from doorctl.ops.supervisor import SystemdSupervisor
from doorctl.privacy.passages import OPENED, HourCount
from doorctl.privacy.retention import PurgeReport
from doorctl.rpc.status import Finding
from doorctl.store.purging import Purging
from doorctl.store.records import AuditRecords, LastBackup

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

KEPT_GRACE_S, FREED_GRACE_S = 0.4, 0.7
"""How late the loop may lock before the kernel ends it, to be locked a second after the release.

Where the kernel keeps a dead process's outputs, a shell still has to lock (`lock_when_dead`): 0.2 s
on an emulated Pi (tests/pi), on a starved one 0.6. Where it frees them, the pin falls at once and
the loop may have more. Both are longer than the 0.3 s for which an SD card stalls; the loop itself
never waits for one.
"""

KEEP_TIME_EVERY_S = 600.0
"""How often the high-water mark goes to disk; a power cut loses no more than this."""

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


PURGE_EVERY_H = 6.0
PURGE_AGAIN_S = 30.0
"""Until a purge that a reader blocked is tried again: at the next pulse, so in a minute."""

TEST_AGAIN_S = 600.0
"""How soon a self-test that has failed is run again; it costs as much as a card."""

PURGE_STEP_S = 3600.0
"""Wait before the next step of a limited purge, whatever the clock does meanwhile."""


LOOK_PATIENCE_S = 0.5
"""Longest wait of the worker for a look that may as well be had a minute later."""

PROBE_PATIENCE_S = 1.0
"""Longest wait of the worker for what the self-test writes. With the look above and the wait for an
attempt's own row it is less than a card may take to be prepared."""


@dataclass
class OverThread:
    """What one self-test, which the worker runs, writes: by the door log's thread.

    A patron waits for the worker. So a disk that is slow once is not waited for a second time.
    """

    stores: DoorStores
    slow: StoreSlowError | None = None

    def keep_time(self, now: datetime, boot: BootTime) -> None:
        """Store the time, durably."""
        visits = self.stores.visits
        self.soon(lambda: visits.keep_time(now, boot))

    def prove_writable(self) -> None:
        """Try to write a row."""
        self.soon(self.stores.visits.prove_writable)

    def soon(self, job: Callable[[], None]) -> None:
        """Have the thread do it, and wait a little; StoreSlowError: it was slow, now or before."""
        if self.slow is not None:
            raise self.slow
        try:
            self.stores.answer_soon(job, PROBE_PATIENCE_S)
        except StoreSlowError as err:
            self.slow = err
            raise


class DiskOverThread(DataDisk):
    """The disk that holds the door log, as one self-test tries it."""

    def __init__(self, directory: Path, over: OverThread) -> None:
        super().__init__(directory)
        self._over = over

    def prove_writable(self) -> None:
        """Try to write a page."""
        self._over.soon(super().prove_writable)


@dataclass(eq=False)
class Chores:
    """The door's standing tasks; each call only has the worker or the door log's thread do it.

    `config` is public, for it may be read again.
    """

    config: Config
    stores: DoorStores
    purging: Purging
    log: EventLog

    def __post_init__(self) -> None:
        # Asked once: the kernel's answer does not change, and a release waits for nothing.
        self.grace_s = FREED_GRACE_S if outputs_kept() is False else KEPT_GRACE_S
        self._next_step_s = 0.0
        self._opened: tuple[HourCount, ...] = ()
        # Each belongs to the thread that does it; the proof's has one of its own.
        self._unwritten: set[str] = set()
        self._test_again_s = 0.0
        self._testing = AlarmOnce(self.log, "self_test_failed")
        self._purge_failing = AlarmOnce(self.log, "purge_failed")
        self._proof_failing = AlarmOnce(self.log, "purge_failed", "proof")
        self._incomplete = AlarmOnce(self.log, "purge_incomplete")
        self._unproved = AlarmOnce(self.log, "purge_incomplete", "proof")
        self._limited = AlarmOnce(self.log, "purge_limited")
        self.schedule = PurgeSchedule(
            PURGE_EVERY_H,
            lambda: self._write("purge", self._purge, watched=False),
            self.stores.clock.monotonic_s,
        )

    def keep_time(self) -> None:
        """Store the highest trusted time, and an opening of the day that could not be written."""
        self._write("time", self._keep_time)
        if self._opened:
            self.count(())

    def keep_clock(self) -> None:
        """Store what the next process has to know of the clock: a crash ends no doubt."""
        self._write("clock", self._keep_clock)

    def count(self, counts: tuple[HourCount, ...]) -> None:
        """Add to the hours' counts."""
        self._write("counts", lambda: self._count(counts))

    def test(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Run the self-test, and alarm each fault."""
        self._test_again_s = self.stores.clock.monotonic_s() + TEST_AGAIN_S
        self.do("self-test", lambda: self._test(lines(), again=True))

    def test_again(self, lines: Callable[[], dict[str, bool]]) -> None:
        """Run a self-test that has failed once more, if its rest is over: its alarm may end."""
        now_s = self.stores.clock.monotonic_s()
        if self._testing.stands and now_s >= self._test_again_s:
            self._test_again_s = now_s + TEST_AGAIN_S
            self.do("self-test", lambda: self._test(lines(), again=False))

    def self_test(self, lines: dict[str, bool]) -> tuple[Finding, ...]:
        """Return the findings of the self-test; on the worker's thread."""
        stores, over = self.stores, OverThread(self.stores)
        return run_self_test(
            house(
                self.config,
                clock=stores.clock,
                disk=DiskOverThread(self.config.storage.door_directory, over),
                sealer=stores.sealer,
                patrons=stores.patrons,
                calendar=lambda: calendar_of(self.config.opening, stores.branch.calendar()),
                visits=over,
                lines=lines,
                purged_s=self.purging.purged_s,
            )
        )

    def do(self, name: str, chore: Callable[[], None]) -> None:
        """Have the worker do a job that may fail without ending the door."""
        self.stores.worker.submit(self._guarded(name, chore))

    def _write(self, name: str, chore: Callable[[], None], *, watched: bool = True) -> None:
        """Have the door log's thread do it; `watched` where it takes milliseconds."""
        submit = self.stores.write if watched else self.stores.log_thread.submit
        submit(self._guarded(name, chore))

    def _guarded(self, name: str, chore: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            failing = self.stores.steady.failing
            try:
                chore()
                if name in self._unwritten:
                    self._unwritten.discard(name)
                    failing.tell(None)
            except StoreError as err:
                self._unwritten.add(name)
                failing.tell(str(err), again=True)
            except Exception as err:  # noqa: BLE001 - see the head of this file
                # The text may quote anything; the kind says enough to be found.
                self.stores.alarm("rounds_failing", f"{name}: {type(err).__name__}")

        return guarded

    def _purge(self) -> None:
        now_s = self.stores.clock.monotonic_s()
        if now_s < self._next_step_s:
            # The clock was set: this call took the place of the one that was to come.
            self.schedule.nudge(in_s=self._next_step_s - now_s)
            return
        try:
            report = self.purging.purge(whole=False)
        except StoreError as err:
            self._purge_failing.tell(str(err), again=True)
            return
        self._purge_failing.tell(None)
        if report.limited:
            self._next_step_s = now_s + PURGE_STEP_S
            why = f"everything before {report.cutoff:%Y-%m-%d} UTC is gone; the rest waits an hour"
            self._limited.tell(why, again=True)
            self.schedule.nudge(in_s=PURGE_STEP_S)
        elif not report.postponed:
            self._limited.tell(None)
        if not report.complete:
            when = "with the rest" if report.limited else "in a minute"
            why = f"a reader kept traces alive; trying again {when}"
            self._incomplete.tell(why, again=True)
            if not report.limited:
                self.schedule.nudge(in_s=PURGE_AGAIN_S)
        self.log.emit("purge", **report.as_dict())
        if report.complete:
            self._incomplete.tell(None)
            # A patron at the door does not wait for the search, nor does a stop.
            prove = self._guarded("proof", lambda: self._prove(report))
            threading.Thread(target=prove, name="proof", daemon=True).start()

    def _prove(self, report: PurgeReport) -> None:
        try:
            proof, path = self.purging.prove(report)
        except DoorctlError as err:
            self._proof_failing.tell(str(err), again=True)
            return
        self._proof_failing.tell(None)
        why = f"it is not proved that all is gone; see {path.name}"
        self._unproved.tell(None if proof.clean else why, again=True)

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        # A disk that fails is alarmed by the door log; what was counted meanwhile is lost, but for
        # the opening of the day: after a restart it would be shut to everybody.
        counts += self._opened
        self._opened = tuple(count for count in counts if count.kind == OPENED)
        with suppress(StoreError):
            self.stores.visits.add_counts(counts)
            self._opened = ()

    def _keep_clock(self) -> None:
        if kept := self.stores.clock.kept():
            self.stores.visits.keep_clock(kept)
        if bounds := self.stores.clock.bounded().bounds:
            self.stores.visits.keep_carried(bounds.carried)

    def _keep_time(self) -> None:
        moment, boot = self.stores.clock.moment(), self.stores.clock.boot_time()
        if moment.dependable:
            self.stores.visits.keep_time(moment.local, boot, moment.high_water)

    def _test(self, lines: dict[str, bool], *, again: bool) -> None:
        failed = [f"{each.what} {each.do}" for each in self.self_test(lines) if not each.ok]
        for why in failed or (None,):
            self._testing.tell(why, again=again)


@dataclass(eq=False)
class Housekeeping:
    """Do the duties of one turn of the loop; one thread.

    The supervisor is fed only while everything that the door rests on works. `lines_alive` tells
    whether each serial line's thread runs, even where the device is missing. `relocks_s` is when
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
            return "the thread of a serial line has ended"
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


# Faults of the machine and its devices, reported when they have lasted, and again when they end.
#
# What begins and ends within a moment (a cable pushed in anew, web restarting) wakes nobody at
# night; a lasting fault is reported before a patron stands outside because of it.

DAY_S = 86_400.0

FAULTS: Mapping[str, float] = MappingProxyType(
    {
        "reader_lost": 20.0,
        "keypad_lost": 20.0,
        "purge_overdue": 300.0,
        "register_old": 0.0,
        "register_too_old": 0.0,
        "patrons_outdated": 0.0,
        "patrons_unusable": 0.0,
        "release_differs": 300.0,
        "disk_low": 0.0,
        "disk_slow": 0.0,
        "backup_old": 0.0,
        "key_old": 0.0,
        "web_silent": 60.0,
        "undervoltage": 0.0,
        "upgrade_not_begun": 70.0,
    }
)
"""Alarm -> how long it lasts before it is reported, seconds; its end is called ``NAME_cleared``."""

AGAIN_S: Mapping[str, float] = MappingProxyType({"key_old": 7 * DAY_S})
"""How soon one is reported again; the others daily."""

LOOK_EVERY_S = 60.0
"""How often the worker looks at power supply, register and disk."""

OVERDUE = timedelta(days=1)
"""How far a row may outlive the retention, by any clock, before that is alarmed: a purge comes
every 6 hours."""

BACKUP_OLD = timedelta(days=2)
"""One is made each night, so two were missed; without one it counts from the installation."""

WEB_RESTS_S = 60.0
"""Web asks the door every 20 s; a restart takes less. So two minutes of silence are reported."""


@dataclass(eq=False)
class Lookout:
    """Watches lines, disk, register and web; one turn with each turn of the loop, one thread.

    `config` is public, for it may be read again. `web_seen_s` returns when web gave its last sign
    of life, monotonic seconds; None where there is no web.
    """

    config: Config
    stores: DoorStores
    lines: Callable[[], Mapping[str, bool]]
    web_seen_s: Callable[[], float | None]

    def __post_init__(self) -> None:
        self._directory = self.config.storage.door_directory
        self._since_s: dict[str, float] = {}
        self._reported_s: dict[str, float] = {}
        self._look_at_s = self.stores.clock.monotonic_s()
        self._looked: Mapping[str, str | None] = {}
        self._told_epoch = 0
        self._backups = LastBackup()
        self._found_well: set[str] = set()

    def turn(self) -> None:
        """Alarm the faults that have lasted."""
        now_s = self.stores.clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            self.stores.worker.submit(self._look)
        faults = {
            f"{name}_lost": None if up else "it is not there" for name, up in self.lines().items()
        }
        faults["disk_slow"] = self.stores.disk.slow()
        seen_s = self.web_seen_s()
        if seen_s is not None:
            silent = now_s - seen_s >= WEB_RESTS_S
            faults["web_silent"] = "it has stopped asking the door" if silent else None
        self.see({**self._looked, **faults}, now_s)

    def see(self, faults: Mapping[str, str | None], now_s: float) -> None:
        """Take the reason for each fault of :data:`FAULTS`; None where it is not there.

        What is left out is unknown now, and stays as it was.
        """
        for kind, why in faults.items():
            if why is None:
                self._since_s.pop(kind, None)
                if self._reported_s.pop(kind, None) is not None:
                    self.stores.alarm(f"{kind}_cleared", "")
                elif kind not in self._found_well:
                    # An earlier process may have reported it.
                    self._found_well.add(kind)
                    self.stores.log.emit(WELL, kind=kind)
            elif self._is_due(kind, now_s):
                self._reported_s[kind] = now_s
                self.stores.alarm(kind, why)

    def _is_due(self, kind: str, now_s: float) -> bool:
        if (reported_s := self._reported_s.get(kind)) is not None:
            return now_s - reported_s >= AGAIN_S.get(kind, DAY_S)
        return now_s - self._since_s.setdefault(kind, now_s) >= FAULTS[kind]

    def _look(self) -> None:
        faults = {"undervoltage": undervoltage(), **self._register(), **self._backup()}
        faults |= {**self._keys(), **self._overdue()}
        if (release := Release.of_this_program()).package is not None:
            faults["release_differs"] = release.differs
        with suppress(OSError):
            faults["disk_low"] = disk_low(self._directory)
        with suppress(OSError):
            faults["upgrade_not_begun"] = begun = upgrade_not_begun()
            if begun is not None:
                # Which says more of the same.
                faults["release_differs"] = None
        self._looked = faults

    def _register(self) -> dict[str, str | None]:
        moment = self.stores.clock.moment()
        stamp = CacheStamp(0, None, 0, 0)
        # Where it can't be read, the next card tells so; that it can again, no card may tell.
        with suppress(StoreError):
            stamp = self.stores.patrons.stamp()
            self.stores.register_failing.tell(why_lost(stamp))
        if stamp.epoch and stamp.epoch != self._told_epoch:
            self._told_epoch = stamp.epoch
            self.stores.events.keep("push", str(stamp.epoch))
        self.stores.register, age, policy = stamp, stamp.age(moment), self.config.policy
        found: dict[str, str | None] = {}
        if stamp.epoch:
            problem = outdated(stamp, self.config)
            lower = stamp.minimum_age < policy.minimum_age
            found = {"patrons_outdated": problem, "patrons_unusable": problem if lower else None}
        # By a clock in doubt everybody is refused.
        if age is None:
            return found
        limit = timedelta(hours=policy.max_cache_age_h)
        why = f"it came {_hours(age)} ago; after {_hours(limit)} nobody is let in by it"
        old, too_old = age > limit * OLD_SHARE, age > limit
        return {
            **found,
            "register_old": why if old else None,
            "register_too_old": why if too_old else None,
        }

    def _backup(self) -> dict[str, str | None]:
        moment, stores = self.stores.clock.moment(), self.stores
        if not self.config.backup.recipients or not moment.dependable:
            return {}
        with suppress(StoreError), closing(AuditRecords(self.config.storage.branch_db)) as records:
            self._backups.look(records)
            stores.backup_at = at = self._backups.made
            since = at or self._backups.began or moment.local
            why = f"the last one is {_hours(moment.local - since)} old"
            why = why if at else "none was ever made"
            return {"backup_old": why if moment.local - since > BACKUP_OLD else None}
        return {}

    def _overdue(self) -> dict[str, str | None]:
        with suppress(StoreError):
            oldest = self.stores.answer_soon(self.stores.visits.oldest_row, LOOK_PATIENCE_S)
            latest = self.stores.clock.bounded().latest
            limit = retention(self.config) + OVERDUE
            if oldest is None or latest - oldest < limit:
                return {"purge_overdue": None}
            kept = f"the oldest is of {oldest:%Y-%m-%d} UTC"
            return {"purge_overdue": f"{kept}, and it may be {latest:%Y-%m-%d} now"}
        return {}

    def _keys(self) -> dict[str, str | None]:
        moment = self.stores.clock.moment()
        self.stores.days = days = days_of_keys(self.config)
        if not moment.dependable:
            return {}
        # Web, which serves by the certificate, alarms that one itself.
        old = [n for n, each in days.items() if n != CERTIFICATE and each.near(moment.local)]
        why = "; ".join(f"{name}: change it by {days[name].ends:%Y-%m-%d}" for name in old)
        return {"key_old": why or None}


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.0f} h"
