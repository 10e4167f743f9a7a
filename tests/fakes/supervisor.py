"""A supervisor that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FakeSupervisor:
    """The calls in order: ``ready``, ``alive``, ``stopping``."""

    told: list[str] = field(default_factory=list)

    def ready(self) -> None:
        """Remember it."""
        self.told.append("ready")

    def alive(self) -> None:
        """Remember it."""
        self.told.append("alive")

    def stopping(self) -> None:
        """Remember it."""
        self.told.append("stopping")
