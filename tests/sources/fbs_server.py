"""A stand-in for FBS: real HTTP on loopback, built from its published schema, answers to order."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.sources.http_server import Raw, Request, answering

AGENCY = "DK-773000"
ACCOUNT = {"username": "doorctl-oest", "password": "a-password-of-a-branch"}
LOGIN = f"/rest/external/v1/{AGENCY}/authentication/login"
AUTHENTICATE = f"/rest/external/{AGENCY}/patrons/authenticate/v9"
PERSON = re.compile(rf"/rest/external/{AGENCY}/patrons/person/([0-9]+)/v4")

Reply = tuple[int, object]


def person(patron_id: int, **changed: object) -> dict[str, object]:
    """Return a PersonPatronV4 with all that its schema has, some of it null."""
    return {
        "patronId": patron_id,
        "name": "Navn Navnesen",
        "birthday": "1970-01-01",
        "resident": True,
        "blockStatus": None,
        "onHold": None,
        "tags": [],
        "preferredPickupBranch": AGENCY,
        "guardianVisibility": False,
        "receivePostalMail": False,
        "defaultInterestPeriod": 180,
        "allowBookings": True,
        "address": {"street": "Vej 1", "postalCode": "8900", "city": "Randers"},
        "emailAddresses": [],
        "phoneNumbers": [],
        **changed,
    }


@dataclass
class Known:
    """A patron of the stand-in."""

    pin: str
    patron_id: int
    kind: str = "PERSON"
    row: dict[str, object] = field(default_factory=dict)
    wrong: int = 0


@dataclass
class FbsScript:
    """Whom it knows, how it behaves, and what it was asked.

    `lockout_after`: wrong PINs in a row after which a patron waits; `session_uses`: calls after
    which a session runs out; `raw`: by the path's last word (``login``, ``v9``, ``v4``), what
    is written instead of an answer; it gets the socket's writer; `replies`: by the same word,
    status and content instead of the right ones; `requests`: method, path, headers and body of
    each.
    """

    patrons: dict[str, Known] = field(default_factory=dict)
    lockout_after: int = 3
    session_uses: int = 1_000_000
    raw: dict[str, Callable[[Any], object]] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron, born in 1970."""
        blocks = [{"blockedReason": "O", "blockedSince": "2026-01-02", "message": ""}]
        row: dict[str, object] = {"resident": resident, "blockStatus": blocks if lost else None}
        self.patrons[number] = Known(pin, 1001 + len(self.patrons), row=row)

    def asked(self) -> int:
        """Return how many questions about a PIN arrived."""
        return self.paths().count("v9")

    def paths(self) -> list[str]:
        """Return the last word of each path that was asked for, in order."""
        return [path.rpartition("/")[2] for _, path, _, _ in self.requests]

    def answer(self, path: str, session: str | None, body: bytes) -> Reply:
        """Return status and content."""
        with self.guard:
            word = path.rpartition("/")[2]
            if word in self.replies:
                return self.replies[word]
            if path == LOGIN:
                return self._login(json.loads(body))
            if self.sessions.get(session or "", 0) < 1:
                return 401, {"message": "client unauthorized"}
            self.sessions[session or ""] -= 1
            if path == AUTHENTICATE:
                return self._authenticate(json.loads(body))
            found = PERSON.fullmatch(path)
            return self._person(int(found[1])) if found else (404, {})

    def _login(self, account: object) -> Reply:
        if account != ACCOUNT:
            return 403, {"message": "invalid client credentials"}
        session = secrets.token_hex(8)
        self.sessions[session] = self.session_uses
        return 200, {"sessionKey": session}

    def _authenticate(self, asked: dict[str, str]) -> Reply:
        known = self.patrons.get(asked["libraryCardNumber"])
        if known is None:
            return 200, {"authenticateStatus": "INVALID", "patronId": 0, "patronType": "PERSON"}
        if known.wrong >= self.lockout_after:
            status = "LOANER_LOCKED_OUT"
        elif asked["pincode"] != known.pin:
            known.wrong += 1
            status = "INVALID"
        else:
            known.wrong = 0
            status = "VALID"
        return 200, {
            "authenticateStatus": status,
            "patronId": known.patron_id,
            "patronType": known.kind,
        }

    def _person(self, patron_id: int) -> Reply:
        for known in self.patrons.values():
            if known.patron_id == patron_id:
                return 200, person(patron_id, **known.row)
        return 404, {}


@contextmanager
def serving(script: FbsScript) -> Iterator[str]:
    """Serve on loopback until the end of the block; yields what ``lms.url`` would be."""

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | Raw:
        script.requests.append((request.method, request.path, request.headers, request.body))
        raw = script.raw.get(request.path.rpartition("/")[2])
        if raw is not None:
            return raw
        session = request.headers.get("X-Session")
        status, content = script.answer(request.path, session, request.body)
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Location": AUTHENTICATE}
        return status, headers, written

    with answering(answer) as port:
        yield f"http://127.0.0.1:{port}/rest"
