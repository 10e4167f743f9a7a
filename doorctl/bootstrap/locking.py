"""Locks the door without the daemon: all that is needed is to know the relay's pin."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir

from doorctl.config import Gpio
from doorctl.devices.pins import open_factory, relay_off


def lock(gpio: Gpio, environment: Mapping[str, str]) -> None:
    """Switch the relay off.

    Args:
        gpio: the pins.
        environment: the process's; the driver's own file goes where systemd says, if it does,
            for a disk that is full must not keep the strike released.

    Raises:
        DeviceError: it can't be driven.
    """
    work_directory = Path(environment.get("RUNTIME_DIRECTORY") or gettempdir())
    with closing(open_factory(gpio.factory, work_directory)) as factory:
        relay_off(factory, gpio.relay_pin, active_high=gpio.relay_active_high)
