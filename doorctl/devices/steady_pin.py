"""gpiozero's lgpio pins, made safe for a strike: an output never passes through another level.

gpiozero claims a new pin as a floating input, then as an output that is low, and only then writes
the level that was asked for: a pulse on an active-low relay. A pin that is closed is left floating.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gpiozero.pins.local import LocalPiPin

from doorctl.errors import DeviceError


class Lines(Protocol):
    """What a steady output needs of the module lgpio."""

    BOTH_EDGES: int
    error: type[Exception]
    gpio_claim_output: Callable[[int, int, int], int]
    gpio_write: Callable[[int, int, int], int]


def steady_pin(pin_class: Any, lines: Lines) -> Any:
    """Derive a pin class whose outputs are steady.

    Args:
        pin_class: gpiozero's ``LGPIOPin``.
        lines: the module lgpio, which can't be imported here: importing it starts a thread.
    """
    return type("SteadyPin", (SteadyOutput, pin_class), {"lines": lines})


class SteadyOutput:
    """What is different from ``LGPIOPin``; raises DeviceError where lgpio refuses."""

    lines: Lines
    factory: Any
    _number: int
    _is_output = False

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
        self._is_output = True

    def close(self) -> None:
        """Leave an output driven as it is: off is safer than floating."""
        if not self._is_output:
            super().close()  # type: ignore[misc]

    def _set_state(self, state: bool) -> None:
        self._drive(self.lines.gpio_write, state)

    def _drive(self, call: Callable[[int, int, int], int], state: bool) -> None:
        try:
            call(self.factory._handle, self._number, int(state))  # noqa: SLF001 - as LGPIOPin does
        except self.lines.error as error:
            raise DeviceError(f"GPIO{self._number} can't be driven: {error}") from error
