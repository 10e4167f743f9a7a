"""A branch with a few patrons and visits, made once, and what must be true of it ever after."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorctl.access.patron import row_key
from doorctl.config.shipped import shipped
from doorctl.core.errors import DoorctlError
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.retention import visible_since
from doorctl.store.door_log import VisitHistory
from doorctl.store.keys import read_key
from doorctl.store.sealer import ArgonSealer
from doorctl.store.visit_purge import purge
from doorctl.store.visits import open_or_create_visits
from tests.e2e.people import Person
from tests.fakes.cards import plastic
from tests.faults.tracing import DOORCTL, Ran, call

CARD = "3000001234"
DATABASES = ("visits.db", "patrons.db", "branch.db")
FILES = (
    "installation.key",
    *(f"{name}{end}" for name in DATABASES for end in ("", "-wal", "-shm", "-journal", ".lock")),
)
"""Whatever a command opens, below the branch's directory."""

RETENTION = timedelta(days=30)
EXPIRED = {number: b"left-by-visit-%02d" % number for number in range(1, 9)}
YOUNG = {number: b"may-stay-here-%02d" % number for number in range(9, 15)}
"""Row keys of visits by their numbers: 16 bytes each that can be searched for in raw files."""

_INSERT = """
    INSERT INTO attempts (attempt, at_ms, clock, boot_id, boot_ms, row_key, verdict, reason)
    VALUES (?, ?, 'trusted', 'another-boot', 5, ?, 'granted', 'ok')
"""


class Branch:
    """The state before, to be copied for each run.

    `work`: an empty directory.
    """

    def __init__(self, work: Path) -> None:
        self.before = work / "before"
        self.before.mkdir()
        feed = work / "feed.ndjson"
        feed.write_text(json.dumps(Person(CARD, "8052").feed_row(1001)) + "\n", encoding="utf-8")
        for words in (["init"], ["patrons", "load", str(feed), "--full"]):
            call(self.command(self.before, *words))
        now = datetime.now(UTC)
        with closing(sqlite3.connect(self.before / "visits.db")) as database, database:
            for ages, each in ((timedelta(days=31), EXPIRED), (timedelta(days=2), YOUNG)):
                at_ms = int((now - ages).timestamp() * 1000)
                rows = [(number, at_ms, key) for number, key in each.items()]
                database.executemany(_INSERT, rows)
            # One of them is the patron's own.
            last = (self._row_key(), max(YOUNG))
            database.execute("UPDATE attempts SET row_key = ? WHERE attempt = ?", last)

    def lay_out(self, directory: Path) -> None:
        """Copy it into a directory that does not exist yet."""
        shutil.copytree(self.before, directory)

    def command(self, directory: Path, *words: str) -> list[str]:
        """Return a command line of doorctl for a copy."""
        overrides = (
            f"storage.directory={directory}",
            f"secrets.installation_key_file={directory / 'installation.key'}",
            f"control.socket={directory / 'door.sock'}",
            f"web.socket={directory / 'web.sock'}",
            "reader.port=/dev/null/reader",
            "keypad.port=",
            "seal.memory_kib=8",
        )
        options = [option for each in overrides for option in ("--set", each)]
        return [DOORCTL, *words, f"--config={shipped('demo.toml')}", *options]

    def _row_key(self) -> bytes:
        sealer = ArgonSealer(read_key(self.before / "installation.key"), 8, 1)
        return row_key(sealer.stretch(plastic(CARD)))


def ended_badly(ran: Ran) -> list[str]:
    """Return what is wrong with how a command ended: killed, done, or one clear line and 1."""
    if ran.code is None or ran.code == 0 or was_killed(ran):
        return []
    lines = ran.complained.splitlines()
    if ran.code == 1 and len(lines) == 1 and lines[0].startswith("doorctl: "):
        return []
    return [f"exit code {ran.code} and {len(lines)} lines, the last: {lines[-1:]}"]


def was_killed(ran: Ran) -> bool:
    """Tell whether a signal ended it, by whatever way that is told."""
    return ran.code is not None and (ran.code < 0 or ran.code > 128)


def damaged(directory: Path) -> list[str]:
    """Return which databases are not sound, by SQLite's own check."""
    wrong = []
    for name in DATABASES:
        try:
            with closing(sqlite3.connect(directory / name)) as database:
                found = database.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            found = [(str(error),)]
        if found != [("ok",)]:
            wrong.append(f"{name} is damaged: {found}")
    return wrong


def visits_wrong(directory: Path, *, purged: bool) -> list[str]:
    """Return what is wrong with the door log, then have it purged and look once more.

    Args:
        directory: a copy; is used up.
        purged: whether nothing expired may be left as it is.
    """
    path = directory / "visits.db"
    wrong = []
    if purged and _left(directory):
        wrong.append("purged, it says, but bytes are left")
    now = datetime.now(UTC)
    with closing(VisitHistory(path)) as history:
        listed = [visit.attempt for visit in history.visits(visible_since(now, RETENTION))]
    if listed != list(YOUNG):
        wrong.append(f"listed are {listed}")
    try:
        with closing(open_or_create_visits(path)) as visits:
            moment = Moment(now, now, ClockState.TRUSTED)
            report = purge(visits, moment, BootTime("next-boot", 1000), RETENTION)
    except DoorctlError as error:
        return [*wrong, f"can't be purged again: {error}"]
    if not report.complete or _left(directory):
        wrong.append("purged again, bytes are left")
    return wrong


def _left(directory: Path) -> list[str]:
    files = [path for path in directory.iterdir() if path.is_file()]
    return [
        path.name
        for path in files
        for content in [path.read_bytes()]
        if any(key in content for key in EXPIRED.values())
    ]
