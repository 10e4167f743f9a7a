"""What the clients of library systems that are asked over HTTP have in common."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import TypeVar

import httpx2
import msgspec

from doorctl.access.messages import LibraryReply
from doorctl.core.asking import ASK_JSON, body_of, read_answer, trusting, waits
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Masked
from doorctl.core.ports import Unshown
from doorctl.sources.library import Library, LmsT, Progress

AnswerT = TypeVar("AnswerT", bound=Unshown)

LONGEST_ANSWER_BYTES = 65_536
"""A person with addresses, notes and interests has 2 KiB."""

WRONG_ACCOUNT = "it does not accept doorctl's account; see lms.user and lms.password_file"

TALKATIVE = ("httpx2", "httpcore2")
"""Libraries that log each address and header below a warning: card numbers and sessions."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and a body; None for one that is too long. `cookies` are those that it sets."""

    status: int
    body: bytes | None = field(repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)

    def read(self, kind: type[AnswerT]) -> AnswerT | None:
        """Return what the body says; None where that is something else."""
        return None if self.body is None else read_answer(self.body, kind)


@dataclass(frozen=True, slots=True)
class Talk:
    """One question: its connection, and how far it got."""

    client: httpx2.AsyncClient
    progress: Progress


class HttpLibrary(Library[LmsT]):
    """A client over HTTP. Thread-safe; one session is kept, one login at a time.

    No proxy of the environment is used and no redirect followed. `system` is its name.
    """

    system: str

    def __init__(self, lms: LmsT, password: Masked[str]) -> None:
        super().__init__(lms, password)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
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
            return await self._question(Talk(client, progress), card, pin, row_wanted)

    @abstractmethod
    async def _question(self, talk: Talk, card: str, pin: str, row_wanted: bool) -> LibraryReply:
        """Ask by :meth:`_call`."""

    @abstractmethod
    async def _log_in(self, client: httpx2.AsyncClient) -> Masked[str]:
        """Return a new session, by :func:`exchange`."""

    @abstractmethod
    def _headers(self, session: Masked[str]) -> Mapping[str, str]:
        """Return what a request carries to show its session."""

    async def _call(
        self,
        talk: Talk,
        path: str,
        content: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Answer:
        """Return the answer to one request; content makes it a POST, which may have the PIN.

        A session that ran out is renewed, once in a question.
        """

        async def request(session: Masked[str]) -> Answer:
            shown = {**headers, **self._headers(session)}
            body = None if content is None else msgspec.json.encode(content)
            return await exchange(talk.client, path, body, shown, progress=talk.progress)

        session = await self._logged_in(talk.client, None)
        answer = await request(session)
        if answer.status != httpx2.codes.UNAUTHORIZED or talk.progress.renewed:
            return answer
        talk.progress.renewed = True
        renewed = await self._logged_in(talk.client, session)
        # A login by name and password at each request is none that could be renewed.
        return answer if renewed == session else await request(renewed)

    async def _logged_in(
        self, client: httpx2.AsyncClient, expired: Masked[str] | None
    ) -> Masked[str]:
        # It holds up this question's own thread alone, and is cancelled there when time is up.
        with self._logging_in:
            if self._session is None or self._session == expired:
                self._session = None
                self._session = await self._log_in(client)
            return self._session

    def _read(self, answer: Answer, kind: type[AnswerT], status: int = 200) -> AnswerT:
        """Return what an answer of that status says. LibrarySystemError: it is no such answer."""
        if answer.status != status:
            raise unexpected(answer)
        read = answer.read(kind)
        if read is None:
            raise failed(f"its answer is none that {self.system} gives; see lms.url")
        return read


def failed(why: str) -> LibrarySystemError:
    """Return an error; whether a PIN was sent before it is for :meth:`Library.ask` to say."""
    return LibrarySystemError(why, spent=True)


def unexpected(answer: Answer) -> LibrarySystemError:
    """Return what is said of a status that has no meaning here."""
    return failed(f"it answers with HTTP status {answer.status}")


async def exchange(
    client: httpx2.AsyncClient,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    progress: Progress | None = None,
) -> Answer:
    """Return the answer to one request; it is a POST where it has a body, of JSON unless told.

    `progress` hears when a body is on its way.
    """

    async def note(event: str, _info: object) -> None:
        if progress is not None and body and event.endswith("send_request_headers.started"):
            progress.sent = True

    kind = {} if body is None else {"Content-Type": "application/json"}
    async with client.stream(
        "GET" if body is None else "POST",
        path,
        content=body,
        headers={**ASK_JSON, **kind, **headers},
        extensions={"trace": note},
    ) as response:
        # No cookie goes with a later request by itself.
        client.cookies.clear()
        whole = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
        cookies = tuple(response.headers.get_list("Set-Cookie"))
        return Answer(response.status_code, whole, cookies)
