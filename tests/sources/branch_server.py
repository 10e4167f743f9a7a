"""A branch's web process in a thread: real sockets, answers to order."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.sources.http_server import Request, answering


@dataclass
class Script:
    """What it answers, and what it was asked.

    `release`: where it is set to an unset event, nothing is answered before; `requests`:
    method, path and body of each request.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    release: threading.Event | None = None
    requests: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)

    def say(self, status: int, content: object, **headers: str) -> None:
        """Answer so from now on."""
        self.status, self.body = status, json.dumps(content).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 until the end of the block."""

    def answer(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        script.requests.append((request.method, request.path, request.body, request.headers))
        if script.release is not None:
            script.release.wait(timeout=20)
        return script.status, script.headers, script.body

    with answering(answer, context) as port:
        yield port
