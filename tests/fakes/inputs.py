"""Inputs whose levels a test sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from doorctl.devices.pins import GpioInputs
from doorctl.door.pins import IN_DOUBT, Levels

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
