"""What became of each scenario, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEADS = ("scenario", "kernel", "seen", "limit", "")


@dataclass(frozen=True, slots=True)
class Result:
    """One row.

    `kernel`: whether it ``keeps`` or ``frees`` the outputs of a process that is gone; `seen`: what
    came of it, with its figure; `limit`: what it must be; `ok`: whether it is.
    """

    scenario: str
    kernel: str
    seen: str
    limit: str
    ok: bool

    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        return (self.scenario, self.kernel, self.seen, self.limit, "ok" if self.ok else "FAIL")


def as_table(results: Iterable[Result]) -> str:
    """Return the rows below a heading, each column as wide as its widest cell."""
    rows = [HEADS, *(result.cells() for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(as_line(row, widths) for row in rows)


def as_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line, without blanks at its end."""
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
