"""The demo's end of the door's pins: what lamps, buzzer and relay are driven to, as it happens."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

PIPE = "DOORCTL_DEMO_PIPE"
"""Variable with the descriptor of the pipe's end."""

ENTRY_POINT = "[gpiozero_mock_pin_classes]\ntold = doorctl.demo.pins:ToldPin\n"
METADATA = "Metadata-Version: 2.1\nName: doorctl-demo-pins\nVersion: 1\n"

Told = Callable[[str, bool], None]
"""Hears of a pin (``GPIO17``) and whether it is high."""


class Wires:
    """The demo's end of the pins of one door process after another.

    Args:
        directory: an empty one, where the entry point is put.
        told: called on a thread of its own for each level, in order.
    """

    def __init__(self, directory: Path, told: Told) -> None:
        self._directory = directory
        self._told = told
        information = directory / "doorctl_demo_pins-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(METADATA)
        (information / "entry_points.txt").write_text(ENTRY_POINT)
        # A pin's write is shorter than PIPE_BUF, and so in one piece.
        self._reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self._listener = threading.Thread(target=self._listen, name="pins", daemon=True)
        self._listener.start()

    def environment(self, around: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a door process whose pins these are."""
        paths = [str(self._directory), around.get("PYTHONPATH", "")]
        return {
            **around,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "GPIOZERO_MOCK_PIN_CLASS": "told",
            PIPE: str(self.writing),
        }

    def close(self) -> None:
        """Hear no more, once the door's processes have ended; idempotent."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1
            self._listener.join()

    def _listen(self) -> None:
        with os.fdopen(self._reading, encoding="ascii") as lines:
            for line in lines:
                name, _, level = line.strip().partition(" ")
                self._told(name, level == "1")
