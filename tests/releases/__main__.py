"""``python -m tests.releases VERSION``: keep the files of a branch as this program lays them out.

Run it at the commit of a release and check in what it makes, for `tests/e2e/test_upgrade.py`.
Salts are drawn anew each time; everybody in it is invented.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from doorctl.config.shipped import shipped
from doorctl.core.identity import login
from doorctl.demo.door import Stage
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, write_feed

BRANCH = "branch.id=proeve"
"""The door's whose tests read the files; a ban of another branch shuts nobody out there."""


def dumped(path: Path) -> str:
    """Return a database as SQL, with its layout's number."""
    with closing(sqlite3.connect(path)) as database:
        (number,) = database.execute("PRAGMA user_version").fetchone()
        return "\n".join([*database.iterdump(), f"PRAGMA user_version = {number};", ""])


def keep(target: Path) -> None:
    """Make the files by the program's own commands, in this directory."""
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stage = Stage(directory, shipped("demo.toml"), (BRANCH, "seal.memory_kib=8"))
        feed = write_feed(directory / "feed.ndjson", (ENTITLED, ALSO_ENTITLED))
        for words in (
            ("init",),
            ("patrons", "load", str(feed), "--full"),
            ("bans", "add", ALSO_ENTITLED.number, "--reason", "trial"),
        ):
            stage.call(*words).check_returncode()
        for database in ("branch", "patrons", "visits"):
            text = dumped(directory / f"{database}.db").replace(f"'{login(0)}'", "'somebody'")
            (target / f"{database}.sql").write_text(text, encoding="utf-8")
        key = (directory / "installation.key").read_bytes()
        (target / "installation.key.hex").write_text(key.hex() + "\n", encoding="ascii")


if __name__ == "__main__":
    keep(Path(__file__).parent / sys.argv[1])
