"""Every state that the three files may be in, in their order, and which of them was acknowledged.

The workload is done once without any power cut. Before each transaction its file is read, so that
each commit leaves a state here, and nothing else does.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from doorctl.access.calendar import DaySource
from doorctl.access.messages import Opened
from doorctl.core.errors import DoorctlError
from doorctl.store.branch_writer import open_or_create_branch
from doorctl.store.damage.set_aside import set_aside_if_damaged
from doorctl.store.patrons_writer import open_or_create_patrons
from doorctl.store.visits import open_or_create_visits
from tests.fakes.clock import START, FakeClock
from tests.powercut.workload import FILES, work
from tests.store.samples import stamped
from tests.sync.pushes import SEAL

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


# What has to be true of the three files after a power cut, however it came.

Opening = Callable[[Path], object]


class Oracle:
    """Judges what was found on a disk; the same bytes again cost nothing.

    `model`: what may be there; `work`: a directory in memory.
    """

    def __init__(self, model: Model, work: Path) -> None:
        self._model = model
        self._work = work / "opened"
        self._seen: dict[bytes, tuple[str, list[str]]] = {}

    def judge(self, files: Path, acknowledgements: int) -> list[str]:
        """Return what is wrong; nothing if all is well.

        Args:
            files: what is on the disk; left as it is.
            acknowledgements: how many there were before the cut.
        """
        wrong = []
        for name in OPENINGS:
            found, own = self._looked_at(files, name)
            wrong += [f"{name}: {each}" for each in own]
            allowed = self._model.allowed(name, acknowledgements)
            if not own and allowed is not None and found not in allowed:
                wrong.append(f"{name}: {self._what(name, found, allowed)}")
        return wrong

    def _what(self, name: str, found: str, allowed: tuple[str, ...]) -> str:
        states = self._model.states[name]
        if found not in states:
            return "neither the state before nor the one after: a part of a change"
        if states.index(found) < states.index(allowed[0]):
            lost = states.index(allowed[0]) - states.index(found)
            return f"what was acknowledged is lost: {lost} commits"
        return "is ahead of what was done"

    def _looked_at(self, files: Path, name: str) -> tuple[str, list[str]]:
        mine = sorted(files.glob(f"{name}*"))
        content = hashlib.sha256()
        # Nobody believes an index of the WAL that was made before the power went.
        for path in (path for path in mine if not path.name.endswith("-shm")):
            content.update(f"{path.name} {path.stat().st_size}\n".encode())
            content.update(path.read_bytes())
        key = name.encode() + content.digest()
        if key not in self._seen:
            self._seen[key] = self._opened(mine, name)
        return self._seen[key]

    def _opened(self, mine: list[Path], name: str) -> tuple[str, list[str]]:
        found, wrong = self._on_a_copy(mine, name, _read)
        return found, wrong or self._on_a_copy(mine, name, _use)[1]

    def _on_a_copy(
        self, mine: list[Path], name: str, look: Callable[[Path], str]
    ) -> tuple[str, list[str]]:
        self._work.mkdir()
        try:
            for path in mine:
                shutil.copy2(path, self._work)
            return look(self._work / name), []
        except (sqlite3.Error, RuntimeError) as error:
            return "", [f"is damaged: {error}"]
        except DoorctlError as error:
            return "", [f"can't be opened: {error}".replace(f"{self._work}/", "")]
        finally:
            shutil.rmtree(self._work)


def _read(path: Path) -> str:
    """Return what is in it, by SQLite alone, which may recover it first."""
    if not path.exists():
        return NOT_MADE
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        raise RuntimeError(f"integrity_check: {found}")
    return digest(path)


def _use(path: Path) -> str:
    """Do with it what a start does, then write to it, and check it again."""
    OPENINGS[path.name](path)
    return _read(path)


def _keep(path: Path) -> None:
    if set_aside_if_damaged(path, START) is not None:
        raise RuntimeError("set aside at the start")


def _open_visits(path: Path) -> None:
    _keep(path)
    with closing(open_or_create_visits(path)) as visits:
        visits.open_attempt(Opened(visits.last_attempt() + 1, stamped(), None, None))


def _open_patrons(path: Path) -> None:
    _keep(path)
    with closing(open_or_create_patrons(path, SEAL)) as patrons:
        patrons.held()


def _open_branch(path: Path) -> None:
    # A damaged one stays where it is: an empty one would forget every ban.
    with closing(open_or_create_branch(path)) as branch:
        branch.set_days(DaySource.HOLIDAY, (), FakeClock().moment(), known_until=None)


OPENINGS: dict[str, Opening] = {
    "visits.db": _open_visits,
    "patrons.db": _open_patrons,
    "branch.db": _open_branch,
}
"""How each file is opened after the cut by the code that does so in life, and then used."""
