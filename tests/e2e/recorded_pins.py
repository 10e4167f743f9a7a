"""Mock pins that leave a record of each time they were driven: the relay itself, not the log.

gpiozero loads the class by its entry point and ``GPIOZERO_MOCK_PIN_CLASS``, in the real daemon.
What is wired to its inputs stands in ``OUTSIDE`` at the start (``GPIO22=0 GPIO27=1``) and is
changed through a socket of the process, which is answered once the door has seen the new level for
as long as one must last to count. A pin that ``BUSY_PINS`` names can't be had.
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

from doorctl.door.inputs import PROBE_S, SETTLE_S


class RecordedPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Append ``<pin> <level> <CLOCK_MONOTONIC in ns>`` for each drive to one file a process."""

    wired: ClassVar[dict[str, RecordedPin]] = {}

    def __init__(self, factory: Any, info: Any) -> None:
        if info.name in os.environ.get("BUSY_PINS", "").split():
            raise OSError(errno.EBUSY, "the line is busy")
        super().__init__(factory, info)
        self._looks: list[float] = []

    def _get_state(self) -> Any:
        self._looks.append(time.monotonic())
        return super()._get_state()

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
        self._looks.clear()
        (self.drive_high if level == "1" else self.drive_low)()

    def settle(self) -> None:
        """Wait until the door has looked at this level for long enough, and a look more."""
        while not self._looks or self._looks[-1] - self._looks[0] < SETTLE_S:
            time.sleep(PROBE_S)
        time.sleep(PROBE_S)


def _listen(wired: dict[str, RecordedPin]) -> None:
    """Take ``GPIO22=1``, one after the other; close each connection once all have settled."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(Path(os.environ["RECORDED_PINS"]) / f"inputs-{os.getpid()}"))
        server.listen()
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile() as steps:
                for step in steps.read().split():
                    name, _, level = step.partition("=")
                    wired[name].bring(level)
                    wired[name].settle()
