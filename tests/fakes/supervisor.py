"""A supervisor that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from doorctl.ops.process import SystemdSupervisor


@dataclass
class FakeSupervisor(SystemdSupervisor):
    """The calls in order: ``ready``, ``alive``, ``stopping``."""

    told: list[str] = field(default_factory=list)
    within_s: float | None = None

    def ready(self) -> None:
        """Remember it."""
        self.told.append("ready")

    def alive(self, within_s: float | None = None) -> None:
        """Remember it, and the limit given last."""
        self.told.append("alive")
        self.within_s = within_s

    def stopping(self) -> None:
        """Remember it."""
        self.told.append("stopping")
