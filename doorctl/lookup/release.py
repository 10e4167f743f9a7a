"""Which release of doorctl runs, and which the installed package brings."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import doorctl


@dataclass(frozen=True, slots=True)
class Release:
    """Which release of doorctl this process runs, and which the installed package brings.

    `package` is None where doorctl was not installed by a package.
    """

    running: str
    package: str | None

    @classmethod
    def of_this_program(cls, prefix: Path = Path(sys.prefix)) -> Release:
        """Return those of this process, whose libraries are below `prefix`."""
        prefix = prefix.resolve()
        if prefix.parent.name != "releases":
            return cls(doorctl.__version__, None)
        package = None
        with suppress(OSError):
            package = (prefix.parents[1] / "package" / "VERSION").read_text("utf-8").strip()
        return cls(prefix.name, package)

    @property
    def differs(self) -> str | None:
        """A sentence where another release runs than is installed; None where none does."""
        if self.package in {None, self.running}:
            return None
        return f"{self.package} is installed, and {self.running} runs"
