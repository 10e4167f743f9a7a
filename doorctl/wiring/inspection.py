"""Builds what a self-test looks at: beside the running door, or in place of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from doorctl.access.calendar import Calendar
from doorctl.access.ports import PatronLookup
from doorctl.cards.reader import CardReader
from doorctl.config import Config
from doorctl.core.errors import DoorctlError, NotAnsweringError
from doorctl.core.identity import owner_of
from doorctl.core.ports import Clock, Sealer
from doorctl.devices.pins import relay_risks
from doorctl.doord.self_test import Finding, House, from_answer, run
from doorctl.ops import machine
from doorctl.privacy.retention import VisitRetention
from doorctl.rpc.control import Question, ask
from doorctl.services.app import branch_db, patrons_db, system_clock
from doorctl.services.hours import calendar_of
from doorctl.services.numbers import own_sealer
from doorctl.store.branch import BranchRecords
from doorctl.store.keys import read_key
from doorctl.store.patrons import PatronCache
from doorctl.wiring.door_parts import rules

KEY_DAYS = 3 * 365
"""How long a branch that has lost no Pi keeps its key."""

_LUKS = "Take LUKS, with the key from the network or from a TPM module: systemd/README.md."
_RELAY = "Do so before the door is used; systemd/README.md says why."

ANSWER_LIMIT_S = 30.0
"""Longest wait for the door's own self-test: the worker may be in the middle of a purge."""


def house(
    config: Config,
    *,
    clock: Clock,
    sealer: Sealer,
    patrons: PatronLookup,
    calendar: Callable[[], Calendar | None],
    visits: VisitRetention | None = None,
    lines: Mapping[str, bool] | None = None,
    purged_s: float | None = None,
) -> House:
    """Return what the self-test looks at, as of now; the arguments are those of `House`."""
    return House(
        rules=rules(config),
        release_s=config.door.release_s,
        moment=clock.moment(),
        now_s=clock.monotonic_s(),
        boot=clock.boot_time(),
        sealer=sealer,
        patrons=patrons,
        disk=machine.DataDisk(config.storage.door_directory),
        calendar=calendar,
        visits=visits,
        lines=lines,
        purged_s=purged_s,
        relay_risks=relay_risks(config.gpio.factory),
        reader=lambda: CardReader(carries_keys=not config.keypad.port),
    )


def self_test(config: Config) -> tuple[Finding, ...]:
    """Have the running door test itself, or test what can be tested without it.

    Raises:
        DoorctlError: the door could not do it, or the installation key can't be read.
    """
    question = Question("selftest")
    try:
        return from_answer(ask(config.control.socket, question, timeout_s=ANSWER_LIMIT_S))
    except NotAnsweringError:
        with owner_of(config.storage.door_directory):
            return _without_the_door(config)


def _without_the_door(config: Config) -> tuple[Finding, ...]:
    sealer = own_sealer(config)
    with (
        closing(PatronCache(patrons_db(config), sealer.seal)) as patrons,
        closing(BranchRecords(branch_db(config))) as branch,
    ):
        # The door log has its own writer, which may be hanging: it is left alone.
        return run(
            house(
                config,
                clock=system_clock(config),
                sealer=sealer,
                patrons=patrons,
                calendar=lambda: calendar_of(config.opening, branch.calendar()),
            )
        )


def doctor(config: Config, root: Path = machine.ROOT) -> tuple[Finding, ...]:
    """Return what this machine's own safety has and lacks.

    The kernel's and the system's files are read below `root`.
    """
    storage, key = config.storage.directory, config.secrets.installation_key_file
    device = machine.device_of(storage)
    stands = {
        "disk": (machine.unencrypted(device, root), _LUKS),
        "relay": (" ".join(relay_risks(config.gpio.factory, root / "sys/module")), _RELAY),
        "key": (_key_problem(key), "Its owner alone may read it: chmod 600."),
        "key_age": (_too_old(key, system_clock(config)), "Take a new one: doorctl keys rotate."),
        "feed": (machine.clear_feeds((storage, key.parent)), "Remove what was loaded: shred -u."),
        "swap": (machine.swap(root), "Switch it off: swapoff -a, and in fstab or rpi-swap."),
        "core_dumps": (machine.core_dumps(root), "sysctl kernel.core_pattern='|/bin/false'."),
        "time": (machine.unsigned_time(root), "Take chrony with NTS; systemd/README.md has it."),
        "battery_clock": (machine.battery_clock(root), "Put one in, or a battery."),
        "watchdog": (machine.watchdog(root), "Install systemd/doorctl.system.conf."),
    }
    return tuple(
        Finding(name, not problem, problem or "All is well.", do if problem else "")
        for name, (problem, do) in stands.items()
    )


def _key_problem(path: Path) -> str | None:
    try:
        read_key(path)
    except DoorctlError as err:
        return f"{err}."
    return None


def _too_old(path: Path, clock: Clock) -> str | None:
    with suppress(OSError):
        days = (clock.moment().local.timestamp() - path.stat().st_mtime) / 86_400
        if days > KEY_DAYS:
            return f"The installation key is {days:.0f} days old."
    return None
