"""The strike's relay, lamps, outputs and inputs on GPIO pins, by a named gpiozero factory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from shutil import which
from typing import Any

from gpiozero import Factory, GPIOZeroError

from doorctl.core.errors import DeviceError
from doorctl.devices.factory import claimed_output, telling
from doorctl.door.lamps import Lamps


class GpioRelay:
    """The strike's relay on one Broadcom pin; an output at its off level from the first moment.

    One thread; both calls are idempotent.

    Raises DeviceError: the pin can't be claimed; later, from every call, that it can't be driven.
    """

    def __init__(self, factory: Factory, pin: int, *, active_high: bool) -> None:
        self._name = f"GPIO{pin}"
        self._output = claimed_output(factory, pin, active_high=active_high)

    def energise(self) -> None:
        """Let the door be opened."""
        try:
            self._output.on()
        except (GPIOZeroError, OSError):
            with telling(f"{self._name} can't be driven"):
                raise

    def de_energise(self) -> None:
        """Lock the door."""
        with telling(f"{self._name} can't be driven"):
            self._output.off()

    def close(self) -> None:
        """Switch off, then give the pin back; idempotent."""
        if not self._output.closed:
            try:
                self.de_energise()
            finally:
                self._output.close()


MODULES = Path("/sys/module")
"""Where the kernel shows its drivers' settings."""


def outputs_kept(modules: Path = MODULES) -> bool | None:
    """Return whether the kernel keeps an output's level when its process dies; None for unknown.

    Raspberry Pi OS does, unless ``dtparam=strict_gpiod`` stands in ``config.txt``.
    """
    said = set()
    for parameter in modules.glob("pinctrl_*/parameters/persist_gpio_outputs"):
        with suppress(OSError):
            said.add(parameter.read_text(encoding="ascii").strip())
    return "Y" in said if said else None


def relay_risks(
    factory: str, modules: Path = MODULES, programs: str | None = None
) -> tuple[str, ...]:
    """Return what could leave the relay on after the door process dies, a sentence each.

    A mock factory has no relay. `modules` is as for :func:`outputs_kept`; ``gpioset`` is looked
    for in `programs`, in ``PATH``'s format, or in ``PATH`` itself.
    """
    if factory == "mock":
        return ()
    risks = []
    if outputs_kept(modules):
        risks.append(
            "The kernel keeps the relay on when the door process dies: add dtparam=strict_gpiod "
            "to /boot/firmware/config.txt and reboot."
        )
    if which("gpioset", path=programs) is None:
        risks.append("gpioset is missing, which locks without Python: apt install gpiod.")
    return tuple(risks)


class GpioOutputs:
    """The real Outputs. Each is off from the first moment and after :meth:`close`. One thread.

    `pins` has each output's Broadcom pin, which its high level switches on.

    The pins are free between two runs of the daemon, so no output can be promised to stay on over a
    restart. Wire each so that off does no harm: a light by its relay's normally-closed contact.
    Raises DeviceError: a pin can't be claimed, and none is kept.
    """

    def __init__(self, factory: Factory, pins: Mapping[str, int]) -> None:
        self._outputs: dict[str, Any] = {}
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for name, pin in pins.items():
                try:
                    self._outputs[name] = claimed_output(factory, pin, active_high=True)
                except DeviceError as error:
                    raise DeviceError(f"the output {name}: {error}") from error
            undoing.pop_all()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one output; raises DeviceError, and the others keep their state."""
        output = self._outputs.get(name)
        if output is None:
            raise DeviceError(f"there is no output {name}")
        _switch(name, output, on=on)

    def close(self) -> None:
        """Switch all off, then give the pins back; idempotent.

        Raises DeviceError: a pin failed; the others are off all the same.
        """
        outputs, self._outputs = self._outputs, {}
        with ExitStack() as all_of_them:
            for name, output in outputs.items():
                all_of_them.callback(output.close)
                all_of_them.callback(_switch, name, output, on=False)


class GpioSignals(GpioOutputs):
    """Green and red lamp and buzzer at the reader; None for what is not wired. One thread."""

    def __init__(
        self, factory: Factory, green: int | None, red: int | None, buzzer: int | None
    ) -> None:
        pins = {"green": green, "red": red, "buzzer": buzzer}
        super().__init__(factory, {name: pin for name, pin in pins.items() if pin is not None})

    def show(self, lamps: Lamps) -> None:
        """Switch all of them to the given state.

        Raises DeviceError: about the first that can't be driven; the others are switched all the
        same.
        """
        with ExitStack() as all_of_them:
            for name in self._outputs:
                all_of_them.callback(self.switch, name, on=getattr(lamps, name))


def _switch(name: str, output: Any, *, on: bool) -> None:
    with telling(f"the output {name} can't be driven"):
        output.value = on
