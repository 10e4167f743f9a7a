"""A stand-in for Koha: real HTTP on loopback, by its published schema, answers to order."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import parse_qsl

from tests.sources.api_server import PASSWORD, USER, ApiScript, Reply
from tests.sources.http_server import Request

VALIDATION, TOKEN, PATRONS = (
    "/api/v1/auth/password/validation",
    "/api/v1/oauth/token",
    "/api/v1/patrons/",
)
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()

WRONG = {"error": "Validation failed"}
EXPIRED = {"error": "Password expired"}


def patron(patron_id: int, number: str, **changed: object) -> dict[str, object]:
    """Return a patron as Koha's schema has it, much of it null."""
    return {
        "patron_id": patron_id,
        "cardnumber": number,
        "surname": "Navnesen",
        "firstname": "Navn",
        "address": "Vej 1",
        "library_id": "OEST",
        "category_id": "VOKSEN",
        "date_of_birth": "1970-01-01",
        "expiry_date": None,
        "incorrect_address": None,
        "patron_card_lost": False,
        "restricted": False,
        "userid": f"login{patron_id}",
        "login_attempts": 0,
        "extended_attributes": [],
        **changed,
    }


@dataclass
class Known:
    """A patron of the stand-in, and wrong PINs since the last right one."""

    pin: str
    row: dict[str, object]
    wrong: int = 0
    password_expired: bool = False


@dataclass
class KohaScript(ApiScript[Known]):
    """Koha. `failed_login_attempts`: as its preference; `permitted`: whether the account is."""

    failed_login_attempts: int = 3
    permitted: bool = True
    basic: bool = False

    def know(self, number: str, pin: str, *, resident: bool = True, lost: bool = False) -> None:
        """Register a patron, born in 1970."""
        more = {"category_id": "VOKSEN" if resident else "GAEST", "patron_card_lost": lost}
        self.patrons[number] = Known(pin, patron(1001 + len(self.patrons), number, **more))

    def asked(self) -> int:
        """Return how many questions about a PIN arrived."""
        return self.calls().count("validation")

    def name_of(self, path: str) -> str:
        """Return ``token``, ``validation`` or ``patrons``."""
        return {TOKEN: "token", VALIDATION: "validation"}.get(path, "patrons")

    def answer(self, request: Request) -> Reply:
        """Return what Koha would say."""
        if request.path == TOKEN:
            return self._token(dict(parse_qsl(request.body.decode())))
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        is_signed_in = shown == BASIC if self.basic else self.is_signed_in(shown)
        if kind != ("Basic" if self.basic else "Bearer") or not is_signed_in:
            return 401, {"error": "Authentication failure."}
        if not self.permitted:
            why = "Authorization failure. Missing required permission(s)."
            return 403, {"error": why, "required_permissions": {"borrowers": "1"}}
        if request.path == VALIDATION:
            return self._validation(json.loads(request.body))
        for known in self.patrons.values():
            if request.path == f"{PATRONS}{known.row['patron_id']}":
                return 200, known.row
        return 404, {"error": "Patron not found"}

    def _token(self, form: dict[str, str]) -> Reply:
        account = {"client_id": USER, "client_secret": PASSWORD}
        if self.basic or form.get("grant_type") != "client_credentials":
            return 400, {"error": "Unimplemented grant type"}
        if form != {"grant_type": "client_credentials", **account}:
            return 403, {"error": "unauthorized_client"}
        session = self.begin_session()
        return 200, {"access_token": session, "token_type": "Bearer", "expires_in": 3600}

    def _validation(self, asked: dict[str, str]) -> Reply:
        if asked.keys() != {"identifier", "password"}:
            return 400, {"errors": [{"message": "Missing property.", "path": "/"}], "status": 400}
        for known in self._named(asked["identifier"]):
            if known.wrong < self.failed_login_attempts and asked["password"] == known.pin:
                known.wrong = 0
                if known.password_expired:
                    return 400, EXPIRED
                names = ("cardnumber", "patron_id", "userid")
                return 201, {name: known.row[name] for name in names}
            known.wrong += 1
        return 400, WRONG

    def _named(self, identifier: str) -> list[Known]:
        """Return who has such a login, then who has such a card."""
        return [
            known
            for field in ("userid", "cardnumber")
            for known in self.patrons.values()
            if known.row[field] == identifier
        ]
