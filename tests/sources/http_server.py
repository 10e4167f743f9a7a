"""A real HTTP server on loopback, in a thread, which answers to order."""

from __future__ import annotations

import json
import secrets
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Raw = Callable[[Any], object]
"""Gets the socket's writer, and writes what it likes instead of an answer."""

Answer = Callable[[Request], tuple[int, Mapping[str, str], bytes] | Raw]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # else each answer waits 40 ms for the acknowledgement of its head
    answer: Answer

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = type(self).answer(Request(self.command, self.path, dict(self.headers), body))
        if not isinstance(reply, tuple):
            self.close_connection = True
            reply(self.wfile)
            return
        status, headers, content = reply
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = _reply  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Expect clients that hang up and clients without a certificate."""


@contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 until the end of the block."""
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        with running(server) as port:
            yield port


@contextmanager
def running(server: socketserver.TCPServer) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()


PORTS = range(10_000, 32_768)
"""Below those that Linux gives to connections (`ip_local_port_range`, 32 768 to 60 999)."""


def free_port() -> int:
    """Return a port that is free, and that the kernel gives to no connection meanwhile."""
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class Script:
    """What it answers, and what it was asked: method, path, body and headers of each request."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
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
        return script.status, script.headers, script.body

    with answering(answer, context) as port:
        yield port
