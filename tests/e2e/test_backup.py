"""``doorctl backup``: all that was done is in the copy, which nobody else can read.

Bug (operations review): a copy of `branch.db` by `cp` lacked a ban that had just been set, and no
command made a better one.
"""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from tests.e2e.door import Door, refusal

BAN = ("bans", "add", "--patron-ref", "1001", "--reason", "trial")


def bans(path: Path) -> int:
    """Return how many bans stand in a file."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (count,) = database.execute("SELECT count(*) FROM bans").fetchone()
        return int(count)


def test_a_copy_holds_what_was_done_last(door: Door, tmp_path: Path) -> None:
    """Though it still lies in the WAL, which `cp` misses; it says what else has to be copied."""
    assert door.call(*BAN).returncode == 0
    records, copy = door.directory / "branch.db", tmp_path / "copy.db"
    (door.directory / "second_factor.key").touch()
    # One that stays open leaves what it did in the WAL.
    with closing(sqlite3.connect(records)) as other:
        other.execute("DELETE FROM bans")
        other.commit()
        shutil.copy(records, tmp_path / "cp.db")

        done = door.call("backup", str(copy))

    assert (done.returncode, done.stderr) == (0, "")
    assert (bans(copy), bans(tmp_path / "cp.db")) == (0, 1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]
    assert "installation.key" in done.stdout
    assert "second_factor.key" in done.stdout
    assert "backup_made" in door.call("audit", "list", "--json").stdout


def test_what_can_not_be_copied_is_one_line(door: Door, tmp_path: Path) -> None:
    """No directory, no records, or records that are damaged; nothing is made."""
    assert door.call(*BAN).returncode == 0
    records = door.directory / "branch.db"
    nowhere = refusal(door, "backup", str(tmp_path / "none" / "copy.db"))
    assert "can't be written" in nowhere
    content = bytearray(records.read_bytes())
    content[-4096:] = bytes([255]) * 4096
    records.write_bytes(content)
    damaged = refusal(door, "backup", str(tmp_path / "copy.db"))
    assert "damaged" in damaged
    records.unlink()
    missing = refusal(door, "backup", str(tmp_path / "copy.db"))
    assert "branch.db" in missing
    assert not records.exists()
    assert not list(tmp_path.glob("copy.db*"))
