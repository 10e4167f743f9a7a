"""FBS (Cicero), asked about one card over its CMS API.

Field names, types and meanings: danskernesdigitalebibliotek/dpl-fbs-adapter-tool,
``external_agencyid_patrons.json`` and ``external_v1_agencyid_authentication.json``. Fields that
are not named here (names, addresses, telephone numbers) are skipped by the decoder and never
built.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Literal

import httpx2
import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron
from doorctl.config.tables import Lms
from doorctl.core.masked import Masked
from doorctl.core.ports import Unshown
from doorctl.sources.http_library import WRONG_ACCOUNT, HttpLibrary, Talk, exchange, failed
from doorctl.sync.rows import WrittenHold

PERSON = "PERSON"
"""The only type of patron with a birthday and a residence in FBS."""

NOT_TOLD = "NOT_TOLD"

PatronId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class FbsAnswer(Unshown, frozen=True, rename="camel", forbid_unknown_fields=False):
    """What all answers share."""


class LoggedIn(FbsAnswer, frozen=True):
    """The answer to a login."""

    session_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,1024}\Z")]


class Authenticated(FbsAnswer, frozen=True):
    """The answer about a card and a PIN; the last two fields are there where it is ``VALID``."""

    authenticate_status: Literal["VALID", "INVALID", "LOANER_LOCKED_OUT"]
    patron_id: PatronId | None = None
    patron_type: str | None = None

    def __post_init__(self) -> None:
        if self.authenticate_status == "VALID" and None in (self.patron_id, self.patron_type):
            raise ValueError("half an answer")


class Block(FbsAnswer, frozen=True):
    """A block; a code with a stray blank would match no code that is denied."""

    blocked_reason: Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]


class Hold(WrittenHold, frozen=True, forbid_unknown_fields=False):
    """A period on hold."""


class Person(FbsAnswer, frozen=True):
    """PersonPatronV4, only the fields that we use; `block_status` and `tags` may be null."""

    patron_id: PatronId
    resident: bool
    birthday: date | None = None
    block_status: list[Block] | None = None
    on_hold: Hold | None = None
    tags: list[Annotated[str, Meta(max_length=64)]] | None = None

    def reply(self) -> LibraryReply:
        """Return what the door may know; the card was authenticated, so it is in force."""
        hold = self.on_hold
        row = Patron(
            str(self.patron_id),
            resident=self.resident,
            blocks=frozenset(block.blocked_reason for block in self.block_status or ()),
            hold_from=None if hold is None else hold.starts or date.min,
            hold_until=None if hold is None else hold.ends,
            tags=frozenset(self.tags or ()),
        )
        return LibraryReply(LibraryAnswer.YES, row, self.birthday)


ANSWERS: Mapping[str, LibraryAnswer] = MappingProxyType(
    {
        "VALID": LibraryAnswer.YES,
        "INVALID": LibraryAnswer.NO,
        "LOANER_LOCKED_OUT": LibraryAnswer.WAITS,
    }
)

LOGIN_REFUSED = frozenset({400, 401, 403})
"""FBS answers 403 to a client whose name or password is wrong (its own document)."""


class FbsLibrary(HttpLibrary[Lms]):
    """Ask FBS; implements `LibrarySystem`. Card numbers and PINs are sent in bodies only."""

    system = "FBS"

    async def _question(self, talk: Talk, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        base = f"/external/{self._lms.agency}/patrons"
        content = {"libraryCardNumber": card, "pincode": pin}
        answer = await self._call(talk, f"{base}/authenticate/v9", content)
        authenticated = self._read(answer, Authenticated)
        said, patron_id = ANSWERS[authenticated.authenticate_status], authenticated.patron_id
        if said is not LibraryAnswer.YES or not row_wanted or patron_id is None:
            return LibraryReply(said)
        if authenticated.patron_type != PERSON:
            # A company, a library or a group; its blocks are stored elsewhere, not asked for.
            return Person(patron_id, resident=False, block_status=[Block(NOT_TOLD)]).reply()
        answer = await self._call(talk, f"{base}/person/{patron_id}/v4")
        person = self._read(answer, Person)
        if person.patron_id != patron_id:
            raise failed("it answers about another patron")
        return person.reply()

    def _headers(self, session: Masked[str]) -> Mapping[str, str]:
        return {"X-Session": session.reveal()}

    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        account = {"username": self._lms.user, "password": self._password.reveal()}
        address = f"/external/v1/{self._lms.agency}/authentication/login"
        answer = await exchange(client, address, msgspec.json.encode(account))
        if answer.status in LOGIN_REFUSED:
            raise failed(WRONG_ACCOUNT)
        return Masked(self._read(answer, LoggedIn).session_key)
