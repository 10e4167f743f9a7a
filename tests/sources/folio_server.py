"""A stand-in for FOLIO: real HTTP on loopback, by its published schema, answers to order."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.sources.api_server import PASSWORD, USER, ApiScript, Reply
from tests.sources.http_server import Request

TENANT = "randers"
RESIDENTS, GUESTS = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"

NAMES = {
    "/authn/login-with-expiry": "login",
    "/users": "users",
    "/patron-pin/verify": "verify",
    "/manualblocks": "manualblocks",
}

_EQUALS = re.compile(r'(\w+)=="((?:[^\\"*?^]|\\.)*)"')
"""A condition of CQL whose value has nothing special in it that is not masked."""


def user_id(number: int) -> str:
    """Return a user's id."""
    return f"10000000-0000-4000-8000-{number:012d}"


def user(number: int, barcode: str, **changed: object) -> dict[str, object]:
    """Return a user as FOLIO's schema has it; what is not set is left out."""
    return {
        "username": f"login{number}",
        "id": user_id(number),
        "barcode": barcode,
        "active": True,
        "type": "patron",
        "patronGroup": RESIDENTS,
        "departments": [],
        "personal": {
            "lastName": "Navnesen",
            "firstName": "Navn",
            "dateOfBirth": "1970-01-01T00:00:00.000+00:00",
            "addresses": [],
        },
        "enrollmentDate": "2020-10-07T04:00:00.000+00:00",
        **changed,
    }


def block(user_number: int, **changed: object) -> dict[str, object]:
    """Return a manual block of borrowing."""
    return {
        "type": "Manual",
        "desc": "besked",
        "borrowing": True,
        "renewals": True,
        "requests": True,
        "userId": user_id(user_number),
        **changed,
    }


@dataclass
class Known:
    """A user of the stand-in; `pin` is None for one without."""

    pin: str | None
    row: dict[str, object]
    blocks: list[dict[str, object]] = field(default_factory=list)


@dataclass
class FolioScript(ApiScript[Known]):
    """FOLIO. `permitted`: whether the account is; `queries`: each condition that was asked for."""

    permitted: bool = True
    queries: list[tuple[str, str]] = field(default_factory=list)

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a user, born in 1970; FOLIO knows no lost card, so who has one is barred."""
        place = 1001 + len(self.patrons)
        row = user(place, number, patronGroup=RESIDENTS if resident else GUESTS)
        self.patrons[number] = Known(pin, row, [block(place)] if lost else [])

    def asked(self) -> int:
        """Return how many questions about a PIN arrived."""
        return self.calls().count("verify")

    def name_of(self, path: str) -> str:
        """Return ``login``, ``users``, ``verify`` or ``manualblocks``."""
        return NAMES.get(urlsplit(path).path, "")

    def answer(self, request: Request) -> Reply:
        """Return what FOLIO would say."""
        if request.headers.get("X-Okapi-Tenant") != TENANT:
            return 400, b"No such Tenant"
        name = self.name_of(request.path)
        if name == "login":
            return self._login(json.loads(request.body))
        if not self.is_signed_in(request.headers.get("X-Okapi-Token", "")):
            return 401, b"Invalid token"
        if not self.permitted:
            return 403, b"Access requires permission: patron-pin.validate"
        if name == "verify":
            return self._verified(json.loads(request.body)), b""
        return self._listed(name, urlsplit(request.path).query)

    def _login(self, account: object) -> Reply:
        if account != {"username": USER, "password": PASSWORD}:
            return 422, {"errors": [{"message": "Password does not match", "type": "error"}]}
        until = dict.fromkeys(("accessToken", "refreshToken"), "2030-12-31T23:59:59Z")
        cookie = f"folioAccessToken={self.begin_session()}; Max-Age=600; Path=/; Secure; HTTPOnly"
        said = {f"{name}Expiration": at for name, at in until.items()}
        return 201, said, {"Set-Cookie": f"{cookie}; SameSite=Strict"}

    def _verified(self, asked: dict[str, str]) -> int:
        pins = {str(known.row["id"]): known.pin for known in self.patrons.values()}
        return 200 if pins.get(asked["id"]) == asked["pin"] else 422

    def _listed(self, name: str, query: str) -> Reply:
        (written,) = parse_qs(query)["query"]
        found = _EQUALS.fullmatch(written)
        if found is None:
            return 400, b"CQL: parse error"
        field_name, value = found[1], re.sub(r"\\(.)", r"\1", found[2])
        self.queries.append((field_name, value))
        rows: list[dict[str, object]] = []
        for known in self.patrons.values():
            rows += [known.row] if name == "users" else known.blocks
        meant = [row for row in rows if str(row[field_name]).lower() == value.lower()]
        return 200, {name: meant, "totalRecords": len(meant)}
