"""FBS (Cicero) asked over its CMS API: log in once, authenticate a card, read the person."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import httpx2
import msgspec
from msgspec import Meta, Struct

from doorctl.access.messages import LibraryAnswer, LibraryPatron, LibraryReply
from doorctl.config.network import is_this_machine
from doorctl.core.errors import InputError, LibrarySystemError
from doorctl.core.masked import Identifier, Masked, Pin
from doorctl.sources.asking import spelt, unreached
from doorctl.sources.time_limit import TimeLimit

# Field names, types and meanings: danskernesdigitalebibliotek/dpl-fbs-adapter-tool,
# ``external_agencyid_patrons.json`` and ``external_v1_agencyid_authentication.json``. Fields that
# are not named here (names, addresses, telephone numbers) are skipped by the decoder and never
# built.

PERSON = "PERSON"
"""The only type of patron with a birthday and a residence in FBS."""

NOT_TOLD = "NOT_TOLD"

PatronId = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Answer(Struct, frozen=True, rename="camel"):
    """What all answers share: exact types, and a `repr` that shows no values."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class LoggedIn(Answer, frozen=True):
    """The answer to a login."""

    session_key: Annotated[str, Meta(pattern=r"\A[!-~]{1,1024}\Z")]


class Authenticated(Answer, frozen=True):
    """The answer about a card and a PIN; the last two fields are there where it is ``VALID``."""

    authenticate_status: Literal["VALID", "INVALID", "LOANER_LOCKED_OUT"]
    patron_id: PatronId | None = None
    patron_type: str | None = None

    def __post_init__(self) -> None:
        if self.authenticate_status == "VALID" and None in (self.patron_id, self.patron_type):
            raise ValueError("half an answer")


class Block(Answer, frozen=True):
    """A block; a code with a stray blank would match no code that is denied."""

    blocked_reason: Annotated[str, Meta(pattern=r"\A[!-~]{1,32}\Z")]


class Hold(Answer, frozen=True):
    """A period on hold; without an end it is open."""

    starts: date | None = msgspec.field(default=None, name="from")
    ends: date | None = msgspec.field(default=None, name="to")

    def __post_init__(self) -> None:
        if self.starts is not None and self.ends is not None and self.ends < self.starts:
            raise ValueError("ends before it starts")


class Person(Answer, frozen=True):
    """PersonPatronV4, only the fields that we use; `block_status` and `tags` may be null."""

    patron_id: PatronId
    resident: bool
    birthday: date | None = None
    block_status: list[Block] | None = None
    on_hold: Hold | None = None
    tags: list[Annotated[str, Meta(max_length=64)]] | None = None

    def patron(self) -> LibraryPatron:
        """Return what the door may know; the card was authenticated, so it is in force."""
        hold = self.on_hold
        return LibraryPatron(
            patron_ref=str(self.patron_id),
            resident=self.resident,
            active=True,
            birthday=self.birthday,
            blocks=frozenset(block.blocked_reason for block in self.block_status or ()),
            valid_until=None,
            hold_from=None if hold is None else hold.starts or date.min,
            hold_until=None if hold is None else hold.ends,
            tags=frozenset(self.tags or ()),
        )


AnswerT = TypeVar("AnswerT", bound=Answer)


def read_answer(body: bytes, kind: type[AnswerT]) -> AnswerT | None:
    """Return the answer that a body holds, or None if it is not complete."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def no_person(patron_id: int) -> LibraryPatron:
    """Return the row of a company, a library or a group: no residence and no birthday.

    Its blocks are stored elsewhere and are not asked for, so it gets an unknown block.
    """
    return LibraryPatron(
        patron_ref=str(patron_id),
        resident=False,
        active=True,
        birthday=None,
        blocks=frozenset({NOT_TOLD}),
        valid_until=None,
        hold_from=None,
        hold_until=None,
        tags=frozenset(),
    )


TIMEOUT_S = 2.0

KEPT_S = 5.0
"""A connection that is idle for longer may be dead behind a firewall, without notice."""

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


@dataclass(slots=True)
class _Question:
    """How far one request got: FBS may have the PIN (`sent`), an expired session was replaced."""

    sent: bool = False
    renewed: bool = False


class FbsLibrary:
    """Ask FBS; implements `LibrarySystem`. Thread-safe; one session is kept, one login at a time.

    Proxies that the environment names are not used and no redirect is followed. Card numbers and
    PINs are sent in bodies only. The addresses are below `url`, such as
    ``https://cms.example/rest``; `timeout_s` is for one request including login.

    Args:
        agency: the agency's ISIL.

    Raises:
        InputError: `url` would send PINs to another machine in the clear.
    """

    def __init__(
        self,
        *,
        url: str,
        agency: str,
        user: str,
        password: Masked[str],
        context: ssl.SSLContext,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        address = httpx2.URL(url)
        if address.scheme != "https" and not is_this_machine(address.host):
            raise InputError("FBS is asked over https only; see lms.url")
        self._base = url.rstrip("/")
        self._agency = agency
        self._user = user
        self._password = password
        self._context = context
        self._limit = TimeLimit(timeout_s, "fbs")
        self._logging_in = asyncio.Lock()
        self._session: Masked[str] | None = None
        self._client: httpx2.AsyncClient | None = None

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's.

        What no card or keypad can send is a no without being sent.
        """
        card_and_pin = spelt(identifier, pin)
        if card_and_pin is None:
            return LibraryReply(LibraryAnswer.NO)
        question = _Question()
        try:
            return self._limit.run(lambda: self._ask(question, card_and_pin, row_wanted=row_wanted))
        except LibrarySystemError as error:
            why = str(error)
        except TimeoutError:
            why = "it does not answer in time"
        except httpx2.ConnectError as error:
            why = unreached(error)
        except httpx2.HTTPError:
            why = "it breaks off in the middle of an answer"
        # Raised out here, so that no exception with the library's answer is its context.
        raise LibrarySystemError(why, spent=question.sent)

    def close(self) -> None:
        """Close its connections; idempotent."""
        with suppress(TimeoutError, httpx2.HTTPError):
            if self._client is not None:
                self._limit.run(self._client.aclose)
        self._client = None
        self._limit.close()

    async def _ask(
        self, question: _Question, card_and_pin: tuple[str, str], *, row_wanted: bool
    ) -> LibraryReply:
        content = dict(zip(("libraryCardNumber", "pincode"), card_and_pin, strict=True))
        path = "patrons/authenticate/v9"
        authenticated = await self._answer(question, "POST", path, Authenticated, content)
        answer = ANSWERS[authenticated.authenticate_status]
        if answer is not LibraryAnswer.YES or not row_wanted or authenticated.patron_id is None:
            return LibraryReply(answer)
        if authenticated.patron_type != PERSON:
            return LibraryReply(answer, no_person(authenticated.patron_id))
        return LibraryReply(answer, await self._person(question, authenticated.patron_id))

    async def _person(self, question: _Question, patron_id: int) -> LibraryPatron:
        person = await self._answer(question, "GET", f"patrons/person/{patron_id}/v4", Person)
        if person.patron_id != patron_id:
            raise LibrarySystemError("it answers about another patron", spent=question.sent)
        return person.patron()

    async def _answer(
        self,
        question: _Question,
        method: str,
        path: str,
        kind: type[AnswerT],
        content: Mapping[str, str] | None = None,
    ) -> AnswerT:
        session = await self._logged_in(None)
        address = f"/external/{self._agency}/{path}"
        status, body = await self._exchange(method, address, content, session, question)
        if status == httpx2.codes.UNAUTHORIZED and not question.renewed:
            question.renewed = True
            session = await self._logged_in(session)
            status, body = await self._exchange(method, address, content, session, question)
        return _read(status, body, kind, spent=question.sent)

    async def _logged_in(self, expired: Masked[str] | None) -> Masked[str]:
        async with self._logging_in:
            if self._session is None or self._session == expired:
                self._session = None
                self._session = await self._log_in()
            return self._session

    async def _log_in(self) -> Masked[str]:
        account = {"username": self._user, "password": self._password.reveal()}
        address = f"/external/v1/{self._agency}/authentication/login"
        status, body = await self._exchange("POST", address, account)
        if status in LOGIN_REFUSED:
            why = "it does not accept doorctl's account; see lms.user and lms.password_file"
            raise LibrarySystemError(why, spent=False)
        return Masked(_read(status, body, LoggedIn, spent=False).session_key)

    async def _exchange(
        self,
        method: str,
        address: str,
        content: Mapping[str, str] | None,
        session: Masked[str] | None = None,
        question: _Question | None = None,
    ) -> tuple[int, bytes]:
        async def note(event: str, _info: object) -> None:
            if question is not None and content and event.endswith("send_request_headers.started"):
                question.sent = True

        request = self._opened().build_request(
            method,
            address,
            content=None if content is None else msgspec.json.encode(content),
            headers=_headers(content, session),
            extensions={"trace": note},
        )
        response = await self._opened().send(request, stream=True)
        try:
            return response.status_code, await _body(response)
        finally:
            await response.aclose()

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                base_url=self._base,
                verify=self._context,
                trust_env=False,
                timeout=None,
                limits=httpx2.Limits(keepalive_expiry=KEPT_S),
            )
        return self._client


def _headers(content: object, session: Masked[str] | None) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if content is not None:
        headers["Content-Type"] = "application/json"
    if session is not None:
        headers["X-Session"] = session.reveal()
    return headers


async def _body(response: httpx2.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LONGEST_ANSWER_BYTES:
            return b""
    return body


def _read(status: int, body: bytes, kind: type[AnswerT], *, spent: bool) -> AnswerT:
    if status != httpx2.codes.OK:
        raise LibrarySystemError(f"it answers with HTTP status {status}", spent=spent)
    answer = read_answer(body, kind)
    if answer is None:
        raise LibrarySystemError("its answer is none that FBS gives; see lms.url", spent=spent)
    return answer
