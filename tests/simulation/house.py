"""The two processes of a branch, put together from their real parts over the simulated machine."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from doorctl.access.calendar import Calendar, DatedDay, Mode, ModeSpan
from doorctl.access.day import DayRules
from doorctl.access.messages import Concluded, PadRules, Prepared, Rules
from doorctl.access.panel import Display
from doorctl.access.policy import Policy
from doorctl.cards.keys import KeypadLine
from doorctl.cards.reader import CardReader
from doorctl.config.tables import Door
from doorctl.core.errors import StoreError
from doorctl.core.masked import Identifier, InstallationKey
from doorctl.core.moments import CarriedTime, KeptReadings
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.devices.lines import KEYPAD, READER
from doorctl.doord.chores import KEPT_GRACE_S
from doorctl.doord.controller import Controller
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.hours import DailyRound
from doorctl.doord.housekeeping import Housekeeping
from doorctl.doord.ledger import Ledger, Worker
from doorctl.doord.loop_events import EventQueue, PostedEvent, ThreadFailed
from doorctl.doord.slow_jobs import SlowJobs
from doorctl.doord.stores import SteadyVisitLog
from doorctl.privacy.passages import HourCount, Passages
from doorctl.privacy.purge_proof import Canaries
from doorctl.privacy.retention import PurgeReport, WatchedTime
from doorctl.store.branch_writer import BranchRecordsWriter, open_or_create_branch
from doorctl.store.connection import create_file
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.door_log import VisitHistory
from doorctl.store.erasure import forget_erased
from doorctl.store.hourly import HourlyHistory
from doorctl.store.patrons import PatronCache
from doorctl.store.records import AuditTrail
from doorctl.store.tombstones import StoredErasures
from doorctl.store.visit_purge import purge
from doorctl.sync.guard import guard
from doorctl.web.reception import Reception
from tests.fakes.memory_store import FastSealer
from tests.fakes.pins import FakeInputs
from tests.simulation import oracle
from tests.simulation.clock import Agenda, SimClock, SimRelay, SimSignals, SimSupervisor
from tests.simulation.disk import (
    BRANCH,
    PATRONS,
    VISITS,
    Disk,
    SimBranch,
    SimPatrons,
    SimRegister,
    SimVisits,
)
from tests.simulation.pushes import MINIMUM_AGE
from tests.sync.pushes import SEAL, USUAL_TERMS

if TYPE_CHECKING:
    from tests.simulation.onlooker import Onlooker

RELEASE_S = 5.0
EXIT_S = 4.0
RETENTION = timedelta(days=30)
GUARD_PERCENT, GUARD_FLOOR = 40.0, 6
INSTALLATION_KEY = InstallationKey(bytes(range(32)))
TERMS = replace(USUAL_TERMS, guard=guard(GUARD_PERCENT, GUARD_FLOOR))
POLICY = Policy(max_cache_age_h=oracle.CACHE_GOOD_FOR / timedelta(hours=1), minimum_age=MINIMUM_AGE)
WAITING = replace(POLICY, first_card=frozenset({"caretaker"}))
DOOR_RULES = Door(release_s=RELEASE_S, exit_release_s=EXIT_S, interlock_wait_s=0.0)


def _spans(of: tuple[tuple[str, int, int], ...]) -> tuple[ModeSpan, ...]:
    return tuple(ModeSpan(Mode(mode), begins, ends) for mode, begins, ends in of)


CALENDAR = Calendar(
    (_spans(oracle.WEEKDAY),) * 5 + (_spans(oracle.WEEKEND),) * 2,
    {
        date(year, month, day): DatedDay(())
        for year in range(2026, 2130)
        for month, day in sorted(oracle.CLOSED_DAYS)
    },
)


class WatchedLedger(Ledger):
    """The real ledger, and somebody who looks on."""

    watch: Onlooker

    def prepare(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        """Prepare, and tell."""
        card = identifiers[0].reveal().removeprefix("card:")
        self.watch.in_danger(attempt, card)
        found = super().prepare(attempt, identifiers)
        self.watch.prepared(attempt, card, found)
        return found

    def settle(self, end: Concluded, counted_as: str | None = None) -> None:
        """Settle, and tell."""
        super().settle(end, counted_as)
        self.watch.settled(end.attempt, end.reason.value)


@dataclass
class SimWorker(Worker):
    """Jobs in order, each at a time that chance decides; they end with their process."""

    agenda: Agenda
    rng: Random
    post: Callable[[PostedEvent], None]
    slow_ms: int = 0
    alive: bool = True
    jobs: deque[Callable[[], PostedEvent | None]] = field(default_factory=deque)
    _busy: bool = False

    def submit(self, job: Callable[[], PostedEvent | None]) -> None:
        """Queue a job."""
        self.jobs.append(job)
        self._go_on()

    def backlog(self) -> int:
        """Return how many jobs wait."""
        return len(self.jobs)

    def _go_on(self) -> None:
        if self.jobs and not self._busy:
            self._busy = True
            self.agenda.after(self.rng.randrange(2, 60) + self.slow_ms, self._do_one)

    def _do_one(self) -> None:
        if not self.alive:
            return
        self._busy = False
        try:
            posted = self.jobs.popleft()()
        except Exception as err:  # noqa: BLE001 - as the real worker does
            posted = ThreadFailed(err)
        if posted is not None:
            self.post(posted)
        self._go_on()


@dataclass
class Machine:
    """What both processes stand on."""

    clock: SimClock
    agenda: Agenda
    disk: Disk
    rng: Random
    log: EventLog
    relay: SimRelay
    signals: SimSignals
    inputs: FakeInputs
    supervisor: SimSupervisor
    stands_free: bool
    waits: bool = False


class DoorProcess:
    """The door: opened as `doorctl.wiring.door` does, without its threads.

    `queue`: what the loop waits at; `watch`: who looks on.
    """

    def __init__(self, machine: Machine, event_queue: EventQueue, watch: Onlooker) -> None:
        self._machine = machine
        self._watch = watch
        disk, log = machine.disk, machine.log
        self._set_aside(disk, log)
        self.worker = SimWorker(machine.agenda, machine.rng, event_queue.put)
        self.visits = SimVisits(disk, watch.opened, watch.closed)
        self.patrons = SimPatrons(disk.path(PATRONS), SEAL)
        self.branch = SimBranch(disk.path(BRANCH))
        self.patrons.disk = self.branch.disk = disk
        self.steady = SteadyVisitLog(self.visits, log)
        self._erasures = StoredErasures(disk.path(BRANCH))
        self._canaries = Canaries(INSTALLATION_KEY)
        self._pending: frozenset[bytes] = frozenset()
        self._watched = WatchedTime()
        with suppress(StoreError):
            self.visits.open()
        disk.writers[VISITS] = self._database
        self.controller = self._controller(watch)

    def purge(self) -> PurgeReport:
        """Purge as the door does, on the worker.

        Raises:
            StoreError: the door log failed.
        """
        with suppress(StoreError):
            store = self.visits.open()
            forget_erased(store, self._erasures.tombstones())
        clock = self._machine.clock
        moment = clock.bounded()
        report = purge(
            self.visits,
            moment,
            clock.boot_time(),
            RETENTION,
            believed=self._watched.stands(moment, clock.monotonic_s()),
            whole=False,
            canaries=self._canaries,
            earlier=self._pending,
        )
        self._pending = frozenset() if report.complete else report.traces
        return report

    def close(self) -> None:
        """Let go of the files; idempotent."""
        self.worker.alive = False
        for one in (self.visits, self.patrons, self.branch, self._erasures):
            with suppress(StoreError):
                one.close()

    def _database(self) -> sqlite3.Connection:
        return self.visits.open().database

    def _set_aside(self, disk: Disk, log: EventLog) -> None:
        for name in (VISITS, PATRONS):
            aside = None
            with suppress(StoreError):
                aside = set_aside_if_damaged(disk.path(name), self._machine.clock.moment().local)
            if aside is not None:
                log.emit("alarm", kind="store_damaged", why=name)

    def _controller(self, watch: Onlooker) -> Controller:
        machine = self._machine
        doorway = DoorDriver(
            rules=DOOR_RULES,
            relay=machine.relay,
            signals=machine.signals,
            inputs=machine.inputs,
            clock=machine.clock,
            log=machine.log,
        )
        ledger = WatchedLedger(
            sealer=FastSealer(),
            patrons=self.patrons,
            branch=self.branch,
            visits=self.steady,
            clock=machine.clock,
            log=machine.log,
            counts_guesses=True,
        )
        ledger.watch = watch
        self.housekeeping = Housekeeping(
            self._chores(), machine.supervisor, lambda: self.worker.alive, lambda: doorway.relocks_s
        )
        return Controller(
            rules=Rules(WAITING if machine.waits else POLICY, PadRules(), branch="oest"),
            cards=CardReader(carries_keys=False),
            keypad=KeypadLine(),
            doorway=doorway,
            daily=self._daily(doorway),
            clock=machine.clock,
            log=machine.log,
            cache=self.patrons,
            branch=self.branch,
            jobs=SlowJobs(ledger, self.worker, AlarmOnce(machine.log, "patron_cache_failing")),
            display=Display(),
            show=lambda _state: None,
            last_number=self.steady.last_attempt(),
            lines=frozenset({READER, KEYPAD}),
            when_ready=machine.supervisor.ready,
            each_turn=self.housekeeping.turn,
            opened_on=self._opened_on(),
            day_opened=Passages(machine.clock, lambda: None, self._count).note_opened,
        )

    def _chores(self) -> Any:
        log = self._machine.log
        return SimpleNamespace(
            stores=SimpleNamespace(
                clock=self._machine.clock,
                worker=self.worker,
                alarm=lambda kind, why: log.emit("alarm", kind=kind, why=why),
                log=log,
            ),
            schedule=SimpleNamespace(
                nudge=lambda: self.worker.submit(self.purge_in_rounds), overdue_s=lambda: 0.0
            ),
            purging=SimpleNamespace(since_s=None),
            grace_s=KEPT_GRACE_S,
            keep_time=lambda: self.worker.submit(self._keep_time),
            keep_clock=lambda: self.worker.submit(self._keep_clock),
        )

    def _opened_on(self) -> date | None:
        with suppress(StoreError), closing(HourlyHistory(self._machine.disk.path(VISITS))) as read:
            return read.opened_on(self._machine.clock.moment())
        return None

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        def do() -> None:
            with suppress(StoreError):
                self.visits.add_counts(counts)
                self._watch.day_kept()

        self.worker.submit(do)

    def _daily(self, doorway: DoorDriver) -> DailyRound:
        machine = self._machine
        return DailyRound(
            rules=DayRules(warn_min=(15, 5)),
            calendar_of=lambda _stored: CALENDAR,
            branch=self.branch,
            submit=self.worker.submit,
            doorway=doorway,
            log=machine.log,
            stands_free=machine.stands_free,
        )

    def purge_in_rounds(self) -> None:
        """Purge where nobody waits for it: a failure is an alarm."""
        try:
            report = self.purge()
        except StoreError as err:
            self._machine.log.emit("alarm", kind="purge_failed", why=str(err))
        else:
            self._watch.purged(report)

    def _keep_time(self) -> None:
        moment = self._machine.clock.moment()
        if moment.dependable:
            with suppress(StoreError):
                boot = self._machine.clock.boot_time()
                self.visits.keep_time(moment.local, boot, moment.high_water)

    def _keep_clock(self) -> None:
        kept = self._machine.clock.kept()
        if kept is not None:
            with suppress(StoreError):
                self.visits.keep_clock(kept)
        if bounds := self._machine.clock.bounded().bounds:
            with suppress(StoreError):
                self.visits.keep_carried(bounds.carried)


class WebProcess:
    """What takes pushes in and owns the register and ``branch.db``."""

    def __init__(self, machine: Machine) -> None:
        disk = machine.disk
        path, branch = disk.path(PATRONS), disk.path(BRANCH)
        self.rights: BranchRecordsWriter = open_or_create_branch(branch)
        self.audit = AuditTrail(self.rights)
        self.erasures = StoredErasures(branch)
        if not path.exists():
            create_file(path)
        self.register = SimRegister(path, SEAL, self.erasures)
        self.register.disk = disk
        self.lookup = PatronCache(path, SEAL)
        disk.writers[PATRONS] = lambda: self.register.database
        disk.writers[BRANCH] = lambda: self.rights.database
        self.reception = Reception(
            TERMS,
            writer=self.register,
            lookup=self.lookup,
            clock=machine.clock,
            directory=disk.here,
        )

    def close(self) -> None:
        """Let go of the files."""
        for one in (self.register, self.lookup, self.rights, self.erasures):
            with suppress(StoreError):
                one.close()


def clock_on_record(
    disk: Disk,
) -> tuple[datetime | None, KeptReadings | None, CarriedTime | None]:
    """Return the highest trusted time and what was known of the clock, as a start reads it."""
    with suppress(StoreError), closing(VisitHistory(disk.path(VISITS))) as history:
        return history.high_water(), history.clock_readings(), history.carried_time()
    return None, None, None
