"""Opens what the door process reads and writes, in the order in which it must start."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from doorctl.access.day import DayRules
from doorctl.access.messages import PadRules, Rules
from doorctl.access.patron import CacheStamp
from doorctl.config import Config
from doorctl.core.errors import DeviceError, StoreBusyError, StoreError
from doorctl.core.ports import EventLog
from doorctl.devices.inputs import GpioInputs, GpioOutputs, InputPin, OutputPin
from doorctl.devices.pins import Factory
from doorctl.door.leaf import LeafRules
from doorctl.doord.door_driver import DoorRules
from doorctl.doord.events import EventQueue, PostedEvent, ThreadFailed
from doorctl.doord.fallback_log import SteadyVisitLog
from doorctl.ops.clock import SystemClock
from doorctl.ops.threads import WorkerThread
from doorctl.services.app import (
    access_policy,
    ask_s,
    branch_db,
    outdated,
    patrons_db,
    system_clock,
    visits_db,
)
from doorctl.store import door_log
from doorctl.store import patrons as patron_rows
from doorctl.store.branch import BranchRecords
from doorctl.store.keys import ArgonSealer, read_key
from doorctl.store.patrons import PatronCache
from doorctl.store.residue import set_aside_if_damaged
from doorctl.store.tables import Layout
from doorctl.store.visits import RetriedVisits

STORES_LIMIT_S = 60.0
"""Longest wait for the databases at the start; a check of 100 000 patrons takes 20 ms."""

ANSWER_LIMIT_S = 30.0
"""Longest wait for the worker to answer a question from outside the loop."""

ResultT = TypeVar("ResultT")


class DoorStores:
    """The door's databases, the thread that may wait for them, and what they are sealed with.

    `queue` gets what the worker's jobs return; `stack` closes all of it.

    Raises:
        DoorctlError: the key can't be read, or another process is the writer of the door log.
    """

    def __init__(
        self, config: Config, event_queue: EventQueue, log: EventLog, stack: ExitStack
    ) -> None:
        self._config = config
        self._event_queue = event_queue
        self._log = log
        self.clock: SystemClock = system_clock(config, wary=True)
        seal = config.seal
        self.key = read_key(config.secrets.installation_key_file)
        self.sealer = ArgonSealer(self.key, seal.memory_kib, seal.iterations)
        self.patrons = PatronCache(
            patrons_db(config), self.sealer.seal, self.sealer.earlier, self.clock.monotonic_s
        )
        stack.callback(self.patrons.close)
        self.branch = BranchRecords(branch_db(config), self.clock.monotonic_s)
        stack.callback(self.branch.close)
        # Ends before its files are closed: SQLite does not survive that in the middle of a query.
        self.worker: WorkerThread[PostedEvent] = WorkerThread(event_queue.put, self.failed)
        self.worker.start()
        stack.callback(self.worker.stop, 10.0)
        self.stamp = CacheStamp(0, None, config.policy.minimum_age, 0)
        self.visits = self.worker.call(self._open, timeout_s=STORES_LIMIT_S)
        stack.callback(lambda: self.worker.submit(self.visits.close))
        self.steady = SteadyVisitLog(self.visits, log)

    def alarm(self, kind: str, why: str) -> None:
        """Emit an alarm."""
        self._log.emit("alarm", kind=kind, why=why)

    def failed(self, error: BaseException) -> None:
        """End the door by an unexpected exception, on the loop's own thread."""
        self._event_queue.put(ThreadFailed(error))

    def answer(self, job: Callable[[], ResultT]) -> ResultT:
        """Have the worker do a job in its turn, and return its result or raise its error."""
        return self.worker.call(job, timeout_s=ANSWER_LIMIT_S)

    def _open(self) -> RetriedVisits:
        path = visits_db(self._config)
        sound = partial(self._set_aside, path, door_log.migrations)
        sound()
        self._set_aside(patrons_db(self._config), patron_rows.migrations)
        visits = RetriedVisits(path, partial(self.alarm, "store_damaged"), sound)
        try:
            visits.open()
        except StoreBusyError:
            raise
        except StoreError:
            # A disk that fails keeps nobody out; the first call that needs the log alarms.
            pass
        try:
            self.stamp = self.patrons.stamp()
        except StoreError as err:
            self.alarm("patron_cache_failing", str(err))
        problem = outdated(self.stamp, self._config)
        if problem is not None:
            self.alarm("patrons_outdated", problem)
        return visits

    def _set_aside(self, path: Path, migrations: Layout) -> None:
        try:
            aside = set_aside_if_damaged(path, self.clock.moment().local, migrations)
        except OSError as err:  # Ours are, and a disk that fails keeps nobody out.
            self.alarm("store_damaged", str(err))
            return
        if aside is not None:
            why = f"{path.name} is damaged and was set aside as {aside.name}"
            self.alarm("store_damaged", why)


# The rules of the door and of an attempt. The web process does without them and without what they
# import: 0.8 MB (measured).


def door_rules(config: Config) -> DoorRules:
    """Return the rules of the door itself."""
    door, gpio = config.door, config.gpio
    return DoorRules(
        release_s=door.release_s,
        long_release_s=door.long_release_s,
        exit_release_s=door.exit_release_s,
        wait_s=door.interlock_wait_s,
        leaf=LeafRules(
            held_open_s=door.held_open_s,
            prewarn_s=door.prewarn_s,
            exit_is_free=gpio.exit_button_pin is None,
        ),
    )


def day_rules(config: Config) -> DayRules:
    """Return the rules of the day; outputs on pins only, for web runs the commands."""
    return DayRules(
        warn_min=config.closing.warn_min,
        no_entry_min=config.closing.no_entry_min,
        outputs=tuple(output.rule for output in config.outputs if output.pin is not None),
    )


def rules(config: Config) -> Rules:
    """Return the rules of one attempt."""
    keypad, policy = config.keypad, config.policy
    pad = PadRules(policy.pin_length, keypad.digit_timeout_s, keypad.total_timeout_s)
    return Rules(
        access_policy(config),
        pad,
        ask_s(config),
        companions_max=policy.companions_max,
        long_release_tags=frozenset(config.door.long_release_tags),
        codes=policy.code_entry,
    )


def open_inputs(
    config: Config, factory: Factory, on_change: Callable[[], None], stack: ExitStack
) -> GpioInputs | None:
    """Return the inputs that are wired, None where none is.

    Raises:
        DeviceError: a pin can't be had: an unwatched door must not seem to be watched.
    """
    gpio = config.gpio
    wired = {
        "contact": _pin(gpio.contact_pin, active_high=gpio.contact_open_high),
        "exit_button": _pin(gpio.exit_button_pin, active_high=gpio.exit_button_active_high),
        "fire": _pin(gpio.fire_pin, active_high=gpio.fire_active_high),
        "other_door": _pin(gpio.other_door_pin, active_high=gpio.other_door_open_high),
    }
    if not any(wired.values()):
        return None
    inputs = GpioInputs(factory, on_change, **wired)
    stack.enter_context(closing(inputs))
    return inputs


def open_outputs(
    config: Config, factory: Factory, log: EventLog, stack: ExitStack
) -> GpioOutputs | None:
    """Return the outputs on pins; None where there is none, or where one can't be had.

    A light that can't be switched keeps nobody out, so it is only alarmed.
    """
    pins = [
        OutputPin(output.name, output.pin) for output in config.outputs if output.pin is not None
    ]
    if not pins:
        return None
    try:
        outputs = GpioOutputs(factory, pins)
    except DeviceError as err:
        log.emit("alarm", kind="output_failing", why=str(err))
        return None
    stack.enter_context(closing(outputs))
    return outputs


def _pin(number: int | None, *, active_high: bool) -> InputPin | None:
    return None if number is None else InputPin(number, active_high)
