"""A relay that remembers its edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from doorctl.core.errors import DeviceError
from doorctl.devices.pins import GpioRelay


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
