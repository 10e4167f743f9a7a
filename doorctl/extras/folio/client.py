"""FOLIO, asked about one card over its own API.

Calls, fields and answers: github.com/folio-org, mod-login ``ramls/login.raml``; mod-users
``ramls/users.raml``, ``ramls/userdata.json``, ``ramls/patronpin.raml`` and ``PatronPinAPI.java``;
mod-feesfines ``ramls/manualblocks.raml`` and ``ramls/manualblockdata.json``. What masks a text in
CQL: folio-org/okapi, ``StringUtil.cqlEncode``. What a block means: edge-sip2, FOLIO's own server of
SIP2, ``PatronRepository.java``.

- The PIN goes in a body, with the user's id; FOLIO says 200 for right and 422 for wrong or none,
  both without a body, counts no wrong ones and locks nobody out.
- An id comes by a barcode in ``GET /users`` alone: FOLIO has no call that takes it in a body, so it
  stands in the address, and in the logs of the server that ends TLS there. edge-sip2 asks so too.
- Whether the user is active or barred plays no part in the PIN. That stands in the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated
from urllib.parse import quote

import httpx2
import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron
from doorctl.config.tables import LmsWithClasses
from doorctl.core.masked import Masked
from doorctl.core.ports import Unshown
from doorctl.sources.http_library import (
    WRONG_ACCOUNT,
    Answer,
    HttpLibrary,
    Talk,
    exchange,
    failed,
    unexpected,
)

BARRED = "S"
"""As SIP2's place 1 is, which edge-sip2 sets for a block of borrowing."""

MOST_BLOCKS = 1000
"""A limit that no patron's blocks reach; without one FOLIO lists ten."""

LOGIN_REFUSED = frozenset({400, 401, 403, 422})

DAY = r"\A\d{4}-\d{2}-\d{2}(T[0-9:.]{5,18}(Z|[+-]\d\d:?\d\d)?)?\Z"

_ACCESS_TOKEN = re.compile(r"folioAccessToken=([!#-+\--:<-\[\]-~]{1,16384})(?:;.*)?")
"""A cookie's value as RFC 6265 allows it."""

_SPECIAL = re.compile(r'[\\"*?^]')

WrittenDay = Annotated[str, Meta(pattern=DAY)]
UserId = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")]


class FolioAnswer(Unshown, frozen=True, rename="camel", forbid_unknown_fields=False):
    """What all answers share."""


class Personal(FolioAnswer, frozen=True):
    """Of a person the birthday alone; names and addresses are skipped and never built."""

    date_of_birth: WrittenDay | None = None


class User(FolioAnswer, frozen=True):
    """A user, only the fields that we use; FOLIO leaves out what is not set."""

    id: UserId
    barcode: str
    active: bool = False
    patron_group: str | None = None
    expiration_date: WrittenDay | None = None
    personal: Personal | None = None

    def __post_init__(self) -> None:
        for written in (self.expiration_date, self.born):
            _day(written)

    @property
    def born(self) -> str | None:
        """The birthday as it is written."""
        return None if self.personal is None else self.personal.date_of_birth

    def reply(self, lms: LmsWithClasses, *, is_barred: bool) -> LibraryReply:
        """Return what the door may know."""
        row = Patron(
            self.id,
            resident=self.patron_group in lms.resident_classes,
            active=self.active,
            blocks=frozenset({BARRED} if is_barred else ()),
            valid_until=_day(self.expiration_date),
        )
        return LibraryReply(LibraryAnswer.YES, row, _day(self.born))


class Users(FolioAnswer, frozen=True):
    """The users of a barcode."""

    users: list[User]


class ManualBlock(FolioAnswer, frozen=True):
    """What staff keep a user from."""

    borrowing: bool | None = None


class ManualBlocks(FolioAnswer, frozen=True, rename=None):
    """The blocks of a user."""

    manualblocks: list[ManualBlock]


class FolioLibrary(HttpLibrary[LmsWithClasses]):
    """Ask FOLIO; implements `LibrarySystem`. A PIN is sent in a body only."""

    system = "FOLIO"

    async def _question(self, talk: Talk, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        user = await self._user(talk, card)
        if user is None or not await self._verified(talk, user, pin):
            return LibraryReply(LibraryAnswer.NO)
        if not row_wanted:
            return LibraryReply(LibraryAnswer.YES)
        query = f"/manualblocks?limit={MOST_BLOCKS}&query={_equals('userId', user.id)}"
        found = self._read(self._allowed(await self._call(talk, query)), ManualBlocks)
        is_barred = any(block.borrowing for block in found.manualblocks)
        return user.reply(self._lms, is_barred=is_barred)

    async def _user(self, talk: Talk, card: str) -> User | None:
        """Return who has a card; None for nobody."""
        answer = await self._call(talk, f"/users?limit=2&query={_equals('barcode', card)}")
        users = self._read(self._allowed(answer), Users).users
        if not users:
            return None
        # FOLIO makes no difference between capitals and others.
        if len(users) > 1 or users[0].barcode.strip().lower() != card.lower():
            raise failed("it answers about another patron")
        return users[0]

    async def _verified(self, talk: Talk, user: User, pin: str) -> bool:
        """Tell whether the PIN is the user's."""
        content = {"id": user.id, "pin": pin}
        headers = {"Accept": "text/plain"}
        answer = await self._call(talk, "/patron-pin/verify", content, headers)
        if answer.status == httpx2.codes.UNPROCESSABLE_CONTENT:
            return False
        if self._allowed(answer).status != httpx2.codes.OK:
            raise unexpected(answer)
        # A server that answers 200 to all, such as a network's page to sign in, sends a body.
        if answer.body != b"":
            raise failed("its answer about a PIN is none that FOLIO gives; see lms.url")
        return True

    def _allowed(self, answer: Answer) -> Answer:
        if answer.status == httpx2.codes.UNAUTHORIZED:
            raise failed(WRONG_ACCOUNT)
        if answer.status == httpx2.codes.FORBIDDEN:
            raise failed("doorctl's account there lacks a permission; see lms.user")
        return answer

    def _headers(self, session: Masked[str]) -> Mapping[str, str]:
        return {**self._tenant, "X-Okapi-Token": session.reveal()}

    @property
    def _tenant(self) -> dict[str, str]:
        return {"X-Okapi-Tenant": self._lms.agency}

    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        account = {"username": self._lms.user, "password": self._password.reveal()}
        body = msgspec.json.encode(account)
        answer = await exchange(client, "/authn/login-with-expiry", body, self._tenant)
        if answer.status in LOGIN_REFUSED:
            raise failed(WRONG_ACCOUNT)
        if answer.status != httpx2.codes.CREATED:
            raise unexpected(answer)
        tokens = [found[1] for found in map(_ACCESS_TOKEN.fullmatch, answer.cookies) if found]
        if len(tokens) != 1:
            raise failed("its login gives no folioAccessToken; see lms.url")
        return Masked(tokens[0])


def _equals(field: str, value: str) -> str:
    """Return a condition of CQL for an address; nothing in the value can be read as CQL."""
    masked = _SPECIAL.sub(r"\\\g<0>", value)
    return quote(f'{field}=="{masked}"', safe="")


def _day(written: str | None) -> date | None:
    """Return the day of a date and time. ValueError: there is no such day."""
    return None if written is None else date.fromisoformat(written[:10])
