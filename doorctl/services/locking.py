"""Locks the door without the daemon: all that is needed is to know the relay's pin."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from tempfile import gettempdir

from doorctl.config import Gpio
from doorctl.devices.pins import Factory, chip_of, open_factory, relay_off

WORD = "relay"
"""The file under systemd's ``RuntimeDirectory=`` that says how the relay is switched off."""


def lock(gpio: Gpio, environment: Mapping[str, str]) -> None:
    """Switch the relay off.

    The driver's own file goes into systemd's runtime directory, if there is one: a full disk must
    not keep the strike released.

    Raises:
        DeviceError: it can't be driven.
    """
    work_directory = Path(environment.get("RUNTIME_DIRECTORY") or gettempdir())
    with closing(open_factory(gpio.factory, work_directory)) as factory:
        relay_off(factory, gpio.relay_pin, active_high=gpio.relay_active_high)


def leave_word(gpio: Gpio, factory: Factory, environment: Mapping[str, str]) -> None:
    """Leave ``CHIP PIN LEVEL`` for systemd, which locks with it where no Python can start.

    Nothing is left without systemd's ``RUNTIME_DIRECTORY`` or on a chip that isn't one. Never
    raises: `lock` serves then. `factory` is the one that the relay was claimed from.
    """
    directory, chip = environment.get("RUNTIME_DIRECTORY"), chip_of(factory)
    if not directory or chip is None:
        return
    off = 0 if gpio.relay_active_high else 1
    with suppress(OSError):
        Path(directory, WORD).write_text(f"{chip} {gpio.relay_pin} {off}\n", encoding="ascii")
