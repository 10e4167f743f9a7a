"""Door contact, exit button, fire alarm and the other door's contact on GPIO pins.

Each pin is pulled to the level that a cut wire has to count as (`IN_DOUBT`), so the pull follows
from the level that means open, pressed or fire and is no setting of its own. The driver filters
nothing, because each driver filters in another way; debouncing is pure code elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from gpiozero import Factory, GPIODevice

from doorctl.core.errors import DeviceError
from doorctl.devices.factory import telling
from doorctl.door.inputs import IN_DOUBT, Levels


@dataclass(frozen=True, slots=True)
class InputPin:
    """One input's Broadcom pin, and whether its high level means open, pressed or fire."""

    pin: int
    active_high: bool


class GpioInputs:
    """Door contact, exit button, fire alarm and the other door's contact. One thread.

    `wired` has the names of `Levels`. A pin that fails later has its level of `IN_DOUBT` until it
    can be read again. `on_change` is called from the driver's thread at the first edge after each
    `levels`, so that a wire that chatters fills no queue; it must only post, never raise. One can
    be lost, so ask every second as well.

    Raises DeviceError: a pin can't be claimed, or not with its pull; none is kept then.
    """

    def __init__(self, factory: Factory, on_change: Callable[[], None], **wired: InputPin) -> None:
        self._wires: dict[str, _Wire] = {}
        self._on_change = on_change
        self._announced = False
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for name, pin in wired.items():
                doubt = getattr(IN_DOUBT, name)
                self._wires[name] = _Wire(factory, pin, self._changed, in_doubt=doubt)
            undoing.pop_all()

    def levels(self) -> Levels:
        """Read all pins; never raises and filters nothing. None for what is not wired."""
        # Before the first reading: an edge from now on may not show in it.
        self._announced = False
        states: dict[str, bool] = {}
        failing = []
        for name, wire in self._wires.items():
            try:
                states[name] = wire.active()
            except DeviceError as error:
                states[name] = wire.in_doubt
                failing.append(str(error))
        return Levels(**states, failing="; ".join(failing) or None)

    def close(self) -> None:
        """Stop calling `on_change` and give the pins back, no longer pulled; idempotent.

        Raises DeviceError: a pin failed; the others are given back all the same.
        """
        with ExitStack() as all_of_them:
            for wire in self._wires.values():
                all_of_them.callback(wire.close)

    def _changed(self) -> None:
        if not self._announced:
            self._announced = True
            self._on_change()


class _Wire:
    def __init__(
        self, factory: Factory, wiring: InputPin, changed: Callable[[], None], *, in_doubt: bool
    ) -> None:
        self.in_doubt = in_doubt
        self._name = f"GPIO{wiring.pin}"
        self._active_high = wiring.active_high
        self._tell = changed
        with telling(f"{self._name} can't be read"), ExitStack() as undoing:
            self._device: Any = GPIODevice(wiring.pin, pin_factory=factory)
            undoing.callback(self._device.close)
            high_in_doubt = in_doubt is wiring.active_high
            self._device.pin.input_with_pull("up" if high_in_doubt else "down")
            # The driver keeps a weak reference, so this has to be a method of what lives on.
            self._device.pin.when_changed = self._changed
            undoing.pop_all()

    def active(self) -> bool:
        if self._device.closed:
            raise DeviceError(f"{self._name} can't be read: it was closed")
        with telling(f"{self._name} can't be read"):
            return bool(self._device.pin.state) is self._active_high

    def close(self) -> None:
        if self._device.closed:
            return
        with telling(f"{self._name} can't be given back"), ExitStack() as both:
            both.callback(self._device.close)
            self._device.pin.when_changed = None

    def _changed(self, _ticks: object, _state: object) -> None:
        self._tell()
