"""QEMU's machine protocol, and somebody who looks at a pin all the time, from outside.

QEMU's level register is the output latch: it keeps its bit when the line is freed and becomes an
input again. So the function is read too: the relay is energised only where the pin is an output
and its latch is 1. (BCM2835 ARM Peripherals, section 6.1: GPFSEL0 at offset 0, three bits a pin,
001 is output; GPLEV0 at 0x34.)
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GPIO_BASE = 0x3F200000
WORDS = 14
"""GPFSEL0 to GPLEV0."""

DUMP = f"xp /{WORDS}wx {GPIO_BASE:#x}"
"""What QEMU's monitor is asked."""

LEVELS = 13
PINS_A_WORD = 10
OUTPUT = 0b001


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a pin: when (monotonic seconds of the host), and whether it is driven high."""

    at_s: float
    high: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """A time for which the pin was driven high; `end_s` is None where it still is."""

    start_s: float
    end_s: float | None

    def length_s(self, now_s: float) -> float:
        """Return how long it was, or is by now."""
        return (now_s if self.end_s is None else self.end_s) - self.start_s


def driven_high(dump: str, pin: int) -> bool:
    """Tell from the monitor's answer to :data:`DUMP` whether a pin is an output and high.

    Raises:
        ValueError: that is no such answer.
    """
    words = [int(word, 16) for word in re.findall(r"(?<=\s)0x([0-9a-f]{8})\b", dump)]
    if len(words) != WORDS:
        raise ValueError(f"the monitor gave {len(words)} words, not {WORDS}")
    select, place = divmod(pin, PINS_A_WORD)
    function = words[select] >> (3 * place) & 0b111
    return function == OUTPUT and bool(words[LEVELS] >> pin & 1)


def pulses(samples: Iterable[Sample]) -> Iterator[Pulse]:
    """Return when a pin was high, in order; exact to the distance of two samples."""
    start_s: float | None = None
    for sample in samples:
        if sample.high and start_s is None:
            start_s = sample.at_s
        elif not sample.high and start_s is not None:
            yield Pulse(start_s, sample.at_s)
            start_s = None
    if start_s is not None:
        yield Pulse(start_s, None)


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
