"""A whole house for canaries: sender, door and web process, each with its own temporary files."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from doorctl.demo.door import Line
from tests.e2e.canaries import PASSWORD, process_files
from tests.e2e.library import AskingBranch
from tests.e2e.sender import Sender
from tests.web.branch import LIMIT_S
from tests.web.certificates import Authority

PIN_LENGTH: Final = ("--set", "policy.pin_length=8")
SETTINGS: Final = (PIN_LENGTH[1], "web.push.removed_floor=9")
ON_SCREEN: Final = ("keypad.port=", "panel.keypad=true")


class House:
    """A branch and its sender in one directory; one thread.

    Args:
        root: an empty directory; everything that is written stands below it.
        pins: see :class:`tests.e2e.door.Door`.

    Attributes:
        given: holds what goes in: the exports of the library system.
        handed_out: holds what staff take away.
        printed: every byte that commands printed, and what others saw of the processes.
    """

    def __init__(self, root: Path, pins: Path) -> None:
        self.root = root
        self.handed_out = root / "handed-out"
        keys, storage, sender = root / "keys", root / "storage", root / "sender"
        for path in (self.handed_out, keys, storage, sender, root / "home"):
            path.mkdir()
        self._authority = Authority(keys, "authority")
        tls = self._authority.settings()
        self.branch = AskingBranch(storage, *SETTINGS, *tls, pins=pins)
        self.door = self.branch.door
        self.printed: dict[str, bytes] = {}
        self.branch.scheme = "https"
        self.branch.tls = self._authority.client(self._authority.issue("sender"))
        self._init()
        self._sender = Sender.of(sender, self.branch, self._authority)
        self.given = sender / "exports"

    @contextmanager
    def of(self, process: str) -> Iterator[None]:
        """Start what is started in this block with temporary files and a home of its own."""
        place = self.root / "tmp" / process
        place.mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TMPDIR", str(place))
            environment.setenv("HOME", str(self.root / "home"))
            environment.setenv("PYTHONFAULTHANDLER", "1")
            yield

    def call(self, *words: str, typed: str = "", code: int = 0) -> str:
        """Run a command that ends with `code`, and keep all that it says; return its stdout."""
        with self.of("command"):
            done = self.door.call(*words, stdin=typed)
        said = f"{len(self.printed)} {' '.join(words[:2])}"
        self.printed[said] = (done.stdout + done.stderr).encode()
        assert done.returncode == code, (said, done.stderr)
        return done.stdout

    def push(self, *rows: Mapping[str, Any], code: int = 0) -> None:
        """Export rows as the whole register, and push them as the library's server does."""
        self._sender.export(f"{len(self.printed):04}-full.ndjson", *rows)
        words = ("sync", "push", "--json", "--approved-by", "test", "--full", *PIN_LENGTH)
        with self.of("sender"):
            done = subprocess.run(
                self._sender.command(*words), capture_output=True, check=False, timeout=2 * LIMIT_S
            )
        self.printed[f"{len(self.printed)} sync"] = done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr

    def start(self) -> None:
        """Start both processes."""
        self.start_web()
        self.start_door()

    def start_web(self) -> None:
        """Start the web process."""
        with self.of("web"):
            self.branch.start()

    def start_door(self) -> None:
        """Start the door; its devices are put in already where it ran before."""
        with self.of("door"):
            self.door.start()

    def look(self) -> None:
        """Keep what others see of both processes, and what stands on the disk only now."""
        self.printed |= process_files({"door": self.door.pid, "web": self.branch.web_pid})
        self.look_at_disk()

    def look_at_disk(self) -> None:
        """Keep what stands on the disk only until a process ends or starts."""
        for path in self.branch.directory.glob("*.db-*"):
            self.printed[f"{path.name} at {len(self.printed)}"] = path.read_bytes()

    def logs(self) -> dict[str, bytes]:
        """Return the log lines of both processes as a journal would hold them."""
        said: dict[str, list[Line]] = {"door log": self.door.lines, "web log": self.branch.lines}
        return {
            name: "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
            for name, lines in said.items()
        }

    @contextmanager
    def browser(self) -> Iterator[httpx2.Client]:
        """Give a browser that nobody is signed in with."""
        address = f"https://127.0.0.1:{self.branch.port}"
        with httpx2.Client(
            base_url=address,
            headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"},
            verify=self._authority.client(),
            timeout=LIMIT_S,
            trust_env=False,
        ) as client:
            yield client

    def sign_in(self, client: httpx2.Client, name: str) -> str:
        """Sign in and return the session's token."""
        answer = client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return str(client.cookies["__Host-doorctl"])

    def close(self) -> None:
        """End both processes, however they are."""
        self.branch.end(signal.SIGKILL)

    def _init(self) -> None:
        # Made by the branch's own test code; here the command makes them.
        for path in self.branch.directory.iterdir():
            if path.name.startswith(("installation.", "patrons.db", "branch.db", "visits.db")):
                path.unlink()
        self.call("init")
        self.branch.seal = self.branch.sealer.seal


def in_days(days: int) -> str:
    """Return the day that is so many days ahead."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
