"""Claims the pins that the door listens to, and those that follow its hours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from doorctl.config import Config
from doorctl.devices.inputs import GpioInputs, InputPin
from doorctl.devices.outputs import GpioOutputs, OutputPin
from doorctl.devices.pins import Factory
from doorctl.errors import DeviceError
from doorctl.ports import EventLog


def open_inputs(
    config: Config, factory: Factory, on_change: Callable[[], None], stack: ExitStack
) -> GpioInputs | None:
    """Return the inputs that are wired, None where none is.

    Raises:
        DeviceError: a pin can't be had: a door that is not seen must not seem to be watched.
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

    A light that can't be switched keeps nobody out: it is alarmed.
    """
    pins = [OutputPin(one.name, one.pin) for one in config.outputs if one.pin is not None]
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
