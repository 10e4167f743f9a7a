"""gpiozero's lgpio pins, made safe for a strike: no pin passes through an unwanted level.

gpiozero claims a new pin as a floating input, then as an output that is low, and only then writes
the wanted level: a pulse on an active-low relay. It leaves a closed output floating. An input
floats before it is pulled, and lgpio's exceptions are not translated.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpiozero import Factory, GPIOZeroError, OutputDevice, PinFixedPull
from gpiozero.pins.local import LocalPiPin
from gpiozero.pins.mock import MockFactory

from doorctl.config.tables import Factory as FactoryName
from doorctl.core.errors import DeviceError


def steady_pin(pin_class: Any, lines: Any) -> Any:
    """Derive a pin class whose outputs and pulled inputs are steady from gpiozero's ``LGPIOPin``.

    Args:
        lines: the module lgpio, which can't be imported here: importing it starts a thread.
    """
    return type("SteadyPin", (Steady, pin_class), {"lines": lines})


class Steady:
    """The changes to ``LGPIOPin``; raises DeviceError where lgpio refuses."""

    lines: Any
    factory: Any
    info: Any
    _number: int
    _is_input = False

    def __init__(self, factory: Any, info: Any) -> None:
        # LGPIOPin's own is left out: it claims the line as a floating input.
        LocalPiPin.__init__(self, factory, info)
        self._pwm = None
        self._bounce = None
        self._callback = None
        self._edges = self.lines.BOTH_EDGES

    def output_with_state(self, state: bool) -> None:
        """Become an output that has its level from the first moment."""
        self._drive(self.lines.gpio_claim_output, state)

    def input_with_pull(self, pull: str) -> None:
        """Become an input that is pulled (``up`` or ``down``) from the first moment."""
        if self.info.pull not in (pull, ""):
            raise PinFixedPull(f"it has a resistor that pulls it {self.info.pull}")
        flags = {"up": self.lines.SET_PULL_UP, "down": self.lines.SET_PULL_DOWN}[pull]
        with self._telling("read"):
            self.lines.gpio_claim_input(self._handle, self._number, flags)
        self._is_input = True

    def close(self) -> None:
        """Release an input; leave an output driven as it is: off is safer than floating."""
        if self._is_input:
            self._is_input = False
            with self._telling("given back"):
                super().close()  # type: ignore[misc]

    def _get_state(self) -> bool:
        with self._telling("read"):
            return super()._get_state()  # type: ignore[misc,no-any-return]

    def _set_state(self, state: bool) -> None:
        self._drive(self.lines.gpio_write, state)

    def _enable_event_detect(self) -> None:
        with self._telling("watched"):
            super()._enable_event_detect()  # type: ignore[misc]

    def _disable_event_detect(self) -> None:
        with self._telling("given back"):
            super()._disable_event_detect()  # type: ignore[misc]

    def _drive(self, call: Callable[[int, int, int], int], state: bool) -> None:
        try:
            call(self._handle, self._number, int(state))
        except self.lines.error:
            with self._telling("driven"):
                raise

    @property
    def _handle(self) -> int:
        return self.factory._handle  # type: ignore[no-any-return] # noqa: SLF001 - as LGPIOPin does

    @contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        try:
            yield
        except self.lines.error as error:
            raise DeviceError(f"GPIO{self._number} can't be {done}: {error}") from error


def open_factory(name: FactoryName, work_directory: Path) -> Factory:
    """Open a pin factory by name: ``lgpio`` for a Pi, ``mock`` for none; there is no fallback.

    lgpio puts a FIFO into `work_directory`, and starts a thread: don't fork afterwards. Raises
    DeviceError: it is not installed or the chip can't be opened.
    """
    return MockFactory() if name == "mock" else _open_lgpio(work_directory)


def claimed_output(factory: Factory, pin: int, *, active_high: bool) -> Any:
    """Claim a pin as gpiozero's ``OutputDevice``, off from the first moment; raises DeviceError."""
    with telling(f"GPIO{pin} can't be driven"):
        return OutputDevice(pin, active_high=active_high, initial_value=False, pin_factory=factory)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn gpiozero's exceptions into a DeviceError: `what` (``GPIO17 can't be read``) and why."""
    try:
        yield
    except DeviceError:
        raise
    except (GPIOZeroError, OSError) as error:
        raise DeviceError(f"{what}: {error}") from error


def _open_lgpio(work_directory: Path) -> Factory:
    # Read when lgpio is imported; without it the FIFO lands in the working directory.
    os.environ["LG_WD"] = str(work_directory)
    try:
        lgpio = importlib.import_module("lgpio")
        gpiozero_lgpio = importlib.import_module("gpiozero.pins.lgpio")
    except (ImportError, OSError) as error:
        raise DeviceError(
            "lgpio can't be loaded; install it with: pip install 'doorctl[pi]'"
            f" (and {work_directory} must be writable)"
        ) from error
    try:
        factory = gpiozero_lgpio.LGPIOFactory()
    except (GPIOZeroError, OSError, lgpio.error) as error:
        raise DeviceError(
            f"the GPIO chip can't be opened: {error}; is this a Raspberry Pi,"
            " and is the daemon's user in the group gpio?"
        ) from error
    factory.pin_class = steady_pin(gpiozero_lgpio.LGPIOPin, lgpio)
    return factory
