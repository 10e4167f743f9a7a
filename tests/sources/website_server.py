"""A stand-in for a library's website: real HTTP on loopback, hours as DPL CMS tells them."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = "/api/v1/opening_hours"


def item(
    day: date,
    starts: str = "08:00",
    ends: str = "22:00",
    title: str = "Selvbetjening",
    branch: int = 12,
) -> dict[str, object]:
    """Return one span of one date, as the CMS writes it."""
    return {
        "id": day.toordinal(),
        "category": {"title": title, "color": "#ffffff"},
        "date": day.isoformat(),
        "start_time": starts,
        "end_time": ends,
        "branch_id": branch,
        "branch_isil_id": "DK-773000",
        "repetition": {"id": 3, "type": "weekly"},
    }


@dataclass
class WebsiteScript:
    """What it has, how it behaves, and what it was asked.

    `items`: the hours of every branch and date; an answer has those that were asked for;
    `body`: written instead of the items; `raw`: gets the socket's writer instead of any answer;
    `asked`: path and query of each request; `told`: the headers of each request.
    """

    items: list[dict[str, object]] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    raw: Callable[[Any], object] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    told: list[dict[str, str]] = field(default_factory=list)

    def answer(self, target: str) -> tuple[int, bytes]:
        """Return status and body."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path != PATH or query["_format"] != ["json"]:
            return 404, b"<html>"
        if self.body is not None:
            return self.status, self.body
        first, last = query["from_date"][0], query["to_date"][0]
        found = [
            one
            for one in self.items
            if first <= str(one["date"]) <= last and str(one["branch_id"]) == query["branch_id"][0]
        ]
        return self.status, json.dumps(found).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    script: WebsiteScript

    def do_GET(self) -> None:
        script = self.script
        script.asked.append(self.path)
        script.told.append(dict(self.headers))
        if script.raw is not None:
            self.close_connection = True
            script.raw(self.wfile)
            return
        status, body = script.answer(self.path)
        self.send_response(status)
        for name, value in script.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Say nothing."""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Expect clients that hang up."""


@contextmanager
def serving(script: WebsiteScript, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serve on loopback until the end of the block; yields what ``hours.website_url`` would be.

    `certificate`: its file and its key's, for https.
    """
    handler = type("Handler", (_Handler,), {"script": script})
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        scheme = "http" if certificate is None else "https"
        try:
            yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
