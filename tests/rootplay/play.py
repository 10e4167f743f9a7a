"""Plays: somebody lays a thing at a name, a command is run, and all that is root's is looked at."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import product
from pathlib import Path
from types import MappingProxyType

from doorctl.cli.app import COMMANDS, main
from tests.rootplay import inputs

WEB, DOOR, STRANGER = (65534, 65534), (65533, 65534), (4711, 4711)
OWNERS: Mapping[str, tuple[int, int]] = MappingProxyType({"data": WEB, "door": DOOR})
"""The service users' directories, both of one group."""
LIMIT_S = 30.0
MARK = "root-alone-may-read-this"
PASSPHRASE = "a long enough passphrase of words"
CARD = "3000001234"

ASKED: Mapping[str, str] = MappingProxyType(
    {
        "setup": "--answers ANSWERS",
        "init": "",
        "check-config": "",
        "patrons load": "FEED --full",
        "patrons explain": CARD,
        "patrons unlock": CARD,
        "patrons renumber": "1",
        "trust-clock": "",
        "pair begin": "--out COPY",
        "pair finish": "ANSWER --replace",
        "keys rotate": "",
        "keys adopt": "NEXT",
        "keys reader": "--install --set reader.kind=osdp --set reader.osdp_key_file=READERKEY",
        "sync init": "",
        "nats-config": "",
        "sync look": "FEED",
        "sync pair": "REQUEST --out COPY",
        "sync push": "--dry-run",
        "sync tell-failure": "",
        "mode": "",
        "mode set": "closed --until TOMORROWT12:00 --reason trial",
        "mode end": "",
        "open": "--reason trial",
        "calendar": "",
        "calendar except": "TOMORROW --self-service 10:00-12:00",
        "calendar clear": "TOMORROW",
        "calendar week": "mon,tue --self-service 10:00-12:00",
        "bans add": f"{CARD} --reason trial",
        "bans change": "1 --days 30",
        "bans list": "",
        "bans lift": "1",
        "bans letter": "1",
        "passes add": f"{CARD} --kind cleaner --to TOMORROW --label trial",
        "passes change": "1 --label trial",
        "passes list": "",
        "passes revoke": "1",
        "staff add": "somebody --role viewer --password-stdin",
        "staff list": "",
        "staff role": "somebody staff",
        "staff disable": "somebody",
        "staff enable": "somebody",
        "staff password": "somebody --password-stdin",
        "staff signout": "somebody",
        "staff reset-factor": "somebody",
        "visits list": "",
        "subject export": f"{CARD} --output -",
        "subject erase": CARD,
        "subject restrict": CARD,
        "subject unrestrict": CARD,
        "subject object": f"{CARD} --why trial",
        "subject decide": f"{CARD} --decision rejected --why trial",
        "statistics": "",
        "purge": "--prove",
        "audit list": "",
        "audit verify": "",
        "audit head": "",
        "hold add": "--from 2026-01-01T10:00 --to 2026-01-01T11:00 --case 1 --reason trial "
        "--until TOMORROW",
        "hold list": "",
        "backup": "COPY",
        "restore": "BACKUP --identity AGE --replace",
        "hold lift": "1",
        "hold show": "1",
        "status": "",
        "check": "",
        "selftest": "",
        "doctor": "",
        "reader list": "",
        "alarm send": "",
        "alarm end": "door_forced",
        "upgrade": "new --set control.socket=SOCKET",
        "support-bundle": "BUNDLE --yes",
        "relay-off": "",
    }
)
"""Every command that root gives, with arguments."""

FILES: Mapping[str, str] = MappingProxyType(
    {
        "ANSWERS": "etc/answers.toml",
        "ANSWER": "etc/answer",
        "REQUEST": "etc/request",
        "BACKUP": "etc/made.backup",
        "AGE": "etc/age.key",
        "NEXT": "etc/installation.key.next",
        "READERKEY": "etc/reader.key",
        "SOCKET": "run/door.sock",
    }
)
"""Words of arguments, and the files that they stand for."""

NOT_ASKED = frozenset({"demo", "run", "web", "reader watch"})
"""They run until they are stopped: the last one as root, and it writes nothing."""

DATABASES = ("patrons.db", "visits.db", "branch.db", "outbox.db")
UPGRADES = (".before-upgrade", ".put-back", ".restored")
BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".new", *UPGRADES)
NAMES = (
    *(f"data/{name}{suffix}" for name in DATABASES for suffix in BESIDE),
    *(f"data/{name}" for name in ("web.sock", "pushes-to-note.json", "pushes-to-note.json.new")),
    *(f"door/visits.db{suffix}" for suffix in BESIDE),
    *("door/door.sock", "door/purges"),
)
ROOTS = (
    *("door.toml", "sync.toml", "installation.key", "signing.key", "feed.ndjson"),
    "reader.key",
)
MISHAPS = ("directory", "unreadable", "nothing", "link to nothing")
"""What may have befallen root's own files."""

CONFIG = """
[branch]
name = "Trial"
id = "trial"
[storage]
directory = "BASE/data"
door_directory = "BASE/door"
[secrets]
installation_key_file = "BASE/etc/installation.key"
[seal]
memory_kib = 8
iterations = 1
[reader]
port = "/dev/null"
[gpio]
factory = "mock"
[clock]
trust = "always"
"""
SYNC = """
[sync]
source = "feed"
feed = "BASE/etc/feed.ndjson"
signing_key_file = "BASE/etc/signing.key"
state_directory = "BASE/data"
[[sync.targets]]
branch = "trial"
url = "http://127.0.0.1:9"
"""
ROW = (
    '{"patronId":1001,"identifiers":[{"identifier":"%s","identifierType":"CARD",'
    '"status":"ACTIVE"}],"pincode":"4711","resident":true,"birthday":"1970-01-01",'
    '"blockStatus":null,"onHold":null,"tags":[],"preferredPickupBranch":"DK-1"}\n'
)


class House:
    """A directory of root's, and in it two that the service users may do with as they like."""

    def __init__(self, base: Path) -> None:
        self.base, self._roots = base, base / "roots"
        self.typed = PASSPHRASE
        base.chmod(0o755)
        for name in ("etc", "roots", "out"):
            (base / name).mkdir(mode=0o755 if name == "etc" else 0o700)
        for name in ("tmp", "run", "backups"):
            (base / name).mkdir()
        (base / "tmp").chmod(0o1777)
        inputs.lay_releases(base)
        more = inputs.lay_inputs(base / "etc")
        self._write("etc/door.toml", (CONFIG + more).replace("BASE", str(base)), 0o644)
        self._write("etc/feed.ndjson", ROW % CARD, 0o600)
        self._write("roots/secret", MARK + "\n", 0o600)
        self._write("etc/sync.toml", (CONFIG + SYNC).replace("BASE", str(base)), 0o644)
        for name, owner in OWNERS.items():
            (base / name).mkdir()
            (base / name).chmod(0o750)
            os.chown(base / name, *owner)
        for words in (
            "init",
            "keys rotate",
            "patrons load",
            "bans add",
            "sync init",
            "staff add",
            "mode set",
        ):
            self._demand(words)
        self._demand("backup", "")
        (made,) = (base / "backups").iterdir()
        made.rename(base / "etc" / "made.backup")
        for name in (*OWNERS, "etc"):
            shutil.copytree(base / name, base / f"{name} installed")
        self._demand("bans add", f"--patron-ref 77 --reason {MARK}")
        for name in DATABASES:
            place = "door" if name == "visits.db" else "data"
            shutil.copy(base / place / name, self._roots / name)
        for name in OWNERS:
            (base / f"{name} installed").chmod(0o700)

    def _write(self, name: str, text: str, mode: int) -> None:
        (self.base / name).write_text(text)
        (self.base / name).chmod(mode)

    def _demand(self, command: str, arguments: str | None = None) -> None:
        ended = self.run(command, None, arguments)
        assert ended.code == 0, (command, ended)

    def begin_pairing(self, command: str) -> None:
        """Do what has to be done at the two machines before a step of a pairing."""
        if command in {"sync pair", "pair finish"}:
            without, _, _ = (CONFIG + SYNC).partition("[[sync.targets]]")
            self._write("etc/sync.toml", without.replace("BASE", str(self.base)), 0o644)
            # The key that is in use is to be given, not the next one.
            (self.base / "etc" / "installation.key.next").unlink()
            ended = self.run("pair begin", None, "--out REQUEST")
            self.typed = ended.out.split()[-1]
        if command == "pair finish":
            self.run("sync pair", None, "REQUEST --out ANSWER")

    def afresh(self) -> None:
        """Lay everything out as after an installation."""
        self.typed = PASSPHRASE
        inputs.use_old(self.base)
        (self.base / "run" / "failing").unlink(missing_ok=True)
        for name in (*OWNERS, "etc"):
            shutil.rmtree(self.base / name)
            shutil.copytree(self.base / f"{name} installed", self.base / name)
        for name, owner in OWNERS.items():
            (self.base / name).chmod(0o750)
            for path in (self.base / name, *(self.base / name).rglob("*")):
                os.chown(path, *owner)

    def outside(self, command: str) -> dict[Path, object]:
        """Return owner, mode and content of all that is root's, but for what a command makes."""
        seen: dict[Path, object] = {}
        own = inputs.MAKES.get(command, frozenset())
        for directory in ("etc", "roots"):
            for path in (self.base / directory, *(self.base / directory).rglob("*")):
                if path.name in own and directory == "etc":
                    continue
                status = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                seen[path] = (status.st_uid, status.st_gid, status.st_mode, content)
        return seen

    def run(
        self, command: str, caller: tuple[int, int] | None, arguments: str | None = None
    ) -> Ended:
        """Run a command in a process of its own, as root or somebody else."""
        config = self.base / "etc" / ("sync.toml" if command.startswith("sync") else "door.toml")
        given = ASKED[command] if arguments is None else arguments
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
        given = given.replace("TOMORROW", tomorrow).replace("FEED", f"{self.base}/etc/feed.ndjson")
        given = given.replace("COPY", f"{self.base}/data/copy.db")
        given = given.replace("BUNDLE", f"{self.base}/bundle.txt")
        for word, name in FILES.items():
            given = given.replace(word, str(self.base / name))
        out, err, typed = (self.base / "out" / name for name in ("out", "err", "in"))
        typed.write_text(f"{self.typed}\n")
        child = os.fork()
        if not child:
            _become_command(
                ["doorctl", *command.split(), *given.split(), "--config", str(config)],
                (typed, out, err),
                caller,
                self.base / "tmp",
            )
        code = _awaited(child)
        return Ended(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


@dataclass(frozen=True)
class Ended:
    """How a command ended; the code is None where it had to be killed."""

    code: int | None
    out: str
    err: str


def _become_command(
    words: list[str], streams: tuple[Path, ...], caller: tuple[int, int] | None, tmp: Path
) -> None:
    code: object = 99
    try:
        os.setsid()
        for number, path in enumerate(streams):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            os.dup2(os.open(path, flags, 0o600), number)
        if caller is not None:
            os.setgroups([caller[1]])
            os.setresgid(*[caller[1]] * 3)
            os.setresuid(*[caller[0]] * 3)
        if words[1] == "upgrade":
            inputs.become_release(tmp.parent)
        os.environ["TMPDIR"] = str(tmp)
        os.environ.pop("SUDO_USER", None)
        os.chdir("/")
        sys.argv = words
        sys.stdin, sys.stdout, sys.stderr = (open(n, "w" if n else "r") for n in range(3))  # noqa: SIM115, PTH123 - the process's own
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what Python itself would print
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 98)


def _awaited(child: int) -> int | None:
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def preload() -> None:
    """Import every command once, so that each play forks from what is there already."""
    for module, _ in COMMANDS.values():
        import_module(f"doorctl.cli.{module.partition(':')[0]}")


Lay = Callable[[House, Path], None]


def _link_to(target: str) -> Lay:
    def lay(house: House, path: Path) -> None:
        path.symlink_to(house.base / target.format(name=path.name))

    return lay


def _unreadable(_house: House, path: Path) -> None:
    path.write_bytes(b"x" * 4096)
    path.chmod(0)


def _hard_link(house: House, path: Path) -> None:
    path.hardlink_to(house.base / "roots" / "secret")


THINGS: Mapping[str, Lay] = MappingProxyType(
    {
        "link": _link_to("roots/secret"),
        "link to root's own": _link_to("roots/{name}"),
        "link to nothing": _link_to("roots/new-{name}"),
        "link to a directory": _link_to("roots"),
        "link to a device": _link_to("../../dev/zero"),
        "hard link": _hard_link,
        "pipe": lambda _house, path: os.mkfifo(path, 0o600),
        "directory": lambda _house, path: path.mkdir(),
        "device": lambda _house, path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),
        "unreadable": _unreadable,
        "nothing": lambda _house, _path: None,
    }
)
"""What may stand at a name."""

CALLERS: Mapping[str, tuple[int, int] | None] = MappingProxyType(
    {"root": None, "web": WEB, "door": DOOR, "stranger": STRANGER}
)


@dataclass(frozen=True)
class Play:
    """Who runs which command, and what stands at which name."""

    caller: str
    command: str
    name: str
    thing: str

    def __str__(self) -> str:
        return f"{self.caller}: {self.command}; {self.name} is {self.thing}"


def plays() -> Iterator[Play]:
    """Yield every play, root's first."""
    for caller, command, name, thing in product(CALLERS, ASKED, NAMES, THINGS):
        yield Play(caller, command, name, thing)
    for caller, command, name, thing in product(CALLERS, ASKED, ROOTS, MISHAPS):
        yield Play(caller, command, f"etc/{name}", thing)


def played(house: House, play: Play) -> list[str]:
    """Return all that is wrong with how a play ended."""
    house.afresh()
    house.begin_pairing(play.command)
    path = house.base / play.name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    THINGS[play.thing](house, path)
    owner = OWNERS.get(path.parent.name)
    if os.path.lexists(path) and play.thing != "hard link" and owner is not None:
        os.chown(path, *owner, follow_symlinks=False)
    before = house.outside(play.command)
    wrong: list[str] = []
    for failing in (True, False) if play.command == "upgrade" else (False,):
        (house.base / "run" / "failing").touch()
        if not failing:
            (house.base / "run" / "failing").unlink()
        ended = house.run(play.command, CALLERS[play.caller])
        wrong += _wrong(ended, before, house.outside(play.command))
        if play.caller == "root":
            wrong += [f"it left {name}: {ended.err}" for name in inputs.unended(house.base)]
    for name, whose in OWNERS.items():
        owners = {one.lstat().st_uid for one in (house.base / name).rglob("*")}
        if play.thing != "hard link" and owners - {whose[0]}:
            wrong.append(f"what it made in {name} is not the owner's")
    return [f"{play}: {what}" for what in wrong]


def _wrong(ended: Ended, before: object, after: object) -> Iterator[str]:
    if before != after:
        yield "something of root's has changed"
    if MARK in ended.out + ended.err:
        yield "something of root's was printed"
    if ended.code is None:
        yield f"it ran for more than {LIMIT_S:g} s"
    elif ended.code not in {0, 1, 2}:
        yield f"it ended with {ended.code}: {ended.err[-600:]}"
    elif ended.code and not ended.err.strip() and not ended.out.strip():
        yield "it failed without a word"
    if "Traceback" in ended.err and ended.code in {0, 1, 2}:
        yield f"it printed a traceback: {ended.err[-300:]}"
