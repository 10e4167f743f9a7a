"""What a scenario has to say of itself to be struck at each of its writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.faults.tracing import Ran


class Scenario(Protocol):
    """A command that changes files, and what may stand in them if it is struck."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def most(self) -> int | None:
        """Points, evenly spread, that even a full run has; None for all."""

    @property
    def files(self) -> Sequence[str]:
        """Below the directory, those of which calls are struck; none for all.

        For real commands: they can still import, and say what they have to say. They may have
        threads then.
        """

    def prepare(self, work: Path) -> None:
        """Make what all runs share, once, in an empty directory."""

    def lay_out(self, directory: Path) -> None:
        """Make the state before a run in a directory that does not exist yet."""

    def command(self, directory: Path) -> Sequence[str]:
        """Return what is run on it: it makes the same calls each time."""

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Return what is wrong with what a run left behind; nothing if all is well.

        Args:
            directory: as the process left it; may be used up.
            ran: what it said and how it ended.
        """
