"""A branch with a real web process, and a sender that may sign its pushes."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2

from doorctl.access.patron import Patron, SealedRow
from doorctl.admin.installation import initialise
from doorctl.config import load
from doorctl.config.shipped import shipped
from doorctl.demo import tether
from doorctl.demo.door import Line, Wires
from doorctl.lookup.numbers import own_sealer
from doorctl.store.connection import create_private
from doorctl.store.sealer import ArgonSealer
from doorctl.store.signing_keys import create_signing_key, read_signing_key
from doorctl.sync.document import Kind
from doorctl.sync.wire import Line as Written
from tests.e2e.commands import Forking
from tests.e2e.door import Staged
from tests.fakes.waiting import LIMIT_S
from tests.sources.http_server import free_port
from tests.sync.pushes import Document

SNAPSHOT = "/v1/patrons"
CHANGES = "/v1/patrons/changes"
EPOCH = "/v1/patrons/epoch"

WEBS = Forking("doorctl.wiring.web")


class Branch:
    """A branch whose keys and databases are made; one thread.

    `wires`: hear of the door's pins; None where nobody looks at them; `forked`: whether web is
    spared its imports; not where a test looks at the process.
    """

    forked = False

    def __init__(self, directory: Path, *overrides: str, wires: Wires | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        public = directory / "push.pub"
        create_signing_key(directory / "push.key", public)
        self.key = read_signing_key(directory / "push.key")
        settings = (
            f"web.port={self.port}",
            f'web.push.public_key_files=["{public}"]',
            "seal.memory_kib=8",
            *overrides,
        )
        self.stage = Staged(directory, shipped("demo.toml"), settings, wires=wires)
        self.config = load(shipped("demo.toml"), self.stage.options[2::2])
        initialise(self.config)
        self.seal = self.sealer.seal
        self.lines: list[Line] = []
        self.scheme = "http"
        self.tls: ssl.SSLContext | bool = False
        self._unheard: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def sealer(self) -> ArgonSealer:
        """What the library's server seals rows with."""
        return own_sealer(self.config)

    def start(self) -> None:
        """Start the web process and wait until it answers."""
        self._unheard = queue.SimpleQueue()
        with (self.directory / "web.stderr").open("ab") as errors:
            self._process = self._run(errors)
        assert self._process.stdout is not None
        listening = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        listening.start()
        self.wait_for("ready")

    def _run(self, errors: BinaryIO) -> subprocess.Popen[bytes]:
        if self.forked:
            words = ("web", *self.stage.options)
            started: Any = WEBS.start(words, os.environ, tether(), errors.fileno())
            return cast("subprocess.Popen[bytes]", started)
        return subprocess.Popen(
            self.stage.command("web", tethered=True),
            stdin=tether(),
            stdout=subprocess.PIPE,
            stderr=errors,
        )

    def send(self, number: int) -> None:
        """Send the running process a signal and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the process a signal and return its exit code; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            code = process.wait(LIMIT_S)
        finally:
            process.kill()
        while self._unheard.get(timeout=LIMIT_S) is not None:
            pass
        return code

    def wait_for(self, event: str, **fields: object) -> Line:
        """Return the next line of that name with those fields."""
        wanted = {"event": event, **fields}
        while True:
            line = self._unheard.get(timeout=LIMIT_S)
            assert line is not None, self.errors()
            if wanted.items() <= line.items():
                return line

    def errors(self) -> str:
        """Return what the process wrote on stderr."""
        return (self.directory / "web.stderr").read_text(encoding="utf-8")

    def written(self, lines: Iterable[Written], epoch: int, **more: Any) -> Document:
        """Return a push as the sender makes it, which follows on the one before."""
        usual = {"previous_epoch": epoch - 1, "branch": "demo", "seal": self.seal, "key": self.key}
        return Document(lines, epoch=epoch, **{**usual, **more})

    def document(
        self, lines: Iterable[Written], epoch: int, *, compress: bool = False, **more: Any
    ) -> bytes:
        """Return its bytes."""
        return self.written(lines, epoch, **more).data(compress=compress)

    def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Send a request on a connection of its own."""
        with httpx2.Client(verify=self.tls, timeout=LIMIT_S, trust_env=False) as client:
            return client.request(method, f"{self.scheme}://127.0.0.1:{self.port}{path}", **request)

    def push(self, document: bytes, *, kind: Kind = "snapshot") -> httpx2.Response:
        """Send a push to where its kind goes."""
        if kind == "snapshot":
            return self.ask("PUT", SNAPSHOT, content=document)
        return self.ask("POST", CHANGES, content=document)

    def held(self) -> dict[str, Any]:
        """Return what the web process says it holds."""
        answer: dict[str, Any] = self.ask("GET", EPOCH).json()
        return answer

    def fill(self, count: int = 100) -> int:
        """Push so many patrons as the next snapshot, whatever was there; return its epoch."""
        epoch = int(self.held()["epoch"]) + 1
        answer = self.push(self.document(rows(count), epoch, approved_by="test"))
        assert answer.status_code == 200, answer.text
        return epoch

    def hanging(self, document: bytes, sent: int, path: str = SNAPSHOT) -> socket.socket:
        """Begin to push and stop after so many bytes; return the connection."""
        method = "PUT" if path == SNAPSHOT else "POST"
        connection = self.connected()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(document)}\r\n\r\n"
        connection.sendall(head.encode() + document[:sent])
        return connection

    def connected(self, host: str = "127.0.0.1") -> socket.socket:
        """Return a new connection from an address."""
        return socket.create_connection(("127.0.0.1", self.port), LIMIT_S, (host, 0))

    def screen(self) -> str:
        """Return what the screen at the door is opened with, where it has keys."""
        written = (self.config.storage.directory / "screen.html").read_text(encoding="ascii")
        return written.partition('name="key" value="')[2].partition('"')[0]

    def files(self) -> set[str]:
        """Return the names in the storage, without those that SQLite makes and removes."""
        names = {path.name for path in self.directory.iterdir()}
        return {name for name in names if not name.endswith(("-wal", "-shm", ".lock"))}

    def decided(self, card: str, pin: str) -> object:
        """Swipe a card, type a PIN, and return the reason of the door's decision."""
        self.stage.reader.send(f"{card}\r".encode())
        attempt = self.stage.wait_for_attempt(timeout_s=LIMIT_S)
        self.type(pin)
        return self.stage.wait_for("decision", attempt=attempt, timeout_s=LIMIT_S)["reason"]

    def type(self, keys: str) -> None:
        """Press keys one by one."""
        for key in keys:
            self.stage.keypad.send(key.encode())

    def _listen(self, stdout: BinaryIO) -> None:
        unheard = self._unheard
        with stdout:
            for written in stdout:
                line = json.loads(written)
                self.lines.append(line)
                unheard.put(line)
        unheard.put(None)


def asking_for_figures(directory: Path, word: str = "invented") -> str:
    """Write the token of Prometheus, and return the setting that has the process give figures."""
    path = directory / "metrics.token"
    create_private(path, word.encode())
    return f"metrics.token_file={path}"


def rows(count: int, **patron: Any) -> list[SealedRow]:
    """Return invented patrons with one identifier each."""
    return [row(number, **patron) for number in range(count)]


def row(number: int, **patron: Any) -> SealedRow:
    """Return the one identifier of an invented patron."""
    key = hashlib.sha256(b"row %d" % number).digest()[:16]
    return SealedRow(key, Patron(**{"patron_ref": str(1000 + number), "resident": True, **patron}))


def drip(connection: socket.socket) -> None:
    """Send a byte now and then, until it fails or was long enough."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        connection.sendall(b"x")
        time.sleep(0.1)


def answer_of(connection: socket.socket) -> bytes:
    """Return all that a server says until it hangs up."""
    said = b""
    with closing(connection), suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return said
