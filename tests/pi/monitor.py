"""QEMU's machine protocol, and somebody who looks at a pin all the time."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

from tests.pi.pins import DUMP, Pulse, Sample, driven_high, pulses

ANSWER_S = 60.0
APART_S = 0.004
"""Between two looks; each takes some 2 ms by itself."""


class Monitor:
    """One connection to QEMU. One thread."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._lines.readline()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Give a command and return its answer; OSError where QEMU is gone."""
        message = {"execute": command} | ({"arguments": arguments} if arguments else {})
        self._socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            line = self._lines.readline()
            if not line:
                raise ConnectionResetError("QEMU is gone")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


class Watch(threading.Thread):
    """Looks at a pin from the moment it is started until QEMU is gone.

    `path`: the socket of a monitor of its own; `pin`: Broadcom number.
    """

    def __init__(self, path: Path, pin: int) -> None:
        super().__init__(name="watch", daemon=True)
        self._monitor = Monitor(path)
        self._pin = pin
        self._samples: list[Sample] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        """Look, and remember where something changed."""
        try:
            while True:
                asked_s = time.monotonic()
                dump = self._monitor.do("human-monitor-command", **{"command-line": DUMP})
                self._note(Sample(asked_s, driven_high(dump, self._pin)))
                time.sleep(APART_S)
        except OSError:
            self._monitor.close()

    def _note(self, sample: Sample) -> None:
        with self._lock:
            if not self._samples or self._samples[-1].high != sample.high:
                self._samples.append(sample)

    @property
    def high(self) -> bool:
        """Whether it was at the last look."""
        with self._lock:
            return bool(self._samples) and self._samples[-1].high

    def pulses_since(self, since_s: float) -> list[Pulse]:
        """Return the pulses that began then or later."""
        with self._lock:
            return [one for one in pulses(self._samples) if one.start_s >= since_s]
