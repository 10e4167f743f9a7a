"""Koha, asked about one card over its REST API.

Calls, fields, permissions and answers: git.koha-community.org/Koha-community/Koha,
``api/v1/swagger/paths/auth.yaml`` (validateUserAndPassword), ``paths/oauth.yaml``,
``paths/patrons.yaml``, ``definitions/patron.yaml``, ``Koha/REST/V1/Auth/Password.pm`` and its test
``t/db_dependent/api/v1/password_validation.t``; the failed logins: ``checkpw`` of ``C4/Auth.pm``.

- The account needs the whole permission `borrowers` for the PIN, which is Koha's rule.
- A yes is a 201 that says whose PIN it is; an older Koha says 204 and no name, which is none here.
  Koha looks for a login of that name and for a card, so that a patron whose login is another's card
  number has a right PIN there too: a yes counts for the card alone that it names.
- An unknown card, a wrong PIN, a patron who is locked out (`FailedLoginAttempts`) and a password
  that has expired are all a 400, and so a no. Koha counts wrong PINs, and forgets them at a right
  one; who asks again after a no is held off by `LibraryLimiter`.
- Whether the card has expired, is lost or barred plays no part there. That stands in the row.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import date
from typing import Annotated
from urllib.parse import urlencode

import httpx2
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron
from doorctl.core.masked import Masked
from doorctl.core.ports import Unshown
from doorctl.extras.koha import Koha
from doorctl.sources.http_library import (
    WRONG_ACCOUNT,
    Answer,
    HttpLibrary,
    Talk,
    exchange,
    failed,
)

BASE = "/api/v1"

LOST, BARRED, NO_ADDRESS = "O", "S", "A"
"""Lost and barred as by SIP2; a wrong address as in the maps of ``config/sources``: no code of FBS,
so that `policy.deny_other_blocks` decides."""

PatronId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class KohaAnswer(Unshown, frozen=True, forbid_unknown_fields=False):
    """What all answers share."""


class Token(KohaAnswer, frozen=True):
    """The answer to client credentials."""

    access_token: Annotated[str, Meta(pattern=r"\A[!-~]{1,4096}\Z")]


class Validated(KohaAnswer, frozen=True):
    """Whose PIN it is."""

    cardnumber: str
    patron_id: PatronId


class Refused(KohaAnswer, frozen=True):
    """Why it is no PIN; in words, which are not read."""

    error: str


class KohaPatron(KohaAnswer, frozen=True):
    """A patron, only the fields that we use; what Koha knows nothing of is null."""

    patron_id: PatronId
    category_id: str
    date_of_birth: date | None
    expiry_date: date | None
    incorrect_address: bool | None
    patron_card_lost: bool | None
    restricted: bool

    def reply(self, lms: Koha) -> LibraryReply:
        """Return what the door may know."""
        blocks = {
            LOST: self.patron_card_lost,
            BARRED: self.restricted,
            NO_ADDRESS: self.incorrect_address,
        }
        row = Patron(
            str(self.patron_id),
            resident=self.category_id in lms.resident_classes,
            blocks=frozenset(code for code, is_set in blocks.items() if is_set),
            valid_until=self.expiry_date,
        )
        return LibraryReply(LibraryAnswer.YES, row, self.date_of_birth)


class KohaLibrary(HttpLibrary[Koha]):
    """Ask Koha; implements `LibrarySystem`. Card numbers and PINs are sent in bodies only."""

    system = "Koha"

    async def _question(self, talk: Talk, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        content = {"identifier": card, "password": pin}
        answer = await self._call(talk, f"{BASE}/auth/password/validation", content)
        patron_id = self._validated(answer, card)
        if patron_id is None:
            return LibraryReply(LibraryAnswer.NO)
        if not row_wanted:
            return LibraryReply(LibraryAnswer.YES)
        found = self._allowed(await self._call(talk, f"{BASE}/patrons/{patron_id}"))
        patron = self._read(found, KohaPatron)
        if patron.patron_id != patron_id:
            raise failed("it answers about another patron")
        return patron.reply(self._lms)

    def _validated(self, answer: Answer, card: str) -> int | None:
        """Return the number of the patron whose card and PIN it is; None for nobody."""
        if answer.status == httpx2.codes.BAD_REQUEST and answer.read(Refused) is not None:
            return None
        if answer.status == httpx2.codes.NO_CONTENT:
            raise failed("it does not say about whom it answers, as an older Koha does; upgrade it")
        validated = self._read(self._allowed(answer), Validated, httpx2.codes.CREATED)
        # Koha's database makes no difference between capitals and others.
        is_card = validated.cardnumber.strip().lower() == card.lower()
        return validated.patron_id if is_card else None

    def _allowed(self, answer: Answer) -> Answer:
        if answer.status == httpx2.codes.UNAUTHORIZED:
            raise failed(WRONG_ACCOUNT)
        if answer.status == httpx2.codes.FORBIDDEN:
            raise failed("doorctl's account there lacks the permission borrowers; see lms.user")
        return answer

    def _headers(self, session: Masked[str]) -> Mapping[str, str]:
        return {"Authorization": session.reveal()}

    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        user, password = self._lms.user, self._password.reveal()
        if self._lms.authentication == "basic":
            return Masked(f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}")
        account = {
            "grant_type": "client_credentials",
            "client_id": user,
            "client_secret": password,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(account).encode()
        answer = await exchange(client, f"{BASE}/oauth/token", body, headers)
        if answer.status in {httpx2.codes.BAD_REQUEST, httpx2.codes.FORBIDDEN}:
            raise failed(WRONG_ACCOUNT)
        return Masked(f"Bearer {self._read(answer, Token).access_token}")
