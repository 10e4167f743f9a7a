"""What is switched with the hours, on GPIO pins: light, alarm arming, announcement."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from doorctl.devices.pins import Factory, claimed_output, telling
from doorctl.errors import DeviceError


@dataclass(frozen=True, slots=True)
class OutputPin:
    """One output.

    Args:
        name: what the configuration calls it; another one for each.
        pin: Broadcom number; never the relay's.
        active_high: whether it is on while its pin is high.
    """

    name: str
    pin: int
    active_high: bool = True


class GpioOutputs:
    """The real Outputs. Each is off from the first moment and after :meth:`close`. One thread.

    Nobody holds a pin between two runs of the daemon, so no output can be promised to stay on over
    a restart. Wire each so that off does no harm: a light by its relay's normally-closed contact.

    Args:
        factory: from :func:`doorctl.devices.pins.open_factory`.
        outputs: which there are.

    Raises:
        DeviceError: a pin can't be had, and none is kept.
    """

    def __init__(self, factory: Factory, outputs: Iterable[OutputPin]) -> None:
        self._outputs: dict[str, Any] = {}
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for one in outputs:
                self._outputs[one.name] = _claimed(factory, one)
            undoing.pop_all()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one of them; raises DeviceError, and the others are as they were."""
        output = self._outputs.get(name)
        if output is None:
            raise DeviceError(f"there is no output {name}")
        _switch(name, output, on=on)

    def close(self) -> None:
        """Switch all off, then give the pins back; idempotent.

        Raises:
            DeviceError: of one that failed; the others are off all the same.
        """
        outputs, self._outputs = self._outputs, {}
        with ExitStack() as all_of_them:
            for name, output in outputs.items():
                all_of_them.callback(output.close)
                all_of_them.callback(_switch, name, output, on=False)


def _claimed(factory: Factory, one: OutputPin) -> Any:
    try:
        return claimed_output(factory, one.pin, active_high=one.active_high)
    except DeviceError as error:
        raise DeviceError(f"the output {one.name}: {error}") from error


def _switch(name: str, output: Any, *, on: bool) -> None:
    with telling(f"the output {name} can't be driven"):
        output.value = on
