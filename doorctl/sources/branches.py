"""A branch as its sender asks it: the requests that every way carries, and the way by HTTP.

They go to design section 5's addresses.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from os import SEEK_END
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec

from doorctl.core.asking import Talks, body_of, read_answer, trusting, unreached, waits
from doorctl.core.errors import InputError, KeyFileError
from doorctl.core.identity import owner_of
from doorctl.privacy.audit_chain import Head
from doorctl.sync.branch import Away, Content, Held, OutOfOrder, Refused, Taken
from doorctl.sync.document import Kind
from doorctl.sync.exchange import Exchanged
from doorctl.sync.packing import Document

AnswerT = TypeVar("AnswerT")

CONNECT_S = 5.0
"""Longest wait for a connection."""

ASK_S, ASK_TOTAL_S = 10.0, 30.0
"""Longest silence before the answer to a request that costs the branch one read, and all of it."""

APPLY_S = 300.0
"""Longest silence before the answer to a push: a small Pi needs minutes for a whole register."""

SLOWEST_BYTES_S = 16_384
"""A push has :data:`APPLY_S` for its answer, and for its own bytes what such a line needs."""

LONGEST_ANSWER_BYTES = 65_536
"""An answer has 0.1 KiB, a refusal with its problems 2 KiB."""

LONGEST_WHY = 600
"""Most characters that we quote of a branch's own words."""

CHUNK_BYTES = 65_536

HEADERS = {"Accept-Encoding": "identity"}

ADDRESSES: dict[Kind | None, tuple[str, str]] = {
    "snapshot": ("PUT", "/v1/patrons"),
    "changes": ("POST", "/v1/patrons/changes"),
    None: ("POST", "/v1/patrons/rehearsal"),
}

LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may change at another try (RFC 9110); the others are final."""

MEANINGS = {
    401: "it does not accept our signature, or the push is for another branch",
    403: "it does not accept our certificate",
    404: "there is no doorctl at this address; see sync.targets",
    413: "the push is larger than it takes; see its web.push.max_rows and max_bytes",
    422: "it does not believe the push, or something in it is wrong",
}

HIGHEST_EPOCH = 2**53
"""The highest number that is believed; no branch counts so far, even by mistake."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a branch, however it travels; `headers` are HTTP's."""

    method: str
    path: str
    content: bytes | Content = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a branch answers: a status of HTTP, the header `Retry-After` or "", and the body."""

    status: int
    retry_after: str
    body: bytes


Failed = OutOfOrder | Refused | Away


class AskedBranch(ABC):
    """One branch, over a way of which a subclass knows how a request goes and its reply comes.

    A request that costs the branch one read has `ask_total_s` in all, or, for a push of no bytes,
    `apply_s`: a branch that sends a byte now and then must not keep the next run from every other.
    `question` is what :func:`~doorctl.sync.exchange.question_signed` makes for it.
    """

    def __init__(
        self,
        name: str,
        *,
        question: str = "",
        apply_s: float = APPLY_S,
        ask_s: float = ASK_S,
        ask_total_s: float = ASK_TOTAL_S,
    ) -> None:
        self.name = name
        self.talks = Talks()
        self._by = {"Authorization": question} if question else {}
        self._apply_s, self._ask_s, self._ask_total_s = apply_s, ask_s, ask_total_s

    keeps = False

    def leave(self, documents: Sequence[Document]) -> bool:
        """See `Branch.leave`; most ways have no such place."""
        _ = documents
        return False

    @abstractmethod
    def replied(self, request: Request, silence_s: float, total_s: float) -> Reply | Failed:
        """Return what the branch says in time: without a word for `silence_s`, it is away."""

    def held(self) -> Held | Refused | Away:
        """See `Branch.held`."""
        answer = self._ask(Request("GET", "/v1/patrons/epoch", headers=self._by), Held)
        if isinstance(answer, OutOfOrder):
            return Refused(answer.why)
        if not isinstance(answer, Held):
            return answer
        if answer.epoch > HIGHEST_EPOCH:
            return Refused(
                f"it holds push {answer.epoch}, a number that none of our pushes can follow; "
                "stop doorctl-web there and give it that of our last push: "
                "doorctl patrons renumber NUMBER"
            )
        head = None
        with suppress(InputError):  # A wrong one stops no push.
            head = str(Head.read(str(answer.audit_head)))
        return msgspec.structs.replace(answer, audit_head=head)

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """See `Branch.exchange`."""
        return self._ask(Request("POST", "/v1/patrons/exchange", message), Exchanged)

    def send(self, content: Content, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """See `Branch.send`."""
        method, path = ADDRESSES[kind]
        length = content.seek(0, SEEK_END)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Content-Length": str(length),
        }
        total_s = self._apply_s + length / SLOWEST_BYTES_S
        request = Request(method, path, content, headers)
        return _meaning(self.replied(request, self._apply_s, total_s), Taken)

    def _ask(self, request: Request, part: type[AnswerT]) -> AnswerT | Failed:
        return _meaning(self.replied(request, self._ask_s, self._ask_total_s), part)


class HttpBranch(AskedBranch):
    """One branch over HTTP or HTTPS, below `url`; no proxy is used and no redirect followed.

    A request has a connection of its own.
    """

    def __init__(self, name: str, url: str, context: ssl.SSLContext, **usual: Any) -> None:
        super().__init__(name, **usual)
        self._url, self._context = url.rstrip("/"), context

    def replied(self, request: Request, silence_s: float, total_s: float) -> Reply | Failed:
        """See `AskedBranch.replied`."""
        limits = waits(total_s, silence_s, CONNECT_S)
        content = request.content
        sent = content if isinstance(content, bytes) else _pieces(content)

        async def asking() -> Reply:
            async with (
                httpx2.AsyncClient(
                    verify=self._context, trust_env=False, timeout=limits, headers=HEADERS
                ) as client,
                client.stream(
                    request.method,
                    self._url + request.path,
                    content=sent or None,
                    headers=request.headers,
                ) as response,
            ):
                body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
                later = response.headers.get("Retry-After", "")
                return Reply(response.status_code, later, body or b"")

        try:
            return self.talks.within(total_s, asking)
        except (TimeoutError, ssl.SSLError, httpx2.TransportError) as error:
            return Away(unreached(error, "sync.targets"))


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    content.seek(0)
    for piece in iter(partial(content.read, CHUNK_BYTES), b""):
        yield piece


class UnaskedBranch:
    """A branch whose certificate files can't be used: it fails alone, and tells `why` each time."""

    keeps = False

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._refused = Refused(why)

    def held(self) -> Refused:
        """See `Branch.held`."""
        return self._refused

    def exchange(self, message: bytes) -> Refused:
        """See `Branch.exchange`."""
        _ = message
        return self._refused

    def send(self, content: Content, kind: Kind | None) -> Refused:
        """See `Branch.send`."""
        _ = content, kind
        return self._refused

    def leave(self, documents: Sequence[Document]) -> bool:
        """See `Branch.leave`."""
        _ = documents
        return False


def tls_context(ca_file: Path, certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return how a branch's certificate is checked and the sender's own, if any, is shown.

    Raises KeyFileError: one of the files can't be read or used.
    """
    context = trusting(ca_file)
    # A branch's own certificate, as pairing brings it, is trusted without its authority's.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if certificate_file != Path():
        try:
            # Without a password function OpenSSL would ask on the terminal.
            with owner_of(key_file.parent):
                context.load_cert_chain(certificate_file, key_file, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise KeyFileError(
                f"{certificate_file} and {key_file} are no certificate and its key in PEM"
            ) from error
    return context


def _meaning(reply: Reply | Failed, part: type[AnswerT]) -> AnswerT | Failed:
    if not isinstance(reply, Reply):
        return reply
    if reply.status == HTTPStatus.OK:
        return read_answer(reply.body, part) or Refused(
            "what answers there is no doorctl; see sync.targets"
        )
    why = _why(reply.status, reply.body)
    if reply.status == HTTPStatus.CONFLICT:
        return OutOfOrder(why)
    if reply.status in LATER:
        # A date is left to the sender's own pauses.
        wait = reply.retry_after
        return Away(why, float(wait) if wait.isascii() and wait.isdigit() else 0.0)
    return Refused(why)


def _why(status: int, body: bytes) -> str:
    own = _own_words(body)
    meaning = MEANINGS.get(status, f"it answers with HTTP status {status}")
    return f"{meaning} ({own})" if own else meaning


def _own_words(body: bytes) -> str:
    answer: dict[str, Any] = read_answer(body, dict[str, Any]) or {}
    problems = answer.get("problems")
    words = problems if isinstance(problems, list) else [answer.get("why") or answer.get("error")]
    text = "; ".join(word for word in words if isinstance(word, str))
    # The branch may be an impostor: no word of it may control a terminal or a log.
    return "".join(c for c in text if c.isprintable())[:LONGEST_WHY]
