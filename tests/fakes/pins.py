"""The door's pins: levels that a test sets, and outputs, relay and lamps that remember."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from doorctl.core.errors import DeviceError
from doorctl.devices.inputs import GpioInputs
from doorctl.devices.pins import GpioRelay, GpioSignals
from doorctl.door.inputs import IN_DOUBT, Levels
from doorctl.door.lamps import Lamps

QUIET = Levels(contact_open=False, exit_pressed=False, fire=False)
"""One door that is closed, nothing pressed, no fire."""


@dataclass
class FakeInputs(GpioInputs):
    """Levels that stand until the test changes them, and wake as the real pins do.

    Args:
        on_change: called at the first change after each `levels`.
        standing: what is true now; None for what is not wired.
        broken: names of the levels that can't be read.
    """

    on_change: Callable[[], None] = lambda: None
    standing: Levels = QUIET
    broken: set[str] = field(default_factory=set)
    announced: bool = False

    def levels(self) -> Levels:
        """Return what stands, with doubt for what is broken."""
        self.announced = False
        if not self.broken:
            return self.standing
        doubt: dict[str, Any] = {name: getattr(IN_DOUBT, name) for name in self.broken}
        return replace(self.standing, **doubt, failing=f"{', '.join(sorted(self.broken))}: broken")

    def become(self, **levels: bool) -> None:
        """Set levels by name; what is not wired must be set in `standing` first."""
        for name, level in levels.items():
            before = getattr(self.standing, name)
            assert before is not None, f"{name} is not wired"
            if level is not before:
                change: dict[str, Any] = {name: level}
                self.standing = replace(self.standing, **change)
                if not self.announced:
                    self.announced = True
                    self.on_change()


class FakeOutputs:
    """All off at first.

    `names`: which there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.on = dict.fromkeys(names, False)
        self.switched: list[tuple[str, bool]] = []
        self.broken: set[str] = set()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one; a repetition leaves no entry in `switched`."""
        if name not in self.on:
            raise DeviceError(f"there is no output {name}")
        if name in self.broken:
            raise DeviceError(f"the output {name} can't be driven: the fake is broken")
        if self.on[name] is not on:
            self.on[name] = on
            self.switched.append((name, on))


@dataclass(frozen=True)
class Edge:
    """One change of the output, at a monotonic time in seconds."""

    energised: bool
    at_s: float


@dataclass
class FakeRelay(GpioRelay):
    """De-energised from the start, like the real one.

    Args:
        now: where the times of the edges come from, such as ``FakeClock().monotonic_s``.
        broken: while True both calls raise and nothing changes.
        edges: what happened; a call that changes nothing leaves no edge.
    """

    now: Callable[[], float] = lambda: 0.0
    broken: bool = False
    energised: bool = False
    edges: list[Edge] = field(default_factory=list)

    def energise(self) -> None:
        """Let the door be opened."""
        self._drive(energised=True)

    def de_energise(self) -> None:
        """Lock the door."""
        self._drive(energised=False)

    def _drive(self, *, energised: bool) -> None:
        if self.broken:
            raise DeviceError("GPIO17 can't be driven: the fake relay is broken")
        if energised is not self.energised:
            self.energised = energised
            self.edges.append(Edge(energised, self.now()))


@dataclass
class FakeSignals(GpioSignals):
    """What is lit now, and every state shown, in order; `broken` is raised in place of it."""

    lamps: Lamps = field(default_factory=Lamps)
    shown: list[Lamps] = field(default_factory=list)
    broken: Exception | None = None

    def show(self, lamps: Lamps) -> None:
        """Remember a state, or fail."""
        if self.broken is not None:
            raise self.broken
        self.lamps = lamps
        self.shown.append(lamps)
