"""Mock pins that say each level they are driven to.

The real door process loads :class:`ToldPin` by gpiozero's own way for other mock pins, an entry
point and ``GPIOZERO_MOCK_PIN_CLASS``, and writes into a pipe that the demo reads.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from gpiozero.pins.mock import MockPin

from doorctl.demo.wires import PIPE


class ToldPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Write ``<pin> <level>`` for each drive; a demo that no longer listens stops no door."""

    def _set_state(self, value: Any) -> None:
        super()._set_state(value)
        with contextlib.suppress(OSError):
            os.write(int(os.environ[PIPE]), f"{self.info.name} {int(value)}\n".encode())

    def _change_state(self, value: Any) -> bool:
        changed = bool(super()._change_state(value))
        # gpiozero keeps all that a mock pin ever was: 0.25 KiB for each visit (measured in a soak).
        del self.states[:-1]
        return changed
