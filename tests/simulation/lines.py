"""Cables and what hangs on them: two serial lines, the relay, lamps, contact and exit button."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from doorctl.core.errors import DeviceError
from doorctl.devices.pins import GpioSignals
from doorctl.door.pins import Lamps, Levels
from doorctl.ops.process import SystemdSupervisor
from tests.fakes.pins import FakeRelay

REST = Levels(contact_open=False, exit_pressed=False)


@dataclass
class SimRelay(FakeRelay):
    """A relay that can fall; `on_edge` hears of each change, before anybody else does."""

    on_edge: Callable[[bool], None] = lambda _energised: None

    def fall(self) -> None:
        """Go off without the daemon: by ``relay-off``, or for want of current."""
        self.broken = False
        self._drive(energised=False)

    def _drive(self, *, energised: bool) -> None:
        if energised is not self.energised:
            super()._drive(energised=energised)
            self.edges.clear()
            self.on_edge(energised)


@dataclass
class SimSignals(GpioSignals):
    """Lamps and buzzer; `last` is what red and green showed last."""

    broken: bool = False
    last: tuple[bool, bool] = (False, False)

    def show(self, lamps: Lamps) -> None:
        """Show them, or fail."""
        if self.broken:
            raise DeviceError("GPIO27 can't be driven: EIO")
        self.last = (lamps.red, lamps.green)


@dataclass
class SimSupervisor(SystemdSupervisor):
    """systemd: kills whoever does not feed the watchdog in time, and locks the door then."""

    now_ms: Callable[[], int]
    bites_ms: int = 0
    is_ready: bool = False
    limit_ms: int = field(default=3000)

    def ready(self) -> None:
        """Take it for ready."""
        self.is_ready = True

    def alive(self, within_s: float | None = None) -> None:
        """Be fed."""
        limit_ms = self.limit_ms if within_s is None else min(self.limit_ms, within_s * 1000)
        self.bites_ms = self.now_ms() + round(limit_ms)

    def stopping(self) -> None:
        """Take it for stopping."""
        self.is_ready = False
