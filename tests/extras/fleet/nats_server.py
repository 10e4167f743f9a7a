"""A real nats-server on loopback, Debian's own, which a test may stop and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fakes.waiting import LIMIT_S
from tests.sources.http_server import free_port

PLAIN = """
listen: "127.0.0.1:{port}"
max_payload: 262144
"""

STREAMS = """
listen: "127.0.0.1:{{port}}"
max_payload: 262144
jetstream {{ store_dir: "{store}", sync_interval: always }}
"""
"""With streams, once `format` has said where they are kept."""


def program() -> str:
    """Return where nats-server is; a newcomer's machine may have none, the gates' must."""
    found = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None and os.environ.get("CI") != "true":
        pytest.skip("nats-server is not installed: apt install nats-server")
    assert found is not None
    return found


class NatsServer:
    """A server on a port of its own; `text` is its configuration, with {port} in it."""

    def __init__(self, directory: Path, text: str = PLAIN) -> None:
        self._program = program()
        self.port = free_port()
        self.has_streams = "jetstream" in text
        self._file = directory / f"nats-{self.port}.conf"
        self._file.write_text(text.replace("{port}", str(self.port)), encoding="utf-8")
        self._log = directory / f"nats-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens in the clear."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._file)], stdout=log, stderr=log
            )
        until_s = time.monotonic() + LIMIT_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError(self._log.read_text("utf-8"))

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(LIMIT_S)


@contextmanager
def serving_nats(directory: Path, text: str = PLAIN) -> Iterator[NatsServer]:
    """Run a server until the end of the block."""
    server = NatsServer(directory, text)
    server.start()
    try:
        yield server
    finally:
        server.end()
