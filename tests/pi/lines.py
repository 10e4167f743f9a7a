"""What may be wrong with a reader that the door has no serial line to, and the alarm about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.pi.guest import Guest, until
from tests.pi.scenarios import Result

ALARM_S = 40.0
"""A reader that is away for 20 s is alarmed; some more for an emulated Pi."""


@dataclass(frozen=True, slots=True)
class LineFault:
    """Something that is wrong with a reader until it is `mended`, and the alarm that tells it.

    `mended` returns once the reader itself has seen that all is well.
    """

    name: str
    alarm: str
    begun: Callable[[Guest], None]
    mended: Callable[[Guest], None]


def alarmed(guest: Guest, kernel: str, fault: LineFault, limit_s: float) -> Result:
    """Make a fault and mend it: its alarm comes and ends, and nobody was let in meanwhile.

    What else is alarmed is shown: a reader's keypad goes with it, and a starved Pi stalls.
    `limit_s`: the longest that mending it may take.
    """
    before = len(guest.logged("alarm"))

    def kinds() -> list[str]:
        return [line["kind"] for line in guest.logged("alarm")[before:]]

    began_s = time.monotonic()
    fault.begun(guest)
    wanted = [fault.alarm, f"{fault.alarm}_cleared"]
    until(wanted[0], lambda: wanted[0] in kinds(), ALARM_S, apart_s=1.0)
    mended_s = time.monotonic()
    fault.mended(guest)
    back_s = time.monotonic() - mended_s
    until(wanted[1], lambda: wanted[1] in kinds(), ALARM_S, apart_s=1.0)
    shut = not guest.watch.pulses_since(began_s)
    found = kinds()
    seen = f"{', '.join(found)}; back after {back_s:.1f} s"
    seen += "" if shut else ", and the relay moved"
    ends = [kind for kind in found if kind in wanted] == wanted
    limit = f"both ends, {limit_s:.0f} s"
    return Result(fault.name, kernel, seen, limit, shut and ends and back_s < limit_s)
