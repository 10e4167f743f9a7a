"""Builds and runs the door process."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event

from gpiozero import Factory

import doorctl
from doorctl.access.day import DayRules
from doorctl.access.panel import Display
from doorctl.cards.keys import KeypadLine
from doorctl.config import Config
from doorctl.config.rules import undriven_locks
from doorctl.core.ports import AlarmOnce
from doorctl.devices.factory import open_factory
from doorctl.devices.inputs import GpioInputs, InputPin
from doorctl.devices.lines import Line, SeveralSignals
from doorctl.devices.pins import GpioRelay, GpioSignals, relay_risks
from doorctl.devices.relay_off import leave_word, lock_when_dead
from doorctl.door.inputs import Input
from doorctl.doord.alarms import DoorsAlarms
from doorctl.doord.answers import DoorAnswers, check_answers
from doorctl.doord.chores import Chores
from doorctl.doord.controller import Controller, panel_rules, press
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.hours import DailyRound
from doorctl.doord.housekeeping import Housekeeping
from doorctl.doord.ledger import Ledger, Worker
from doorctl.doord.library_question import Asking
from doorctl.doord.lookout import Lookout
from doorctl.doord.loop_events import EventQueue, LoopQueue, PinsTouched, Reloaded, StopRequested
from doorctl.doord.retention_answers import erasure_answers, hold_answers
from doorctl.doord.self_test import card_reader, rules
from doorctl.doord.slow_jobs import SlowJobs
from doorctl.doord.stores import STORES_LIMIT_S, DoorStores
from doorctl.extras.extra import DoorParts, LineParts, Lines, used
from doorctl.lookup.app import App
from doorctl.lookup.calendar import calendar_of
from doorctl.lookup.config_changes import read_again, tell_changes, tell_taken
from doorctl.lookup.configured import (
    opened_on,
    retention,
    system_clock,
    web_answers_s,
    work_directory,
)
from doorctl.lookup.health import CHECK_SOCKET
from doorctl.ops.logs import JsonLog
from doorctl.ops.memory import return_large_blocks, share_one_heap, spare_the_collector
from doorctl.ops.supervisor import SystemdSupervisor
from doorctl.privacy.passages import Passages
from doorctl.rpc.library import LibraryOverSocket
from doorctl.rpc.panel import PanelBoard, panel_answers
from doorctl.rpc.question import Answers
from doorctl.rpc.retention import PURGE
from doorctl.rpc.server import ControlServer, answer_until_closed
from doorctl.store.purge_job import Purging, forget_left
from doorctl.wiring.lines import built_lines, line_names

ASKING_STOP_S = 4.0
"""Longest wait at the end for a question to the library system that is under way."""

STARTED_BY = "door-config.json"

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""All signals but SIGKILL that would otherwise end the process at once, with the relay as it is."""


def open_door(config: Config, environment: Mapping[str, str], stdout: int) -> int:
    """Run the door until one of :data:`STOPPING` comes, and return the exit code 0.

    SIGHUP reads the configuration again. `environment` is the process's, through which systemd
    speaks; log lines go to the file descriptor `stdout`. Raises DoorctlError: the door can't start.
    The relay is off all the same.
    """
    share_one_heap()
    return_large_blocks()
    event_queue = LoopQueue()
    for number in STOPPING:
        signal.signal(number, lambda _number, _frame: event_queue.put(StopRequested()))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ExitStack() as stack:
        stack.callback(_ignore_signals)
        journal = stack.enter_context(closing(JsonLog(stdout)))
        alarms = DoorsAlarms(config, journal, system_clock(config), stack)
        log = alarms.log
        factory = stack.enter_context(
            closing(open_factory(config.gpio.factory, work_directory(config, environment)))
        )
        relay = GpioRelay(factory, config.gpio.relay_pin, active_high=config.gpio.relay_active_high)
        stack.enter_context(closing(relay))
        leave_word(config.gpio, factory, environment)
        lock_when_dead(config.gpio, factory)
        undriven = (f"{problem}." for problem in undriven_locks(config.gpio))
        risks = " ".join((*undriven, *relay_risks(config.gpio.factory)))
        AlarmOnce(log, "relay_unsafe").tell(risks or None)
        gpio = config.gpio
        signals = GpioSignals(factory, gpio.green_pin, gpio.red_pin, gpio.buzzer_pin)
        stack.enter_context(closing(signals))
        tell_changes(config, config.storage.door_directory / STARTED_BY, log)
        door = _Door(config, environment, event_queue, alarms, stack, factory, relay, signals)
        controller = door.controller()
        signal.signal(signal.SIGHUP, lambda _number, _frame: door.reload())
        controller.run(event_queue)
        door.stopping()
    return 0


def _ignore_signals() -> None:
    # One that comes while Python ends would kill the process, which has done all that it must.
    for number in (*STOPPING, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@dataclass(eq=False, repr=False)
class _Door:
    """Everything behind the controller, in the order in which it must start."""

    config: Config
    environment: Mapping[str, str]
    event_queue: EventQueue
    alarms: DoorsAlarms
    stack: ExitStack
    factory: Factory
    relay: GpioRelay
    signals: GpioSignals

    def __post_init__(self) -> None:
        self.supervisor = SystemdSupervisor(self.environment)
        self._stores = stores = DoorStores(
            self.config, self.event_queue, self.alarms.log, self.stack
        )
        self._log = log = stores.log
        self._app = App(self.config, stores.clock)
        self._purging = Purging(
            stores.visits,
            stores.clock,
            self.config.storage,
            kept_for=retention(self.config),
            branch=self.config.branch.id,
            key=stores.key,
            run=stores.answer,
            erased=partial(forget_left, self.config.storage.branch_db, stores.visits.open),
        )
        # Another first number in each run.
        self._board = PanelBoard(round(stores.clock.monotonic_s() * 1000) + 1)
        self._chores = Chores(self.config, stores, self._purging, log)
        self._ledger = Ledger(
            sealer=stores.sealer,
            patrons=stores.patrons,
            branch=stores.branch,
            visits=stores.steady,
            clock=stores.clock,
            log=log,
            counts_guesses=self.config.policy.require_pin,
            late=stores,
        )

    def stopping(self) -> None:
        """Say that the door ends because it was told to."""
        self._stores.events.keep("stopped")
        self.supervisor.stopping()

    def reload(self) -> None:
        """Have the configuration read again, and take what may change; from a signal's handler."""
        self._chores.do("reload", self._read_again)

    def _read_again(self) -> None:
        read = read_again(self.config, self.environment, self._log)
        if read is not None:
            config, taken = read
            take = partial(self._take, config, taken)
            new = Reloaded(rules(config), day_rules(config), panel_rules(config), take)
            self.event_queue.put(new)

    def _take(self, config: Config, taken: str) -> None:
        self.config = self._chores.config = self._lookout.config = config
        self.alarms.wanted = config.alarms.wanted
        wanted = config.policy.require_pin
        self._stores.worker.submit(partial(setattr, self._ledger, "counts_guesses", wanted))
        tell_taken(taken, self._log)

    def controller(self) -> Controller:
        """Start the threads and return the loop that they post to."""
        stores, chores = self._stores, self._chores
        lines = self._lines()
        devices = [device for built in lines for device in built.devices]
        passages = Passages(
            stores.clock, lambda: daily.standing.mode if daily.standing else None, chores.count
        )
        self.stack.callback(passages.finish)
        doorway = self._doorway(passages, lines)
        daily = self._daily_round(doorway)
        housekeeping = Housekeeping(
            chores,
            self.supervisor,
            lambda: all(device.alive for device in devices),
            lambda: doorway.relocks_s,
        )
        controller = Controller(
            rules=rules(self.config),
            cards=card_reader(self.config),
            keypad=KeypadLine(self.config.keypad.key_bytes),
            doorway=doorway,
            daily=daily,
            clock=stores.clock,
            log=self._log,
            cache=stores.patrons,
            branch=stores.branch,
            jobs=self._jobs(),
            display=Display(panel_rules(self.config)),
            show=self._board.show,
            last_number=stores.worker.call(stores.steady.last_attempt, timeout_s=STORES_LIMIT_S),
            lines=frozenset(line_names(self.config)),
            when_ready=self._ready,
            each_turn=partial(self._turn, housekeeping, passages),
            opened_on=opened_on(self.config, stores.clock.moment()),
            day_opened=passages.note_opened,
        )
        self._answers = self._answers_of(controller, doorway)
        self._lookout = Lookout(self.config, stores, self._answers.lines, self.alarms.web_seen_s)
        self._start(devices)
        return controller

    def _turn(self, housekeeping: Housekeeping, passages: Passages) -> None:
        housekeeping.turn()
        passages.turn()
        self._lookout.turn()
        self._chores.test_again(self._answers.lines)

    def _answers_of(self, controller: Controller, doorway: DoorDriver) -> DoorAnswers:
        return DoorAnswers(
            self._stores,
            ledger=self._ledger,
            chores=self._chores,
            controller=controller,
            doorway=doorway,
            event_queue=self.event_queue,
            standing=self.alarms.standing,
            web_seen_s=self.alarms.web_seen_s,
        )

    def _doorway(self, passages: Passages, lines: Sequence[Lines]) -> DoorDriver:
        own = [built.signals for built in lines if built.signals is not None]
        return DoorDriver(
            rules=replace(self.config.door, exit_is_free=self.config.gpio.exit_button_pin is None),
            relay=self.relay,
            signals=SeveralSignals((self.signals, *own)) if own else self.signals,
            inputs=self._inputs(),
            clock=self._stores.clock,
            log=self._log,
            on_passage=passages.note,
            bounded=self._bound,
        )

    def _inputs(self) -> GpioInputs | None:
        gpio, put = self.config.gpio, self.event_queue.put
        pins = {
            Input.CONTACT: (gpio.contact_pin, gpio.contact_open_high),
            Input.EXIT_BUTTON: (gpio.exit_button_pin, gpio.exit_button_active_high),
            Input.FIRE: (gpio.fire_pin, gpio.fire_active_high),
            Input.OTHER_DOOR: (gpio.other_door_pin, gpio.other_door_open_high),
        }
        wired = {
            wire.value: InputPin(pin, high) for wire, (pin, high) in pins.items() if pin is not None
        }
        if not wired:
            return None
        # One that can't be had ends the start: an unwatched door must not seem to be watched.
        inputs = GpioInputs(self.factory, lambda: put(PinsTouched()), **wired)
        return self.stack.enter_context(closing(inputs))

    def _bound(self, until_s: float | None) -> None:
        left_s = None if until_s is None else until_s - self._stores.clock.monotonic_s()
        self.supervisor.bound(None if left_s is None else max(0.0, left_s) + self._chores.grace_s)

    def _daily_round(self, doorway: DoorDriver) -> DailyRound:
        parts = DoorParts(self.config, self.factory, self._log, self.stack)
        hung_on = (extra.follower(parts) for extra in used(self.config) if extra.follower)
        return DailyRound(
            rules=day_rules(self.config),
            calendar_of=lambda stored: calendar_of(self.config.opening, stored),
            branch=self._stores.branch,
            submit=self._stores.worker.submit,
            doorway=doorway,
            log=self._log,
            followers=tuple(filter(None, hung_on)),
            stands_free=self.config.door.free_when_staffed,
            test=lambda: self._chores.test(self._answers.lines),
        )

    def _jobs(self) -> SlowJobs:
        config, stores = self.config, self._stores
        jobs = SlowJobs(self._ledger, stores.worker, stores.register_failing, pause=Event().wait)
        if not config.lms.kind:
            return jobs
        # It costs 0.3 MB, and most doors have no library system to ask.
        from doorctl.sync.sealing import lent_patron

        weak = config.policy.flags_weak
        asker, keeper = (Worker(self.event_queue.put, stores.failed) for _ in range(2))
        asking = Asking(
            LibraryOverSocket(config.web.socket, web_answers_s(config), self._log),
            stores.clock,
            asker=asker,
            keeper=keeper,
            lend=partial(lent_patron, minimum_age=config.policy.minimum_age, flags_weak=weak),
            row_lasts=timedelta(days=config.lms.row_days),
            pin_lasts=timedelta(days=config.lms.pin_days),
            flags_weak=weak,
        )
        # Started last is stopped first: the asker, which then gives the keeper nothing more.
        for worker in (keeper, asker):
            worker.start()
            self.stack.callback(worker.stop, ASKING_STOP_S)
        return replace(jobs, library=asking)

    def _lines(self) -> list[Lines]:
        parts = LineParts(
            self.config,
            line_names(self.config),
            post=self.event_queue.put,
            pending=self.event_queue.qsize,
            monotonic_s=self._stores.clock.monotonic_s,
            log=self._log,
        )
        return built_lines(parts)

    def _start(self, devices: Sequence[Line]) -> None:
        config, stores = self.config, self._stores
        answers: Answers = {
            **self._answers.answers(),
            **PURGE.answered(
                lambda it: self._purging.reported(proved=it.prove, believed=it.believe)
            ),
            **hold_answers(self._app, stores.visits, stores.answer),
            **panel_answers(self._board, partial(press, panel_rules(config), self.event_queue)),
            **self.alarms.answers,
            **erasure_answers(
                stores.answer_soon, stores.visits.open, self._ledger.forget, stores.answer_by_worker
            ),
        }
        socket = config.control.socket
        runtime = self.environment.get("RUNTIME_DIRECTORY") or socket.parent
        checks = check_answers(self._answers.status, lambda: self._chores.config, stores.clock)
        kept = frozenset(config.control.kept_from_web)
        for server in (
            partial(ControlServer, socket, answers, kept=kept, peer="doorctl-web"),
            partial(ControlServer, Path(runtime, CHECK_SOCKET), checks, "check", public=True),
        ):
            answer_until_closed(server, self._log, self.stack, str(server.args[0]))
        self._chores.schedule.start()
        self.stack.callback(self._chores.schedule.stop)
        for device in devices:
            device.start()
            self.stack.callback(device.stop)

    def _ready(self) -> None:
        stores = self._stores
        self._log.emit(
            "ready",
            version=doorctl.__version__,
            pid=os.getpid(),
            epoch=stores.register.epoch,
            cards=stores.register.patrons,
            clock=stores.clock.moment().state.value,
        )
        self.supervisor.ready()
        spare_the_collector()


def day_rules(config: Config) -> DayRules:
    """Return the rules of the day."""
    return DayRules(
        warn_min=config.closing.warn_min,
        no_entry_min=config.closing.no_entry_min,
    )
