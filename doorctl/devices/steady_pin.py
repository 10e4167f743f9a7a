"""gpiozero's lgpio pins, made safe for a strike: no pin passes through a level nobody asked for.

gpiozero claims a new pin as a floating input, then as an output that is low, and only then writes
the level that was asked for: a pulse on an active-low relay. An output that is closed is left
floating. An input floats before it is pulled, and lgpio's exceptions get out as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from gpiozero import PinFixedPull
from gpiozero.pins.local import LocalPiPin

from doorctl.errors import DeviceError


class Lines(Protocol):
    """What a steady pin needs of the module lgpio."""

    BOTH_EDGES: int
    SET_PULL_UP: int
    SET_PULL_DOWN: int
    error: type[Exception]
    gpio_claim_input: Callable[[int, int, int], int]
    gpio_claim_output: Callable[[int, int, int], int]
    gpio_write: Callable[[int, int, int], int]


def steady_pin(pin_class: Any, lines: Lines) -> Any:
    """Derive a pin class whose outputs and pulled inputs are steady.

    Args:
        pin_class: gpiozero's ``LGPIOPin``.
        lines: the module lgpio, which can't be imported here: importing it starts a thread.
    """
    return type("SteadyPin", (Steady, pin_class), {"lines": lines})


class Steady:
    """What is different from ``LGPIOPin``; raises DeviceError where lgpio refuses."""

    lines: Lines
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
        """Let an input go; leave an output driven as it is: off is safer than floating."""
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
        with self._telling("driven"):
            call(self._handle, self._number, int(state))

    @property
    def _handle(self) -> int:
        return self.factory._handle  # type: ignore[no-any-return] # noqa: SLF001 - as LGPIOPin does

    @contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        try:
            yield
        except self.lines.error as error:
            raise DeviceError(f"GPIO{self._number} can't be {done}: {error}") from error
