"""The emulated Pi's pins, read from outside: what the board's chip says, not what a program says.

QEMU's level register is the output latch: it keeps its bit when the line is freed and becomes an
input again. So the function is read too: the relay is energised only where the pin is an output
and its latch is 1. (BCM2835 ARM Peripherals, section 6.1: GPFSEL0 at offset 0, three bits a pin,
001 is output; GPLEV0 at 0x34.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
