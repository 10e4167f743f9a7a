from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.conftest import Doors
from tests.e2e.door import Door, until
from tests.e2e.people import ENTITLED

TRACE = b"left-by-a-visit!"
"""Stands where a visit's row key would: 16 bytes that can be searched for in raw files."""

INSERT = "INSERT INTO attempts VALUES (?, ?, 'trusted', 'another-boot', 5, ?, 'granted', 'ok')"


def put_visit(door: Door, attempt: int, age: timedelta, trace: bytes = TRACE) -> None:
    """Put a visit of a certain age on record."""
    at_ms = int((datetime.now(UTC) - age).timestamp() * 1000)
    door.change(INSERT, attempt, at_ms, trace)


def traced(door: Door, trace: bytes = TRACE) -> list[str]:
    """Return the names of the files that hold the trace."""
    files = [path for path in door.directory.iterdir() if path.is_file()]
    return sorted(path.name for path in files if trace in path.read_bytes())


def listed(door: Door) -> list[int]:
    """Return the attempts that `visits list` shows."""
    return [visit["attempt"] for visit in json.loads(door.call("visits", "list", "--json").stdout)]


def test_gone_after_the_start(doors: Doors) -> None:
    """A visit of 31 days is never listed, and no byte of it is left once the daemon has started.

    One of 29 days stays.
    """
    door = doors.made()
    put_visit(door, 1, timedelta(days=31))
    put_visit(door, 2, timedelta(days=29), b"may-stay-a-while")
    assert traced(door) != []
    assert listed(door) == [2]

    door.start()
    line = door.said("purge") or [door.wait_for("purge")]

    assert (line[0]["deleted"], line[0]["complete"]) == (1, True)
    assert traced(door) == []
    assert listed(door) == [2]
    assert traced(door, b"may-stay-a-while") == ["visits.db"]
    assert door.let_in(ENTITLED)["attempt"] == 3


@pytest.mark.parametrize("running", [True, False])
def test_purge_command(doors: Doors, *, running: bool) -> None:
    """`purge` deletes through the daemon where it runs and by itself where it doesn't."""
    door = doors.made()
    if running:
        door.start()
        until(lambda: door.said("purge"))
    put_visit(door, 1, timedelta(days=31))

    done = door.call("purge", "--json")

    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    cutoff = datetime.fromisoformat(report.pop("cutoff"))
    assert report == {"deleted": 1, "complete": True, "postponed": False}
    age = datetime.now(UTC) - cutoff
    assert timedelta(days=30) <= age < timedelta(days=30, minutes=2)
    assert traced(door) == []
    assert door.query("SELECT * FROM attempts") == []


def test_purge_command_in_words(doors: Doors) -> None:
    """Without ``--json`` it is one sentence, and a second purge finds nothing to do."""
    door = doors.made()
    put_visit(door, 1, timedelta(days=31))

    said = [door.call("purge").stdout for _ in range(2)]

    assert [text.split(";")[0] for text in said] == ["1 rows deleted", "0 rows deleted"]


@pytest.mark.parametrize("running", [True, False])
def test_untrusted_clock_deletes_nothing(doors: Doors, *, running: bool) -> None:
    """On a clock that nobody vouches for nothing is deleted: one line says so, exit 1."""
    door = doors.made("clock.trust=auto")
    put_visit(door, 1, timedelta(days=4000))
    ready = door.start()
    if ready["clock"] != "untrusted":
        pytest.skip("this machine's clock is vouched for, by a time service or a battery clock")
    if not running:
        door.stop()

    done = door.call("purge")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "clock" in done.stderr
    assert [row.attempt for row in door.rows()] == [1]


def test_damaged_copy_goes_too(doors: Doors) -> None:
    """A door log that was set aside as damaged is kept no longer than visits may be."""
    door = doors.made()
    long_ago = datetime.now(UTC) - timedelta(days=31)
    old = door.directory / f"visits.db.damaged-{long_ago:%Y%m%dT%H%M%S}"
    old.write_bytes(TRACE)
    fresh = door.directory / f"visits.db.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    fresh.write_bytes(b"evidence")

    assert door.call("purge").returncode == 0

    assert not old.exists()
    assert fresh.exists()


def test_retention_can_be_shorter(doors: Doors) -> None:
    """A branch that keeps visits for 7 days lists none of 8, purged or not."""
    door = doors.made("visits.retention_days=7")
    put_visit(door, 1, timedelta(days=8))

    assert listed(door) == []
    door.start()
    until(lambda: not traced(door))
