"""Mock pins that leave a record of each time they were driven: the relay itself, not the log.

gpiozero loads the class by its entry point and ``GPIOZERO_MOCK_PIN_CLASS``, in the real daemon.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockPin


class RecordedPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Append ``<pin> <level> <CLOCK_MONOTONIC in ns>`` for each drive to one file a process."""

    def _set_state(self, value: Any) -> None:
        super()._set_state(value)
        # One write with O_APPEND: the line is there even if the process is killed right after.
        record = Path(os.environ["RECORDED_PINS"]) / f"pins-{os.getpid()}"
        line = f"{self.info.name} {int(value)} {time.clock_gettime_ns(time.CLOCK_MONOTONIC)}\n"
        descriptor = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
