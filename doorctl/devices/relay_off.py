"""Locks the door without the daemon: all that is needed is to know the relay's pin."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from tempfile import gettempdir
from threading import Event

from gpiozero import Factory

from doorctl.config.tables import Gpio
from doorctl.devices.factory import open_factory, telling
from doorctl.devices.pins import MODULES, GpioRelay, outputs_kept

WORD = "relay"
"""The file under systemd's ``RuntimeDirectory=`` that says how the relay is switched off."""


def lock(gpio: Gpio, environment: Mapping[str, str]) -> None:
    """Switch the relay off.

    The driver's own file goes into systemd's runtime directory, if there is one: a full disk must
    not keep the strike released. Raises DeviceError: it can't be driven.
    """
    work_directory = Path(environment.get("RUNTIME_DIRECTORY") or gettempdir())
    with closing(open_factory(gpio.factory, work_directory)) as factory:
        # Claiming the pin drives it to its off level, whatever its level was.
        GpioRelay(factory, gpio.relay_pin, active_high=gpio.relay_active_high).close()


def pulse(gpio: Gpio, length_s: float) -> tuple[int, ...]:
    """Switch the relay on for so long, and return its pin's level before, in and after it.

    Raises DeviceError: the pin can't be driven, such as because the door process has it.
    """
    with closing(open_factory(gpio.factory, Path(gettempdir()))) as factory:
        relay = GpioRelay(factory, gpio.relay_pin, active_high=gpio.relay_active_high)
        with closing(relay), telling(f"GPIO{gpio.relay_pin} can't be read"):
            levels = [factory.pin(gpio.relay_pin).state]
            relay.energise()
            levels.append(factory.pin(gpio.relay_pin).state)
            Event().wait(length_s)
            relay.de_energise()
            levels.append(factory.pin(gpio.relay_pin).state)
    return tuple(map(int, levels))


def leave_word(gpio: Gpio, factory: Factory, environment: Mapping[str, str]) -> None:
    """Leave ``CHIP PIN LEVEL`` for systemd, which locks with it where no Python can start.

    Nothing is left without systemd's ``RUNTIME_DIRECTORY`` or on a chip that isn't one. Never
    raises: `lock` serves then. `factory` is the one that the relay was claimed from.
    """
    directory, chip = environment.get("RUNTIME_DIRECTORY"), getattr(factory, "chip", None)
    if not directory or not isinstance(chip, int):
        return
    off = _off(gpio)
    with suppress(OSError):
        Path(directory, WORD).write_text(f"/dev/gpiochip{chip} {gpio.relay_pin} {off}\n", "ascii")


DEAD_MANS_SWITCH = """\
trap '' HUP INT TERM
gpioset --version >/dev/null
read -r _
for _ in 1 2 3 4 5 6 7 8 9; do gpioset -t 0 -c "$0" "$1" && exit; sleep 0.05; done
"""
"""Nothing is written into its pipe, so `read` ends as soon as nobody can. The program was used once
before, so that it is in memory and no card has to be read. The kernel gives a dead process's files
back one by one; so long the line may be in use."""


def lock_when_dead(
    gpio: Gpio, factory: Factory, modules: Path = MODULES, programs: str = "/usr/bin:/bin"
) -> None:
    """Have a shell wait for the end of this process, however it ends, and lock at once.

    systemd locks too, but first starts three programs one after another. Nothing is begun where
    the kernel is known to free a dead process's outputs, or on a chip that isn't one. Never raises:
    systemd is left. `factory` is as for `leave_word`, `modules` for `outputs_kept`; ``gpioset`` is
    looked for in `programs`.
    """
    chip = getattr(factory, "chip", None)
    if not isinstance(chip, int):
        return
    line = (f"/dev/gpiochip{chip}", f"{gpio.relay_pin}={_off(gpio)}")
    with suppress(OSError):
        if outputs_kept(modules) is False:
            return
        # No other process inherits the end that stays here, and nobody closes it.
        waits, _ = os.pipe()
        os.posix_spawn(
            "/bin/sh",
            ("sh", "-c", DEAD_MANS_SWITCH, *line),
            {"PATH": programs},
            file_actions=((os.POSIX_SPAWN_DUP2, waits, 0),),
            # systemd sends them to the whole unit, and the shell takes a moment to set its trap.
            setsigmask=(signal.SIGHUP, signal.SIGINT, signal.SIGTERM),
        )
        os.close(waits)


def _off(gpio: Gpio) -> int:
    return 0 if gpio.relay_active_high else 1
