"""The list of rows that a run of the sender set aside, for those who mend the export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from doorctl.config.tables import Sync
from doorctl.notices.mail import translated
from doorctl.store.connection import changing, write_over
from doorctl.sync.push import WAITING, Refreshed

MOST_NAMED = 20
"""Lines that the first line of the list of rows set aside names."""

SHARED = "another line has what stands here, and says so"


def set_aside_file(sync: Sync) -> Path:
    """Return the path of the list of rows that the last run set aside; no rows, no file."""
    return sync.state_directory / "set-aside.txt"


def listed(refreshed: Refreshed, language: str) -> list[str]:
    """Return a line about each row set aside; rows that block the export come first."""
    unknown = [
        f"{name} line {row.line}" for name, row in refreshed.set_aside if row.patron_ref is None
    ]
    more = ", ..." if len(unknown) > MOST_NAMED else ""
    waits = f"{translated(WAITING, language)} {', '.join(unknown[:MOST_NAMED])}{more}\n"
    return [waits] * refreshed.waits + [
        f"{name} line {row.line}: {'; '.join(row.why) or SHARED} "
        f"({translated(refreshed.fates[row.patron_ref], language)})\n"
        for name, row in refreshed.set_aside
    ]


def write_set_aside(path: Path, lines: Sequence[str]) -> None:
    """Write the list, or remove it where there are no such rows."""
    with changing(path):
        if lines:
            write_over(path, "".join(lines).encode())
        else:
            path.unlink(missing_ok=True)
