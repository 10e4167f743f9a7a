"""FBS (Cicero), asked about one card over its CMS API.

Field names, types and meanings: danskernesdigitalebibliotek/dpl-fbs-adapter-tool,
``external_agencyid_patrons.json`` and ``external_v1_agencyid_authentication.json``. Fields that
are not named here (names, addresses, telephone numbers) are skipped by the decoder and never
built.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import httpx2
import msgspec
from msgspec import Meta

from doorctl.access.messages import LibraryAnswer, LibraryReply
from doorctl.access.patron import Patron
from doorctl.config.tables import Lms
from doorctl.core.asking import ASK_JSON, body_of, read_answer, trusting, waits
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Masked
from doorctl.core.ports import Unshown
from doorctl.sources.library import Library, Progress
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


AnswerT = TypeVar("AnswerT", bound=FbsAnswer)

LONGEST_ANSWER_BYTES = 65_536
"""A person with addresses, notes and interests has 2 KiB."""

ANSWERS: Mapping[str, LibraryAnswer] = MappingProxyType(
    {
        "VALID": LibraryAnswer.YES,
        "INVALID": LibraryAnswer.NO,
        "LOANER_LOCKED_OUT": LibraryAnswer.WAITS,
    }
)

LOGIN_REFUSED = frozenset({400, 401, 403})
"""FBS answers 403 to a client whose name or password is wrong (its own document)."""


class FbsLibrary(Library[Lms]):
    """Ask FBS; implements `LibrarySystem`. Thread-safe; one session is kept, one login at a time.

    No proxy of the environment is used and no redirect followed; card numbers and PINs are sent in
    bodies only.
    """

    def __init__(self, lms: Lms, password: Masked[str]) -> None:
        super().__init__(lms, password)
        self._context = trusting(lms.ca_file)
        # What the first one loads takes a small Pi a second, which the first question has not.
        httpx2.AsyncHTTPTransport(verify=self._context)
        self._logging_in = Lock()
        self._session: Masked[str] | None = None

    async def _ask(self, progress: Progress, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        base = self._lms.url.rstrip("/")
        async with httpx2.AsyncClient(
            base_url=base, verify=self._context, trust_env=False, timeout=waits(self._lms.timeout_s)
        ) as client:
            answer = partial(self._answer, client, progress)
            content = {"libraryCardNumber": card, "pincode": pin}
            path = "patrons/authenticate/v9"
            authenticated = await answer(path, Authenticated, content)
            said, patron_id = ANSWERS[authenticated.authenticate_status], authenticated.patron_id
            if said is not LibraryAnswer.YES or not row_wanted or patron_id is None:
                return LibraryReply(said)
            if authenticated.patron_type != PERSON:
                # A company, a library or a group; its blocks are stored elsewhere, not asked for.
                return Person(patron_id, resident=False, block_status=[Block(NOT_TOLD)]).reply()
            person = await answer(f"patrons/person/{patron_id}/v4", Person)
        if person.patron_id != patron_id:
            raise LibrarySystemError("it answers about another patron", spent=progress.sent)
        return person.reply()

    async def _answer(
        self,
        client: httpx2.AsyncClient,
        progress: Progress,
        path: str,
        kind: type[AnswerT],
        content: Mapping[str, str] | None = None,
    ) -> AnswerT:
        session = await self._logged_in(client, None)
        address = f"/external/{self._lms.agency}/{path}"
        request = partial(_exchange, client, address, content, progress=progress)
        status, body = await request(session=session)
        if status == httpx2.codes.UNAUTHORIZED and not progress.renewed:
            progress.renewed = True
            status, body = await request(session=await self._logged_in(client, session))
        return _read(status, body, kind, spent=progress.sent)

    async def _logged_in(
        self, client: httpx2.AsyncClient, expired: Masked[str] | None
    ) -> Masked[str]:
        # It holds up this question's own thread alone, and is cancelled there when time is up.
        with self._logging_in:
            if self._session is None or self._session == expired:
                self._session = None
                self._session = await self._log_in(client)
            return self._session

    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        account = {"username": self._lms.user, "password": self._password.reveal()}
        address = f"/external/v1/{self._lms.agency}/authentication/login"
        status, body = await _exchange(client, address, account)
        if status in LOGIN_REFUSED:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)
        return Masked(_read(status, body, LoggedIn, spent=False).session_key)


async def _exchange(
    client: httpx2.AsyncClient,
    address: str,
    content: Mapping[str, str] | None,
    *,
    session: Masked[str] | None = None,
    progress: Progress | None = None,
) -> tuple[int, bytes]:
    async def note(event: str, _info: object) -> None:
        if progress is not None and content and event.endswith("send_request_headers.started"):
            progress.sent = True

    async with client.stream(
        "GET" if content is None else "POST",
        address,
        content=None if content is None else msgspec.json.encode(content),
        headers={
            **ASK_JSON,
            **({} if content is None else {"Content-Type": "application/json"}),
            **({} if session is None else {"X-Session": session.reveal()}),
        },
        extensions={"trace": note},
    ) as response:
        body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
        return response.status_code, body or b""


def _read(status: int, body: bytes, kind: type[AnswerT], *, spent: bool) -> AnswerT:
    if status != httpx2.codes.OK:
        raise LibrarySystemError(f"it answers with HTTP status {status}", spent=spent)
    answer = read_answer(body, kind)
    if answer is None:
        raise LibrarySystemError("its answer is none that FBS gives; see lms.url", spent=spent)
    return answer
