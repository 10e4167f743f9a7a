"""Every state that the three files may be in, in their order, and which of them was acknowledged.

The workload is done once without any power cut. Before each transaction its file is read, so that
each commit leaves a state here, and nothing else does.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.powercut.workload import FILES, work

NOT_MADE = "not made yet"
"""The state of a file before its tables were acknowledged: it may be missing or half made."""

_TABLES = """
    SELECT name FROM sqlite_schema WHERE type = 'table'
    AND name NOT IN ('_sqlite_migrations', 'sqlite_sequence') AND name NOT GLOB '*_salt'
    ORDER BY name
"""
"""Without the times of migrations, and what is drawn anew for each file."""


@dataclass(frozen=True, slots=True)
class Model:
    """What may stand in the files.

    `states`: of each file, by its name, a digest of all rows after each commit; `acknowledged`:
    after each acknowledgement, and before the first, how many states each file has at least gone
    through.
    """

    states: dict[str, tuple[str, ...]]
    acknowledged: tuple[dict[str, int], ...]

    def allowed(self, name: str, acknowledgements: int) -> tuple[str, ...] | None:
        """Return the states that a file may be in after so many acknowledgements.

        The last one that was acknowledged, or a later one of what was under way. None for any,
        while the file is being made: its tables come one by one, and the next start goes on.
        """
        # The first acknowledgements are of the files themselves.
        if acknowledgements <= FILES.index(name):
            return None
        following = min(acknowledgements + 1, len(self.acknowledged) - 1)
        first = self.acknowledged[acknowledgements][name]
        return self.states[name][first : self.acknowledged[following][name] + 1]


@dataclass
class _Recorder:
    directory: Path
    states: dict[str, list[str]] = field(
        default_factory=lambda: {name: [NOT_MADE] for name in FILES}
    )
    acknowledged: list[dict[str, int]] = field(default_factory=list)

    def note(self, name: str) -> None:
        """Read a file, unless it is not whole yet."""
        found = digest(self.directory / name)
        if found != self.states[name][-1]:
            self.states[name].append(found)

    def acknowledge(self) -> None:
        """Read what was made, or all of them, and keep how far they are."""
        made = FILES[: len(self.acknowledged)]
        for name in made:
            self.note(name)
        self.acknowledged.append({name: len(seen) - 1 for name, seen in self.states.items()})

    def watch(self, name: str, database: sqlite3.Connection) -> None:
        """Read a file before each transaction of its writer."""

        def on_statement(statement: str) -> None:
            if statement == "BEGIN IMMEDIATE":
                self.note(name)

        database.set_trace_callback(on_statement)


def modelled(directory: Path, rounds: int) -> Model:
    """Do the work and return what it went through.

    `directory`: an empty one.
    """
    recorder = _Recorder(directory)
    recorder.acknowledge()
    work(directory, rounds, recorder.acknowledge, recorder.watch)
    states = {name: tuple(seen) for name, seen in recorder.states.items()}
    return Model(states, tuple(recorder.acknowledged))


def digest(path: Path) -> str:
    """Return a digest of all rows of a file's tables, :data:`NOT_MADE` if there are no tables.

    Raises:
        sqlite3.Error: it can't be read.
    """
    if not path.exists():
        return NOT_MADE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute(_TABLES)]
        rows = [database.execute(f"SELECT * FROM {table}").fetchall() for table in tables]  # noqa: S608 -- names only
    if not tables:
        return NOT_MADE
    return hashlib.sha256(repr([tables, rows]).encode()).hexdigest()
