"""Where and how a run is struck: each call that concerns the directory, by each fault. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from tests.faults.calls import Call

T = TypeVar("T")


class Fault(Enum):
    """What happens at a call, in ``strace``'s words, and whether at every later one too."""

    KILLED = ("signal=KILL", False)
    DISK_FAILS_ONCE = ("error=EIO", False)
    DISK_FAILS_FOR_GOOD = ("error=EIO", True)
    DISK_FULL_ONCE = ("error=ENOSPC", False)
    DISK_FULL_FOR_GOOD = ("error=ENOSPC", True)
    NO_DESCRIPTOR_ONCE = ("error=EMFILE", False)
    NO_DESCRIPTOR_FOR_GOOD = ("error=EMFILE", True)

    @property
    def what(self) -> str:
        """``signal=`` or ``error=`` and its name."""
        return self.value[0]

    @property
    def lasts(self) -> bool:
        """Whether it goes on."""
        return self.value[1]

    def strikes(self, call: Call) -> bool:
        """Tell whether it can happen at a call."""
        return call.opens if self in _OF_DESCRIPTORS else call.changes


_OF_DESCRIPTORS = frozenset({Fault.NO_DESCRIPTOR_ONCE, Fault.NO_DESCRIPTOR_FOR_GOOD})


@dataclass(frozen=True, slots=True)
class Point:
    """One run.

    Args:
        call: where it is struck first.
        fault: by what.
        before: how many calls of each name come before it in its thread; that is how they are
            counted.
        names: of all calls at which it can happen; what lasts strikes all of them.
    """

    call: Call
    fault: Fault
    before: tuple[tuple[str, int], ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        fault = self.fault.name.lower().replace("_", " ")
        return f"{fault} at {self.call.name} {self.call.nth} of {self.call.file}"

    @property
    def options(self) -> list[str]:
        """The options that make ``strace`` do it; it counts the calls of each name apart."""
        once = ["-e", f"inject={self.call.name}:{self.fault.what}:when={self.call.nth}"]
        if not self.fault.lasts:
            return once
        before = Counter(dict(self.before))
        each = (f"inject={name}:{self.fault.what}:when={before[name] + 1}+" for name in self.names)
        return [option for inject in each for option in ("-e", inject)]


def points(calls: Sequence[Call]) -> list[Point]:
    """Return every point of a run that made these calls, in their order."""
    names = {
        fault: tuple(sorted({call.name for call in calls if call.file and fault.strikes(call)}))
        for fault in Fault
    }
    before: defaultdict[int, Counter[str]] = defaultdict(Counter)
    found = []
    for call in calls:
        if call.file is not None:
            so_far = tuple(sorted(before[call.thread].items()))
            faults = (fault for fault in Fault if fault.strikes(call))
            found += [Point(call, fault, so_far, names[fault]) for fault in faults]
        before[call.thread][call.name] = call.nth
    return found


def spread(items: Sequence[T], most: int | None) -> list[T]:
    """Return at most so many of them, evenly spread and the same ones each time; None for all."""
    if most is None or len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]
