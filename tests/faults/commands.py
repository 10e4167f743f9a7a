"""Real commands struck at each of their calls to the branch's files: purge, export, both starts."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from doorctl.__main__ import main as doorctl
from doorctl.admin.backup import make_backup, opened, unpacked
from doorctl.config import load
from doorctl.core.errors import DoorctlError, InputError
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action
from tests.fakes.clock import FakeClock
from tests.faults.branches import (
    CARD,
    FILES,
    Branch,
    damaged,
    ended_badly,
    visits_wrong,
    was_killed,
)
from tests.faults.tracing import Ran, call, python
from tests.sources.http_server import free_port

Words = Callable[[Branch, Path], list[str]]
Judge = Callable[[Path, Ran], list[str]]

PAGE = "page.html"
NEWEST = "backups/doorctl-demo-20260302T180000Z.age"
EARLIER = tuple(NEWEST.replace("0302", day) for day in ("0228", "0301"))
_END_OF_PAGE = "</html>"

# The log is not empty before: the register's load is on it.
_LOOKS = "SELECT count(*) FROM audit WHERE json_extract(record, '$.action') = ?"


@dataclass
class Command:
    """A `Scenario`: one command on a branch that nobody runs meanwhile.

    `words`: makes the command line for a copy of the branch; `judged`: says what is wrong with what
    it left, besides damage and how it ended.
    """

    name: str
    words: Words
    judged: Judge
    files: Sequence[str] = FILES
    most: int | None = field(default=None, init=False)
    _branch: Branch | None = field(default=None, init=False)

    def prepare(self, work: Path) -> None:
        """Make the branch."""
        self._branch = Branch(work)

    def lay_out(self, directory: Path) -> None:
        """Copy it."""
        self._made.lay_out(directory)

    def command(self, directory: Path) -> list[str]:
        """Return the command."""
        return self.words(self._made, directory)

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Say what is wrong."""
        wrong = ended_badly(ran)
        # What may not be lost comes before what is mended by being opened again.
        wrong += self.judged(directory, ran)
        return wrong + damaged(directory)

    @property
    def _made(self) -> Branch:
        assert self._branch is not None
        return self._branch


def purge_wrong(directory: Path, ran: Ran) -> list[str]:
    """Done, nothing expired is left; in any case none of it is listed, and nothing young lost."""
    done = ran.code == 0 or "it is done" in ran.complained
    return visits_wrong(directory, purged=done)


def export_wrong(directory: Path, ran: Ran) -> list[str]:
    """Nothing is shown, not half of it and not in full, unless the look is on record."""
    if not ran.said:
        return ["done, but nothing was shown"] if ran.code == 0 else []
    wrong = [] if _looks(directory) else ["shown, but the look is not on record"]
    try:
        shown = json.loads(ran.said)
    except ValueError:
        return [*wrong, "half of it was shown"]
    if '"granted"' not in json.dumps(shown):
        wrong.append("the visit is missing in it")
    return wrong


def page_wrong(directory: Path, ran: Ran) -> list[str]:
    """A page is whole or not there, unless the command was killed, or could not take it away."""
    page = directory / PAGE
    if not page.exists():
        return ["done, but there is no page"] if ran.code == 0 else []
    wrong = [] if _looks(directory) else ["written, but the look is not on record"]
    stuck = any((call.name[:6], call.file) == ("unlink", PAGE) for call in ran.traced.struck)
    if not was_killed(ran) and not stuck and _END_OF_PAGE not in page.read_text(encoding="utf-8"):
        wrong.append("half a page was left")
    return wrong


def door_wrong(directory: Path, ran: Ran) -> list[str]:
    """No start lets anybody in or forgets a visit."""
    wrong = ["the relay went on"] if '"energised":true' in ran.said else []
    return wrong + visits_wrong(directory, purged='"complete":true' in ran.said)


def web_wrong(directory: Path, ran: Ran) -> list[str]:
    """The register that was held is held; what a start is for comes of that."""
    with closing(sqlite3.connect(directory / "patrons.db")) as database:
        held = database.execute("SELECT epoch, patrons FROM cache").fetchall()
    wrong = [] if held == [(1, 1)] else [f"the register is {held}"]
    return wrong if ran.code or '"ready"' in ran.said else [*wrong, "ended without a word"]


def _looks(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "branch.db")) as database:
        (count,) = database.execute(_LOOKS, (Action.SUBJECT_EXPORTED.value,)).fetchone()
    return int(count)


def _purge(branch: Branch, directory: Path) -> list[str]:
    return branch.command(directory, "purge")


def _export(branch: Branch, directory: Path) -> list[str]:
    return branch.command(directory, "subject", "export", CARD, "--json")


def _page(branch: Branch, directory: Path) -> list[str]:
    return branch.command(directory, "subject", "export", CARD, f"--page={directory / PAGE}")


def _door(branch: Branch, directory: Path) -> list[str]:
    return python(start, "purged", *branch.command(directory, "run"))


def _web(branch: Branch, directory: Path) -> list[str]:
    words = branch.command(directory, "web", "--set", f"web.port={free_port()}")
    return python(start, "ready", *words)


@dataclass
class Backups(Command):
    """A backup beside two earlier ones, where two are kept."""

    _key: bytes = field(default=b"", init=False)

    def prepare(self, work: Path) -> None:
        """Make the branch, the key, and the earlier backups."""
        super().prepare(work)
        self._key = subprocess.run(["age-keygen"], check=True, capture_output=True).stdout
        (work / "before" / "backups").mkdir()
        for name in EARLIER:
            call(self._backing(work / "before", "backup.keep=9"))
            (work / "before" / NEWEST).rename(work / "before" / name)

    def command(self, directory: Path) -> list[str]:
        """Return the command."""
        return self._backing(directory, "backup.keep=2")

    def judge(self, directory: Path, ran: Ran) -> list[str]:
        """Two whole ones are there at any time; what is not whole is nothing that is restored."""
        whole = set()
        for path in (directory / "backups").iterdir():
            try:
                unpacked(opened(path, self._key))
            except InputError:
                continue
            whole.add(f"backups/{path.name}")
        wrong = ended_badly(ran) + damaged(directory)
        there = {f"backups/{path.name}" for path in (directory / "backups").glob("*.age")}
        if half := there - whole:
            wrong.append(f"half of {half} has its name")
        if len(there) < len(EARLIER):
            wrong.append(f"no more is left than {there}")
        if ran.code == 0 and there != {EARLIER[1], NEWEST}:
            wrong.append(f"done, and there are {there}")
        return wrong

    def _backing(self, directory: Path, *more: str) -> list[str]:
        whom = re.search(rb"public key: (age1\w+)", self._key)
        assert whom is not None
        wanted = f"backup.recipients={[whom[1].decode()]}", f"backup.directory={directory}/backups"
        *_, config = [word for word in self._made.command(directory) if "--config=" in word]
        sets = [word for word in self._made.command(directory) if "=/" in word and word != config]
        return python(back_up, config.partition("=")[2], *sets, *wanted, *more)


def backups() -> list[Command]:
    """Return the backup."""
    names = (*FILES, *EARLIER, NEWEST, f"{NEWEST}.new", "backups")
    return [Backups("backup", _purge, purge_wrong, files=names)]


def purges() -> list[Command]:
    """Return the purge."""
    return [Command("purge", _purge, purge_wrong)]


def exports() -> list[Command]:
    """Return a person's export, to read by a program and to read by the person."""
    return [
        Command("subject export", _export, export_wrong),
        Command("subject export --page", _page, page_wrong, files=(*FILES, PAGE, f"{PAGE}.new")),
    ]


def starts() -> list[Command]:
    """Return the start of both processes, up to their first purge and to their ready line."""
    return [
        Command("start of the door", _door, door_wrong),
        Command("start of web", _web, web_wrong),
    ]


# A backup whose name no clock changes; its words are the configuration and ``--set`` values.


def back_up() -> int:
    """Make it, and say why not as the command does."""
    config = load(Path(sys.argv[1]), sys.argv[2:])
    try:
        make_backup(App(config, FakeClock()))
    except DoorctlError as err:
        sys.stderr.write(f"doorctl: {err}\n")
        return 1
    return 0


# A daemon started, heard until it decides, and stopped as systemd does.
#
# Its words are ``ready`` or ``purged``, and those of doorctl.

PURGE_ALARMS = frozenset({"purge_failed", "purge_incomplete", "rounds_failing"})


def is_last(line: bytes, until: str) -> bool:
    """Tell whether a log line is the one to wait for.

    `line`: as it was written; `until`: ``ready``, or ``purged`` for what the first purge came to.
    """
    told = json.loads(line)
    if until == "ready":
        return bool(told["event"] == "ready")
    return told["event"] == "purge" or told.get("kind") in PURGE_ALARMS


def start() -> int:
    """Run it; return its exit code, as a shell tells it where a signal ended it."""
    until, sys.argv = sys.argv[1], sys.argv[2:]
    reading, writing = os.pipe()
    daemon = os.fork()
    if not daemon:
        os.dup2(writing, 1)
        os.close(reading)
        os.close(writing)
        doorctl()
    os.close(writing)
    with open(reading, "rb") as lines:  # noqa: PTH123 - a descriptor
        for line in lines:
            os.writev(sys.stdout.fileno(), [line])
            if is_last(line, until):
                os.kill(daemon, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(daemon, 0)[1])
    return code if code >= 0 else 128 - code
