"""A stand-in for a library's website: real HTTP on loopback, hours as DPL CMS tells them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.sources.http_server import Raw, Request, answering

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


@contextmanager
def serving(script: WebsiteScript) -> Iterator[str]:
    """Serve on loopback until the end of the block; yields what ``hours.website_url`` would be."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | Raw:
        script.asked.append(request.path)
        script.told.append(request.headers)
        if script.raw is not None:
            return script.raw
        status, body = script.answer(request.path)
        return status, {"Content-Type": "application/json", **script.headers}, body

    with answering(answer) as port:
        yield f"http://127.0.0.1:{port}"
