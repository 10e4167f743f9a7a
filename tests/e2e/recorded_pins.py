"""Mock pins that leave a record of each time they were driven: the relay itself, not the log.

gpiozero loads the class by its entry point and ``GPIOZERO_MOCK_PIN_CLASS``, in the real daemon.
What is wired to its inputs stands in ``OUTSIDE`` at the start (``GPIO22=0 GPIO27=1``) and is
changed through a socket of the process. A pin that ``BUSY_PINS`` names can't be had.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from gpiozero.pins.mock import MockPin


class RecordedPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Append ``<pin> <level> <CLOCK_MONOTONIC in ns>`` for each drive to one file a process."""

    wired: ClassVar[dict[str, RecordedPin]] = {}

    def __init__(self, factory: Any, info: Any) -> None:
        if info.name in os.environ.get("BUSY_PINS", "").split():
            raise OSError(errno.EBUSY, "the line is busy")
        super().__init__(factory, info)

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

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        outside = dict(one.split("=") for one in os.environ.get("OUTSIDE", "").split())
        # A pin that is given back floats again; that is no wire of the daemon's any more.
        if value == "floating" or self.info.name not in outside:
            return
        if not self.wired:
            threading.Thread(target=_listen, args=(self.wired,), daemon=True).start()
        self.wired[self.info.name] = self
        self.bring(outside[self.info.name])

    def bring(self, level: str) -> None:
        """Bring an input to a level from outside: ``0`` or ``1``."""
        (self.drive_high if level == "1" else self.drive_low)()


def _listen(wired: dict[str, RecordedPin]) -> None:
    """Take ``GPIO22=1`` and pauses in seconds, in order; close each connection once all is done."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(Path(os.environ["RECORDED_PINS"]) / f"inputs-{os.getpid()}"))
        server.listen()
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile() as steps:
                for step in steps.read().split():
                    name, is_level, level = step.partition("=")
                    if is_level:
                        wired[name].bring(level)
                    else:
                        time.sleep(float(step))
