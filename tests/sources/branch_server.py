"""A branch's web process in a thread: real sockets, answers to order."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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


class _Handler(BaseHTTPRequestHandler):
    script: Script

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script = self.script
        script.requests.append((self.command, self.path, body, dict(self.headers)))
        if script.release is not None:
            script.release.wait(timeout=20)
        self.send_response(script.status)
        for name, value in script.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(script.body)))
        self.end_headers()
        self.wfile.write(script.body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Expect clients that hang up and clients without a certificate."""


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 until the end of the block."""
    handler = type("Handler", (_Handler,), {"script": script})
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
