"""Builds and runs the door process."""

from __future__ import annotations

import os
import queue
import re
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import doorctl
from doorctl.access.calendar import Calendar, Mode
from doorctl.access.modes import Standing
from doorctl.access.staff_text import refuse_text
from doorctl.bootstrap.doubt import ClockDoubt
from doorctl.bootstrap.holding import Holding
from doorctl.bootstrap.inspection import house
from doorctl.bootstrap.memory import return_large_blocks, spare_the_collector
from doorctl.bootstrap.pins import open_inputs, open_outputs
from doorctl.bootstrap.purging import Purging
from doorctl.bootstrap.rules import (
    branch_db,
    day_rules,
    door_rules,
    outdated,
    patrons_db,
    rules,
    system_clock,
    visits_db,
    work_directory,
)
from doorctl.bootstrap.subject_door import doors_answers, forget_left
from doorctl.cards.reader import CardReader
from doorctl.config import Config
from doorctl.continuity import SteadyVisitLog
from doorctl.controller import (
    KEYPAD,
    READER,
    Controller,
    LibraryDesk,
    Mailbox,
    PinsTouched,
    PostedEvent,
    StaffOpened,
    StopRequested,
    ThreadFailed,
)
from doorctl.daily_round import DailyRound
from doorctl.devices.inputs import GpioInputs
from doorctl.devices.outputs import GpioOutputs
from doorctl.devices.pins import GpioRelay, GpioSignals, open_factory
from doorctl.devices.serial_line import SerialLine
from doorctl.doorway import Doorway
from doorctl.errors import DoorctlError, InputError, StoreBusyError, StoreError
from doorctl.housekeeping import Housekeeping
from doorctl.ledger import Ledger
from doorctl.opening_hours import calendar_of
from doorctl.ops.clock import SystemClock
from doorctl.ops.logs import JsonLog
from doorctl.ops.scheduler import PurgeSchedule
from doorctl.ops.supervision import SystemdSupervisor
from doorctl.ops.worker import WorkerThread
from doorctl.ports import CacheStamp, EventLog, HourCount
from doorctl.privacy.passages import Passages
from doorctl.privacy.retention import PurgeReport
from doorctl.self_test.findings import Finding, as_answer
from doorctl.self_test.run import run as run_self_test
from doorctl.store.branch import BranchRecords
from doorctl.store.key_file import read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.quarantine import set_aside_if_damaged
from doorctl.store.sealing import ArgonSealer
from doorctl.store.visits_retried import RetriedVisits
from doorctl.transports.control import ControlServer, Question

PURGE_EVERY_H = 6.0
PURGE_AGAIN_S = 60.0
STORES_LIMIT_S = 60.0
"""Longest wait for the databases at the start; a check of 100 000 patrons takes 20 ms."""

ANSWER_LIMIT_S = 30.0
"""Longest wait of a question on the control socket for the worker."""

ASKING_STOP_S = 4.0
"""Longest wait at the end for a question to the library system that is under way."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Whatever would else end the process on the spot, with the relay as it is (but for SIGKILL)."""

ResultT = TypeVar("ResultT")

ROW_KEY = re.compile("[0-9a-f]{32}")


def open_door(config: Config, environment: Mapping[str, str], stdout: int) -> int:
    """Run the door until one of :data:`STOPPING` comes.

    Args:
        config: the whole configuration.
        environment: the process's; systemd speaks through it.
        stdout: the file descriptor for log lines.

    Returns:
        The exit code, 0.

    Raises:
        DoorctlError: the door can't start. The relay is off all the same.
    """
    return_large_blocks()
    mailbox: Mailbox = queue.SimpleQueue()
    for number in STOPPING:
        signal.signal(number, lambda _number, _frame: mailbox.put(StopRequested()))
    with ExitStack() as stack:
        journal = stack.enter_context(closing(JsonLog(stdout)))
        log = _alarmed(config, journal, stack)
        factory = stack.enter_context(
            closing(open_factory(config.gpio.factory, work_directory(config, environment)))
        )
        relay = GpioRelay(factory, config.gpio.relay_pin, active_high=config.gpio.relay_active_high)
        stack.enter_context(closing(relay))
        gpio = config.gpio
        signals = GpioSignals(factory, gpio.green_pin, gpio.red_pin, gpio.buzzer_pin)
        stack.enter_context(closing(signals))
        door = _Door(config, environment, mailbox, log, stack)
        inputs = open_inputs(config, factory, lambda: mailbox.put(PinsTouched()), stack)
        outputs = open_outputs(config, factory, log, stack)
        door.controller(relay, signals, inputs, outputs).run(mailbox)
        door.supervisor.stopping()
    return 0


def _alarmed(config: Config, journal: JsonLog, stack: ExitStack) -> EventLog:
    if not config.alarms.wanted:
        return journal
    # What a door does not use is not loaded.
    from doorctl.bootstrap.alarm_road import doors_alarm_log  # noqa: PLC0415 - as said

    return doors_alarm_log(config, journal, system_clock(config), stack)


class _Door:
    """Everything behind the controller, in the order in which it must start."""

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        mailbox: Mailbox,
        log: EventLog,
        stack: ExitStack,
    ) -> None:
        self._config = config
        self._log = log
        self._stack = stack
        self._mailbox = mailbox
        self.supervisor = SystemdSupervisor(environment)
        self._clock: SystemClock = system_clock(config)
        seal = config.seal
        key = read_key(config.secrets.installation_key_file)
        self._sealer = ArgonSealer(key, seal.memory_kib, seal.iterations)
        self._worker: WorkerThread[PostedEvent] = WorkerThread(mailbox.put, self._failed)
        self._worker.start()
        self._schedule = PurgeSchedule(PURGE_EVERY_H, partial(self._worker.submit, self._purge))
        stack.callback(self._worker.stop, 10.0)
        self._patrons = PatronCache(patrons_db(config), self._sealer.seal)
        stack.callback(self._patrons.close)
        self._branch = BranchRecords(branch_db(config))
        stack.callback(self._branch.close)
        self._stamp = CacheStamp(0, None, config.policy.minimum_age, 0)
        self._visits = self._worker.call(self._open_stores, timeout_s=STORES_LIMIT_S)
        self._purging = Purging(
            config,
            self._visits,
            self._clock,
            key=key,
            run=self._answer,
            erased=partial(forget_left, config, self._visits.open),
        )
        self._holding = Holding(config, self._visits, self._clock, run=self._answer)
        stack.callback(lambda: self._worker.submit(self._visits.close))
        self._steady = SteadyVisitLog(self._visits, log)
        self._ledger = Ledger(
            sealer=self._sealer,
            patrons=self._patrons,
            branch=self._branch,
            visits=self._steady,
            clock=self._clock,
            counts_guesses=config.policy.require_pin,
        )
        self._doubt = ClockDoubt(self._alarm)

    def controller(
        self,
        relay: GpioRelay,
        signals: GpioSignals,
        inputs: GpioInputs | None,
        outputs: GpioOutputs | None,
    ) -> Controller:
        """Start the threads and return the loop that they post to."""
        lines = self._serial_lines()
        passages = Passages(self._clock, lambda: _mode(daily.standing), self._count)
        self._stack.callback(passages.finish)
        doorway = Doorway(
            rules=door_rules(self._config),
            relay=relay,
            signals=signals,
            inputs=inputs,
            clock=self._clock,
            log=self._log,
            told_of=passages.note,
        )
        daily = DailyRound(
            rules=day_rules(self._config),
            calendar_of=partial(calendar_of, self._config.opening),
            branch=self._branch,
            submit=self._worker.submit,
            doorway=doorway,
            outputs=outputs,
            log=self._log,
            stands_free=self._config.door.free_when_staffed,
            test=lambda: self._worker.submit(lambda: self._test(controller)),
        )
        housekeeping = Housekeeping(
            clock=self._clock,
            supervisor=self.supervisor,
            threads_alive=lambda: all(line.alive for line in lines.values()),
            stepped=self._clock.stepped,
            purge_soon=self._schedule.nudge,
            keep_time=lambda: self._worker.submit(self._keep_time),
            ping=self._worker.submit,
        )
        controller = Controller(
            rules=rules(self._config),
            cards=CardReader(carries_keys=not self._config.keypad.port),
            doorway=doorway,
            daily=daily,
            clock=self._clock,
            log=self._log,
            cache=self._patrons,
            branch=self._branch,
            ledger=self._ledger,
            worker=self._worker,
            last_number=self._worker.call(self._steady.last_attempt, timeout_s=STORES_LIMIT_S),
            lines=frozenset(lines),
            when_ready=self._ready,
            each_turn=lambda: _all(housekeeping.turn, passages.turn),
            library=self._library(),
        )
        self._start(lines, controller, doorway)
        return controller

    def _library(self) -> LibraryDesk | None:
        if not self._config.lms.wanted:
            return None
        # On a Pi it costs megabytes, and most doors ask nobody.
        from doorctl.bootstrap.library import open_doors_desk  # noqa: PLC0415 - as said

        opened = open_doors_desk(
            self._config, self._clock, self._log, self._mailbox.put, self._failed
        )
        if opened is None:
            return None
        desk, worker = opened
        worker.start()
        self._stack.callback(worker.stop, ASKING_STOP_S)
        return desk

    def _serial_lines(self) -> dict[str, SerialLine]:
        config = self._config
        ports = {READER: (config.reader.port, config.reader.baud)}
        if config.keypad.port:
            ports[KEYPAD] = (config.keypad.port, config.keypad.baud)
        return {
            name: SerialLine(name, port, baud, self._mailbox.put, self._mailbox.qsize)
            for name, (port, baud) in ports.items()
        }

    def _start(
        self, lines: Mapping[str, SerialLine], controller: Controller, doorway: Doorway
    ) -> None:
        answers: dict[str, Callable[[Question], Mapping[str, Any]]] = {
            "status": lambda _question: self._status(controller, doorway),
            "purge": self._purging.answer,
            **self._holding.answers(),
            **doors_answers(self._answer, self._visits.open),
            "unlock": lambda question: self._answer(
                partial(self._unlock, str(question.about.get("card", "")))
            ),
            "selftest": lambda _question: self._answer(
                lambda: as_answer(self._self_test(controller))
            ),
            "open": self._open_once,
            "seal": lambda _question: self._seal(),
        }
        try:
            server = ControlServer(self._config.control.socket, answers)
        except StoreError as err:
            self._alarm("control_failing", str(err))
        else:
            server.start()
            self._stack.callback(server.stop)
        self._schedule.start()
        self._stack.callback(self._schedule.stop)
        for line in lines.values():
            line.start()
            self._stack.callback(line.stop)

    def _open_stores(self) -> RetriedVisits:
        at = self._clock.moment().local
        for path in (visits_db(self._config), patrons_db(self._config)):
            self._set_aside(path, at)
        visits = RetriedVisits(visits_db(self._config))
        try:
            visits.open()
        except StoreBusyError:
            raise
        except StoreError:
            # A disk that fails keeps nobody out; the first call that needs the log alarms.
            pass
        try:
            self._stamp = self._patrons.stamp()
        except StoreError as err:
            self._alarm("patron_cache_failing", str(err))
        problem = outdated(self._stamp, self._config)
        if problem is not None:
            self._alarm("patrons_outdated", problem)
        return visits

    def _alarm(self, kind: str, why: str) -> None:
        self._log.emit("alarm", kind=kind, why=why)

    def _set_aside(self, path: Path, at: datetime) -> None:
        try:
            aside = set_aside_if_damaged(path, at)
        except StoreError as err:
            self._alarm("store_damaged", str(err))
            return
        if aside is not None:
            why = f"{path.name} is damaged and was set aside as {aside.name}"
            self._alarm("store_damaged", why)

    def _ready(self) -> None:
        self._log.emit(
            "ready",
            version=doorctl.__version__,
            pid=os.getpid(),
            epoch=self._stamp.epoch,
            patrons=self._stamp.patrons,
            clock=self._clock.moment().state.value,
        )
        self.supervisor.ready()
        spare_the_collector()

    def _purge(self) -> None:
        try:
            report = self._purging.purge()
        except StoreError as err:
            self._alarm("purge_failed", str(err))
            return
        if not report.complete and not report.postponed:
            self._alarm("purge_incomplete", "a reader kept traces alive; trying again in a minute")
            self._schedule.nudge(in_s=PURGE_AGAIN_S)
        self._log.emit("purge", **report.as_dict())
        if report.complete:
            # Whoever stands at the door does not wait for the search, nor does a stop.
            threading.Thread(target=self._prove, args=(report,), name="proof", daemon=True).start()

    def _prove(self, report: PurgeReport) -> None:
        try:
            proof, path = self._purging.prove(report)
        except DoorctlError as err:
            self._alarm("purge_failed", str(err))
            return
        if not proof.clean:
            self._alarm("purge_incomplete", f"it is not proved that all is gone; see {path.name}")

    def _count(self, counts: tuple[HourCount, ...]) -> None:
        def written() -> None:
            # A disk that fails is alarmed by the door log; what was counted meanwhile is lost.
            with suppress(StoreError):
                self._visits.add_counts(counts)

        self._worker.submit(written)

    def _keep_time(self) -> None:
        moment = self._clock.moment()
        if not moment.dependable:
            return
        self._doubt.look(moment)
        try:
            self._visits.keep_time(moment.local, self._clock.boot_time())
        except StoreError as err:
            self._alarm("visit_log_failing", str(err))

    def _unlock(self, card: str) -> dict[str, Any]:
        self._ledger.unlock(_row_key(card))
        return {}

    def _self_test(self, controller: Controller) -> tuple[Finding, ...]:
        """Look at everything; on the worker's thread."""
        lines = {name: bool(up) for name, up in controller.connected.items()}
        return run_self_test(
            house(
                self._config,
                clock=self._clock,
                sealer=self._sealer,
                patrons=self._patrons,
                calendar=self._calendar,
                visits=self._visits,
                lines=lines,
                purged_s=self._purging.purged_s,
            )
        )

    def _test(self, controller: Controller) -> None:
        for finding in self._self_test(controller):
            if not finding.ok:
                self._alarm("self_test_failed", f"{finding.what} {finding.do}")

    def _calendar(self) -> Calendar:
        return calendar_of(self._config.opening, self._branch.calendar())

    def _open_once(self, question: Question) -> dict[str, Any]:
        reason, by = (str(question.about.get(name, "")) for name in ("reason", "by"))
        # Both come to stand in the log, which nobody can take anything out of.
        refuse_text("reason", reason)
        refuse_text("account", by)
        self._mailbox.put(StaffOpened(reason, by))
        return {}

    def _seal(self) -> dict[str, Any]:
        seal = self._sealer.seal
        return {
            "key_id": seal.key_id,
            "memory_kib": seal.memory_kib,
            "iterations": seal.iterations,
        }

    def _status(self, controller: Controller, doorway: Doorway) -> dict[str, Any]:
        return {
            "reader": _connected(controller.connected.get(READER)),
            "keypad": _connected(controller.connected.get(KEYPAD)),
            "released": doorway.released,
            "door": doorway.state,
            "clock": self._clock.moment().state.value,
            "pid": os.getpid(),
            "version": doorctl.__version__,
        }

    def _answer(self, job: Callable[[], ResultT]) -> ResultT:
        return self._worker.call(job, timeout_s=ANSWER_LIMIT_S)

    def _failed(self, error: BaseException) -> None:
        self._mailbox.put(ThreadFailed(error))


def _all(*jobs: Callable[[], None]) -> None:
    for job in jobs:
        job()


def _mode(standing: Standing | None) -> Mode | None:
    return None if standing is None else standing.mode


def _row_key(card: str) -> bytes:
    if not ROW_KEY.fullmatch(card):
        raise InputError("that is no row key; give 32 hex digits")
    return bytes.fromhex(card)


def _connected(state: bool | None) -> str | None:
    return None if state is None else ("connected" if state else "lost")
