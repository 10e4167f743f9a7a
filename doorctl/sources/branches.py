"""A branch that is reached over HTTP: design section 5's three addresses, as seen by the sender."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import httpx2
import msgspec

from doorctl.core.asking import Talks, body_of, read_answer, trusting, unreached, waits
from doorctl.core.errors import InputError, KeyFileError
from doorctl.core.identity import owner_of
from doorctl.privacy.audit_chain import Head
from doorctl.sync.branch import Away, Held, OutOfOrder, Refused, Taken
from doorctl.sync.document import Kind
from doorctl.sync.exchange import Exchanged

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
class _Request:
    method: str
    path: str
    content: bytes | AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpBranch:
    """One branch over HTTP or HTTPS, below `url`; no proxy is used and no redirect followed.

    A request has a connection of its own, and `ask_total_s` or, for a push of no bytes, `apply_s`
    in all: a branch that sends a byte now and then must not keep the next run from every other.
    `question` is what :func:`~doorctl.sync.exchange.question_signed` makes for it.
    """

    def __init__(
        self,
        name: str,
        url: str,
        context: ssl.SSLContext,
        *,
        question: str = "",
        apply_s: float = APPLY_S,
        ask_s: float = ASK_S,
        ask_total_s: float = ASK_TOTAL_S,
    ) -> None:
        self.name = name
        self._by = {"Authorization": question} if question else {}
        self._url, self._context, self._talks = url.rstrip("/"), context, Talks()
        self._apply_s, self._ask_s, self._ask_total_s = apply_s, ask_s, ask_total_s

    def held(self) -> Held | Refused | Away:
        """See `Branch.held`."""
        answer = self._ask(_Request("GET", "/v1/patrons/epoch", headers=self._by), Held)
        if isinstance(answer, OutOfOrder):
            return Refused(answer.why)
        if not isinstance(answer, Held):
            return answer
        if answer.epoch > HIGHEST_EPOCH:
            return Refused(
                f"it holds push {answer.epoch}, a number that none of ours can follow; "
                "stop doorctl-web there and give it that of our last push: "
                "doorctl patrons renumber NUMBER"
            )
        head = None
        with suppress(InputError):  # A wrong one stops no push.
            head = str(Head.read(str(answer.audit_head)))
        return msgspec.structs.replace(answer, audit_head=head)

    def exchange(self, message: bytes) -> Exchanged | OutOfOrder | Refused | Away:
        """See `Branch.exchange`."""
        return self._ask(_Request("POST", "/v1/patrons/exchange", message), Exchanged)

    def send(self, content: BinaryIO, kind: Kind | None) -> Taken | OutOfOrder | Refused | Away:
        """See `Branch.send`."""
        method, path = ADDRESSES[kind]
        length = content.seek(0, SEEK_END)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Content-Length": str(length),
        }
        content.seek(0)

        async def pieces() -> AsyncIterator[bytes]:
            for piece in iter(partial(content.read, CHUNK_BYTES), b""):
                yield piece

        total_s = self._apply_s + length / SLOWEST_BYTES_S
        request = _Request(method, path, pieces(), headers)
        return self._call(request, Taken, self._apply_s, total_s)

    def _ask(self, request: _Request, part: type[AnswerT]) -> AnswerT | OutOfOrder | Refused | Away:
        return self._call(request, part, self._ask_s, self._ask_total_s)

    def _call(
        self, request: _Request, part: type[AnswerT], silence_s: float, total_s: float
    ) -> AnswerT | OutOfOrder | Refused | Away:
        limits = waits(total_s, silence_s, CONNECT_S)

        async def asking() -> AnswerT | OutOfOrder | Refused | Away:
            async with (
                httpx2.AsyncClient(
                    verify=self._context, trust_env=False, timeout=limits, headers=HEADERS
                ) as client,
                client.stream(
                    request.method,
                    self._url + request.path,
                    content=request.content,
                    headers=request.headers,
                ) as response,
            ):
                body = await body_of(response.aiter_raw(), LONGEST_ANSWER_BYTES)
                return _meaning(response, body or b"", part)

        try:
            return self._talks.within(total_s, asking)
        except (TimeoutError, ssl.SSLError, httpx2.TransportError) as error:
            return Away(unreached(error, "sync.targets"))


class UnaskedBranch:
    """A branch whose certificate files can't be used: it fails alone, and tells `why` each time."""

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

    def send(self, content: BinaryIO, kind: Kind | None) -> Refused:
        """See `Branch.send`."""
        _ = content, kind
        return self._refused


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


def _meaning(
    response: httpx2.Response, body: bytes, part: type[AnswerT]
) -> AnswerT | OutOfOrder | Refused | Away:
    status = response.status_code
    if status == httpx2.codes.OK:
        return read_answer(body, part) or Refused(
            "what answers there is no doorctl; see sync.targets"
        )
    why = _why(status, body)
    if status == httpx2.codes.CONFLICT:
        return OutOfOrder(why)
    if status in LATER:
        # A date is left to the sender's own pauses.
        wait = response.headers.get("Retry-After", "")
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
