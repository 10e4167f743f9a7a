"""Files of each release under this program, and a release on trial with real door processes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorctl.store import branch_rows, door_log, patrons
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.store.layout import Layout, newest
from doorctl.store.writer import Writer
from tests.e2e.door import Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED
from tests.fakes.waiting import until
from tests.releases.__main__ import keep

RELEASES = sorted((Path(__file__).parents[1] / "releases").glob("[0-9]*"))
LAYOUTS = (branch_rows.migrations, patrons.migrations, door_log.migrations)

SYSTEMCTL = """#!/bin/sh
home=$(dirname "$0")/.. verb=$1
shift
alive() { state=$(cut -d' ' -f3 "/proc/$(cat "$home/pid")/stat" 2>/dev/null) && [ "$state" != Z ]; }
echo "$(date +%s.%N) $verb $*" >>"$home/calls"
case $verb-$* in
  is-active-*door.service) alive && grep -q '"event":"ready"' "$home/log" ;;
  is-active-*) false ;;
  show-*ActiveState*door.service) ! alive || echo ActiveState=active ;;
  stop-*door.service)
    # One that has ended by itself is stopped already, as systemd has it.
    alive && kill -TERM "$(cat "$home/pid")" 2>/dev/null
    while alive; do sleep 0.02; done ;;
  start-*door.service)
    : >"$home/log"
    setsid "$home/current/bin/doorctl" >"$home/log" 2>"$home/errors" </dev/null &
    echo $! >"$home/pid" ;;
esac
"""
"""What stands for systemd; the processes that it starts are real."""

TO_COME = """
from doorctl.store.door_log import migrations
sql = "CREATE TABLE to_come (x INTEGER) STRICT"
migrations.steps["release_to_come"] = lambda database: database.execute(sql)
"""
BROKEN = """
from pathlib import Path
from doorctl.store.visits import open_or_create_visits
open_or_create_visits(Path(DIRECTORY) / "visits.db").close()
raise SystemExit("doorctl: broken")
"""
PROGRAM = """#!PYTHON
import sys
sys.argv = WORDS
EXTRA
from doorctl.__main__ import main
main()
"""
USE = """
import sys
from pathlib import Path
from doorctl.config import load
from doorctl.core.errors import DoorctlError
from doorctl.admin import upgrade
home, config, trial_s, *overrides = sys.argv[1:]
upgrade.TRIAL_S = float(trial_s)
try:
    upgrade.Releases(Path(home)).use("new", Path(config), lambda: load(Path(config), overrides, {}))
except DoorctlError as err:
    sys.exit(f"doorctl: {err}")
"""


def laid_out(release: Path, directory: Path) -> None:
    """Make the files of a release, as if its last push had come just now."""
    for name in ("branch", "patrons", "visits"):
        with closing(sqlite3.connect(directory / f"{name}.db")) as database:
            database.executescript((release / f"{name}.sql").read_text(encoding="utf-8"))
            if name == "patrons":
                now = datetime.now(UTC).isoformat()
                database.execute("UPDATE cache SET applied_at = ?", (now,))
                database.commit()
    key = directory / "installation.key"
    key.write_bytes(bytes.fromhex((release / "installation.key.hex").read_text(encoding="ascii")))
    key.chmod(0o600)


@pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.name)
def test_files_of_each_release_are_brought_to_this_layout(release: Path, bare: Door) -> None:
    """Each by its writer; the card opens as before, and the banned one does not."""
    is_brought_to_this_layout(release, bare)


def is_brought_to_this_layout(release: Path, bare: Door) -> None:
    """Bring the files of a release to it, and have both people come."""
    laid_out(release, bare.directory)
    BranchRecordsWriter(bare.directory / "branch.db").close()
    Writer(bare.directory / "patrons.db", patrons.migrations).close()
    bare.start()

    assert bare.visit(ENTITLED)["reason"] == "ok"
    bare.wait_for("door", state="locked")
    assert bare.visit(ALSO_ENTITLED)["reason"] == "banned"
    for layout in LAYOUTS:
        (number,) = bare.query("PRAGMA user_version", database=f"{layout.name}.db")
        assert number == (newest(layout),)


def test_what_would_be_kept_of_this_release_can_be_tried_so(bare: Door, tmp_path: Path) -> None:
    """`python -m tests.releases` makes files that the tests of a later release can use.

    Bug (a trial of keeping 0.3): its ban was of the demo's branch, and shut nobody out here.
    """
    keep(tmp_path / "kept")
    is_brought_to_this_layout(tmp_path / "kept", bare)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.name)
@pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.name)
def test_files_of_each_release_take_a_step_to_come(
    release: Path, layout: Layout, tmp_path: Path
) -> None:
    """And lose no row by it."""
    laid_out(release, tmp_path)
    path = tmp_path / f"{layout.name}.db"
    sql = "CREATE TABLE to_come (x INTEGER) STRICT"
    step = {"release_to_come": lambda database: database.execute(sql)}
    to_come = Layout(layout.name, {**layout.steps, **step})
    tables = {"branch": "bans", "patrons": "patrons", "visits": "canaries"}
    count = f"SELECT count(*) FROM {tables[layout.name]}"  # noqa: S608 - a constant
    with closing(sqlite3.connect(path)) as database:
        before = database.execute(count).fetchone()
    with closing(Writer(path, to_come)) as writer:
        assert writer.database.execute("PRAGMA user_version").fetchone() == (newest(layout) + 1,)
        assert writer.database.execute(count).fetchone() == before


SHAPE = """
    SELECT made.type, made.name, its.name, its.type,
    CASE made.type WHEN 'trigger' THEN made.sql END
    FROM sqlite_schema AS made LEFT JOIN pragma_table_xinfo(made.name) AS its
"""


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.name)
@pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.name)
def test_files_of_each_release_get_all_that_a_new_file_has(
    release: Path, layout: Layout, tmp_path: Path
) -> None:
    """What is `since` a release that is out comes into none of its files.

    Bug (a trial of keeping 0.3): a table that was `since` 0.3 after it was out broke no test.
    """
    laid_out(release, tmp_path)
    with (
        closing(Writer(tmp_path / f"{layout.name}.db", layout)) as brought,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as new,
    ):
        layout.begin(new)
        assert set(brought.database.execute(SHAPE)) == set(new.execute(SHAPE))


@pytest.fixture
def house(door: Door, tmp_path: Path) -> Iterator[Door]:
    """Have a door run that the release `old` started, beside a release `new` yet to be made."""
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(SYSTEMCTL, encoding="utf-8")
    systemctl.chmod(0o755)
    release(tmp_path, door, "old", "")
    (tmp_path / "current").symlink_to("releases/old")
    door.reader.put_in()
    door.keypad.put_in()
    call(tmp_path, door, str(systemctl), "start", "doorctl-door.service")
    until(lambda: ready(tmp_path))
    shutil.copy(tmp_path / "pid", tmp_path / "first")
    yield door
    call(tmp_path, door, str(systemctl), "stop", "doorctl-door.service")


def release(home: Path, door: Door, name: str, extra: str) -> None:
    """Make a release whose program is this one with something before it."""
    program = home / "releases" / name / "bin" / "doorctl"
    program.parent.mkdir(parents=True)
    text = PROGRAM.replace("PYTHON", sys.executable).replace("EXTRA", extra)
    text = text.replace("WORDS", repr(["doorctl", "run", *door.options]))
    program.write_text(text.replace("DIRECTORY", repr(str(door.directory))), encoding="utf-8")
    program.chmod(0o755)


def ready(home: Path) -> bool:
    """Tell whether the door that runs has said so."""
    return '"event":"ready"' in (home / "log").read_text(encoding="utf-8")


def call(home: Path, door: Door, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with our systemctl first, in the environment of the door's pins."""
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, **door.environment(), "PATH": path}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def use(home: Path, door: Door, trial_s: float) -> subprocess.CompletedProcess[str]:
    """Take the new release into use."""
    (config,) = (one.partition("=")[2] for one in door.options if one.startswith("--config="))
    words = (sys.executable, "-c", USE, home, config, str(trial_s), *door.overrides)
    return call(home, door, *map(str, words))


def opens(home: Path, door: Door) -> bool:
    """Swipe and type until the door says that it opens."""
    until(lambda: ready(home))
    before = door.open_attempts()
    door.reader.send(ENTITLED.swipe)
    until(lambda: door.open_attempts() - before)
    door.press(ENTITLED.pin)
    return until(lambda: '"verdict":"granted"' in (home / "log").read_text(encoding="utf-8"))


def moves(home: Path, door: Door, others: set[int]) -> int:
    """Return how often the relay was energised, by the old door that ran and by all since."""
    own = (door.processes() - others) | {int((home / "first").read_text(encoding="ascii"))}
    return sum(drive.level for pid in own for drive in door.edges(pid))


def test_a_release_on_trial_takes_the_door_over(house: Door, tmp_path: Path) -> None:
    """Its own layout, one grant and no other movement of the relay, and no copy left behind."""
    others = house.processes()
    release(tmp_path, house, "new", TO_COME)
    done = use(tmp_path, house, 60.0)

    assert (done.returncode, done.stderr) == (0, "")
    assert house.query("PRAGMA user_version") == [(newest(door_log.migrations) + 1,)]
    assert not list(house.directory.glob("*before-upgrade*"))
    assert opens(tmp_path, house)
    assert moves(tmp_path, house, others) == 1


def test_a_release_that_does_not_start_gives_the_door_back(house: Door, tmp_path: Path) -> None:
    """The release before runs on its own files again: the relay has not moved, the card opens."""
    others = house.processes()
    release(tmp_path, house, "new", TO_COME + BROKEN)
    done = use(tmp_path, house, 2.0)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "doorctl-door.service is not ready; old runs; nothing is lost" in done.stderr
    assert house.query("PRAGMA user_version") == [(newest(door_log.migrations),)]
    assert opens(tmp_path, house)
    assert moves(tmp_path, house, others) == 1
