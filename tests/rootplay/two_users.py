"""``python -m tests.rootplay.two_users``: a real door and a real web, each a user of its own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.store.patrons import PatronCache
from doorctl.store.sealer import seal_on_record
from tests.e2e.conftest import CONFIG, lay_out_pins
from tests.e2e.door import LEASH, Door
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, in_s, write_feed
from tests.rootplay.__main__ import INSIDE, with_own_mounts
from tests.sources.http_server import free_port

DOOR, WEB, GROUP = 65001, 65002, 65000


def become(user: int) -> list[str]:
    """Return what a command line begins with, to be run by a service user."""
    return ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups", *LEASH[1:]]


class TwoUsers(Door):
    """A door and a web process as systemd starts them, in directories as tmpfiles makes them."""

    def __init__(self, base: Path) -> None:
        self.etc, self.webs, doors = base / "etc", base / "web", base / "door"
        self._credential, pins = base / "credential", base / "pins"
        for directory, user, mode in (
            (base, 0, 0o755),
            (self.etc, 0, 0o755),
            (self.webs, WEB, 0o750),
            (doors, DOOR, 0o750),
            (pins, DOOR, 0o755),
        ):
            directory.mkdir(exist_ok=True)
            os.chown(directory, user, GROUP if user else 0)
            directory.chmod(mode)
        config = self.etc / "door.toml"
        config.write_text(CONFIG, encoding="utf-8")
        lay_out_pins(pins)
        self.key = self.etc / "installation.key"
        own = (
            f"storage.directory={self.webs}",
            f"storage.door_directory={doors}",
            f"secrets.installation_key_file={self.key}",
            f"web.port={free_port()}",
        )
        super().__init__(doors, config, own, pins=pins)

    def install(self) -> None:
        """Do what systemd/README.md says, as root."""
        for words in (("init",), ("patrons", "load", str(write_feed(self.etc / "feed")), "--full")):
            self.succeed(*words)
        # As LoadCredential= hands it over.
        shutil.copy2(self.key, self._credential)
        os.chown(self._credential, DOOR, GROUP)

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return a command line; the door's own is run by the door's user."""
        line = super().command(*words, tethered=tethered)
        if words[0] != "run":
            return line
        key = f"secrets.installation_key_file={self._credential}"
        return [*become(DOOR), *line[len(LEASH) :], "--set", key]

    def put_in(self) -> None:
        """Put the devices in, for the door's user alone."""
        for device in (self.reader, self.keypad):
            device.put_in()
            os.chown(device.name.resolve(), DOOR, GROUP)

    @contextmanager
    def web(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the web process until the block's end."""
        command = [*become(WEB), *self.command("web")[len(LEASH) :]]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                assert any(b'"ready"' in line for line in process.stdout), "web did not start"
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield process
            finally:
                process.terminate()
                process.wait()

    def succeed(self, *words: str, user: int = 0) -> str:
        """Run a command that has to work, as root or a service user; return what it said."""
        line = [*become(user), *self.command(*words)[len(LEASH) :]]
        done = (
            subprocess.run(line, capture_output=True, text=True, check=False)
            if user
            else self.call(*words)
        )
        assert done.returncode == 0, (words, user, done.stdout, done.stderr)
        return done.stdout

    def hold(self, user: int = 0) -> list[str]:
        """Hold the last minute; return by whom holds are, by the door log."""
        times = ("--from", in_s(-60), "--to", in_s(-1), "--until", in_s(5 * 86_400)[:10])
        self.succeed("hold", "add", *times, "--case", "1", "--reason", "trial", user=user)
        return [by for (by,) in self.query("SELECT added_by FROM holds ORDER BY number")]

    def owners(self) -> dict[str, tuple[int, int, int]]:
        """Return owner, group and mode of all that processes and commands have made."""
        found = {}
        for directory in (self.webs, self.directory):
            for path in directory.rglob("*"):
                status = path.lstat()
                mode = stat.S_IMODE(status.st_mode)
                if path.name not in {"door.stderr", "reader", "keypad"}:
                    name = f"{directory.name}/{path.relative_to(directory)}"
                    found[name] = (status.st_uid, status.st_gid, mode)
        return found


def as_user(user: int, do: Callable[[], object]) -> str:
    """Do something as a service user; return what came of it, or the error."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setresgid(GROUP, GROUP, GROUP)
        os.setresuid(user, user, user)
        try:
            told = repr(do())
        except BaseException as err:  # noqa: BLE001 - told to whoever asked
            told = f"{type(err).__name__}: {err}"
        os.write(writing, told.encode()[:4000])
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as end:  # noqa: PTH123 - a descriptor
        return end.read().decode()


def own_files(house: TwoUsers) -> None:
    """Every file belongs to the one who writes it; the group reads the databases and no more.

    Everybody may ask `check.sock`, which answers how the door is and nothing else.
    """
    databases = {"web/patrons.db", "web/branch.db", "door/visits.db"}
    for name, (user, group, mode) in house.owners().items():
        assert (user, group) == (DOOR if name.startswith("door/") else WEB, GROUP), name
        wanted = 0o700 if name == "door/purges" else 0o600
        if name.removesuffix("-wal").removesuffix("-shm") in databases:
            wanted = 0o640
        elif name.endswith(".sock"):
            wanted = 0o666 if name == "door/check.sock" else 0o660
        assert mode == wanted, (name, oct(mode))


def commits_are_seen(house: TwoUsers) -> None:
    """A ban that web writes counts at the door at once, and a lifted one no more."""
    house.let_in(ENTITLED)
    house.succeed("bans", "add", ALSO_ENTITLED.number, "--reason", "trial")
    assert house.visit(ALSO_ENTITLED)["reason"] == "banned"
    house.succeed("bans", "lift", "1")
    house.let_in(ALSO_ENTITLED)


def the_log_is_read(house: TwoUsers) -> None:
    """Web's user reads the door log while the door writes it."""
    visits = json.loads(house.succeed("visits", "list", "--json", user=WEB))
    assert len(visits) == len(house.rows()), visits


def holds_say_who_asked(house: TwoUsers) -> None:
    """Web can hold an incident, and the door puts it down as web's; root's bears root's name."""
    since, to, until = (in_s(seconds) for seconds in (-60, -1, 86_400))
    times = {"since": since, "to": to, "until": until}
    about = {**times, "case": "1", "reason": "trial", "by": "manager1"}
    socket = house.directory / "door.sock"
    added = as_user(WEB, lambda: ask(socket, Line("hold_add", about), timeout_s=20.0)["by"])
    assert added == f"'uid {WEB}, who names manager1'", added
    assert house.hold()[-1] == "root"


def web_is_captured(house: TwoUsers) -> None:
    """Web's user can neither write nor replace what the door writes, nor read a key."""
    doors, log = house.directory, house.directory / "visits.db"

    def write() -> None:
        with closing(sqlite3.connect(log, timeout=1)) as connection:
            connection.execute("CREATE TABLE captured (x)")

    tries: dict[str, Callable[[], object]] = {
        "write": write,
        "open": partial(os.open, log, os.O_RDWR),
        "open -wal": partial(os.open, f"{log}-wal", os.O_RDWR),
        "open -shm": partial(os.open, f"{log}-shm", os.O_RDWR),
        "replace": lambda: (house.webs / "patrons.db").rename(log),
        "delete": log.unlink,
        "beside": lambda: (doors / "visits.db-journal").write_bytes(b"x"),
        "socket": (doors / "door.sock").unlink,
        "lock": partial(os.open, f"{log}.lock", os.O_RDONLY),
        "key": house.key.read_bytes,
        "credential": (house.etc.parent / "credential").read_bytes,
        "directory": lambda: doors.rename(house.webs / "door"),
        "mode": lambda: doors.chmod(0o777),
    }
    _refused(WEB, tries)


def door_is_captured(house: TwoUsers) -> None:
    """The door's user can neither write web's files, nor have web do it."""
    webs = house.webs

    def write(name: str) -> None:
        with closing(sqlite3.connect(webs / name, timeout=1)) as connection:
            connection.execute("CREATE TABLE captured (x)")

    tries: dict[str, Callable[[], object]] = {
        "patrons": lambda: write("patrons.db"),
        "branch": lambda: write("branch.db"),
        "replace": lambda: (house.directory / "visits.db").rename(webs / "branch.db"),
        "delete": (webs / "patrons.db").unlink,
        "beside": lambda: (webs / "branch.db-journal").write_bytes(b"x"),
        "lock": partial(os.open, webs / "branch.db.lock", os.O_RDONLY),
        "key": house.key.read_bytes,
    }
    _refused(DOOR, tries)
    for what in ("note", "subject_restrict", "sign_out_everywhere"):
        question = partial(ask, webs / "web.sock", Line(what), timeout_s=20.0)
        told = as_user(DOOR, question)
        assert "another user" in told, (what, told)


def _refused(user: int, tries: dict[str, Callable[[], object]]) -> None:
    for name, one in tries.items():
        told = as_user(user, one)
        refused = told.startswith(
            ("PermissionError", "OperationalError: attempt to write a readonly")
        )
        assert refused, (user, name, told)


def web_dies(house: TwoUsers) -> None:
    """Killed or stopped, web leaves a register that the door reads, and no commit is invented."""
    seal = seal_on_record(house.webs / "patrons.db")
    assert seal is not None

    def versions() -> list[int]:
        with closing(PatronCache(house.webs / "patrons.db", seal)) as cache:
            return [(cache.version(), cache.stamp())[0] for _ in range(5)]

    for end in ("kill", "terminate"):
        with house.web() as web:
            house.let_in(ENTITLED)
            getattr(web, end)()
            web.wait()
        house.let_in(ENTITLED)
        told = as_user(DOOR, lambda: len(set(versions())))
        assert told == "1", (end, told)
        # Nobody answers, so root's command does it itself, as web's user.
        house.succeed("bans", "add", ALSO_ENTITLED.number, "--reason", "trial")
        assert house.visit(ALSO_ENTITLED)["reason"] == "banned"
        number = max(
            row[0] for row in house.query("SELECT number FROM bans", database="../web/branch.db")
        )
        house.succeed("bans", "lift", str(number))


def web_locks_the_log(house: TwoUsers) -> None:
    """A lock that web's user takes on the door log keeps no entitled patron out."""
    ready, done = os.pipe(), os.pipe()

    def lock() -> None:
        with (house.directory / "visits.db-shm").open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH)
            os.write(ready[1], b"1")
            os.read(done[0], 1)

    holding = threading.Thread(target=as_user, args=(WEB, lock))
    holding.start()
    os.read(ready[0], 1)
    try:
        house.reader.send(ENTITLED.swipe)
        time.sleep(8.0)
        house.press(ENTITLED.pin)
        assert house.wait_for("decision", timeout_s=60.0)["reason"] == "ok"
    finally:
        os.write(done[1], b"1")
        holding.join()
    house.wait_for("door", state="locked")


def door_is_stopped(house: TwoUsers) -> None:
    """Root's commands then do what the door would, as the door's user."""
    assert house.stop() == 0
    for number, _ in enumerate(house.hold(), 1):
        house.succeed("hold", "lift", str(number))
    report = json.loads(house.succeed("purge", "--prove", "--json"))
    house.succeed("purge", "--verify", report["file"])
    house.succeed("patrons", "unlock", ENTITLED.number)
    house.succeed("visits", "list")
    house.succeed("subject", "erase", ALSO_ENTITLED.number)
    house.succeed("keys", "rotate")
    house.succeed("keys", "adopt", f"{house.key}.next")
    found = json.loads(house.call("selftest", "--json").stdout)
    assert [one["ok"] for one in found["findings"] if one["check"] == "disk"] == [True], found


def main() -> int:
    """Play it through; exit code 1 where something is not as it should be."""
    if os.geteuid() != 0:
        sys.stderr.write("only root can be two users\n")
        return 2
    if not os.environ.get(INSIDE):
        return with_own_mounts("tests.rootplay.two_users")
    with tempfile.TemporaryDirectory(prefix="two-users-") as base, TwoUsers(Path(base)) as house:
        house.install()
        own_files(house)
        house.put_in()
        house.start_door()
        with house.web():
            for scene in (commits_are_seen, the_log_is_read, holds_say_who_asked):
                _played(scene, house)
            for scene in (web_is_captured, door_is_captured, own_files):
                _played(scene, house)
        for scene in (web_dies, web_locks_the_log, door_is_stopped, own_files):
            _played(scene, house)
    return 0


def _played(scene: Callable[[TwoUsers], None], house: TwoUsers) -> None:
    scene(house)
    sys.stdout.write(f"{scene.__name__}: {scene.__doc__}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
