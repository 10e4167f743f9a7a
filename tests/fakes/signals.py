"""Lamps and buzzer that remember what they showed."""

from __future__ import annotations

from dataclasses import dataclass, field

from doorctl.devices.pins import GpioSignals
from doorctl.door.pins import Lamps


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
