"""Headers of every answer, requests refused before any page, and the answers to a push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doorctl.accounts.throttle import caller
from doorctl.core.errors import (
    DoorctlError,
    ProblemsError,
    PushConflictError,
    PushGuardedError,
    PushInvalidError,
    PushOutOfOrderError,
    PushTooLargeError,
    PushUnsignedError,
    RowsClashError,
    StoreError,
)

# Only headers decide what is refused. Checked against OWASP ASVS 5.0: V3.4 (headers), V3.5
# (requests of other sites), V14.3 (nothing personal is kept by a browser).

POLICY: Final = (
    "default-src 'none'; object-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
"""The policy: nothing inline, nothing of another host, and no frame of another site."""

ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)
NOT_KEPT: Final = "no-store"
STRICT_TRANSPORT: Final = "max-age=31536000; includeSubDomains"

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MACHINES: Final = "/v1/"
"""The senders' addresses: they have no browser's headers, and no session counts there."""

SCREEN: Final = "/panel"
"""A file on this machine opens this address by a form, which browsers take for another site's. The
form holds a secret, and gets only the screen's cookie."""

TWO_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
"""With both headers a server in front might see another end of the request (RFC 9112, 6.1)."""


def answer_headers(*, encrypted: bool) -> Mapping[str, str]:
    """Return the headers of every answer, by HTTPS or not."""
    transport = {"Strict-Transport-Security": STRICT_TRANSPORT} if encrypted else {}
    return {**ALWAYS, **transport}


class Headed:
    """An application whose every answer has :data:`ALWAYS`; `encrypted` says whether by HTTPS."""

    def __init__(self, app: ASGIApp, *, encrypted: bool) -> None:
        self._app = app
        self._headers = answer_headers(encrypted=encrypted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", NOT_KEPT)
            await send(message)

        await self._app(scope, receive, headed)


class SameOrigin:
    """An application that refuses what other sites send, and requests hidden in another request.

    A browser says by `Sec-Fetch-Site` which site sent a request, an older one by `Origin`. A client
    that sends neither is not a browser of staff, and can change nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests from our own pages, and refuse the rest."""
        app = self._app
        if scope["type"] == "http" and {name for name, _ in scope["headers"]} >= TWO_LENGTHS:
            app = PlainTextResponse("That has two lengths.", 400, {"Connection": "close"})
        elif scope["type"] == "http" and _strange(scope):
            app = PlainTextResponse("This request came from another site.", 403)
        await app(scope, receive, send)


def _strange(scope: Scope) -> bool:
    path = scope["path"]
    if scope["method"] in SAFE_METHODS or path == SCREEN or path.startswith(MACHINES):
        return False
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] != headers.get("host")


HERE: Final = frozenset(map(caller, ("127.0.0.1", "::1")))
"""The panel's addresses: no other machine can take their places."""

TOLD_PROBLEMS = 20
"""How many problems an answer names; the others mostly have the same reason."""

RETRY_AFTER_S = 5
"""Sent with each 503: longer than a push of changes, shorter than a coffee."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    # A push is rare, and a connection that ends is one that nobody can hold on to.
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a refused push is reported: by an HTTP status, and by `result` in answer and log.

    `alarm` is the alarm's kind, where staff have to look at it.
    """

    status: int
    result: str
    alarm: str | None = None

    def answer(
        self, cause: Exception | None = None, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        """Return it as JSON: `result`, and the cause's sentence or its first problems."""
        content: dict[str, Any] = {"error": self.result}
        if isinstance(cause, ProblemsError):
            content["problems"] = [str(problem) for problem in cause.problems[:TOLD_PROBLEMS]]
        elif isinstance(cause, DoorctlError):
            content["why"] = str(cause)
        later = {"Retry-After": str(RETRY_AFTER_S)} if self in {BUSY, STOPPING} else {}
        return JSONResponse(content, self.status, {**HEADERS, **later, **(headers or {})})


BUSY = Refusal(503, "busy")
STOPPING = Refusal(503, "stopping")
FAULT = Refusal(500, "fault")
NOT_FOUND = Refusal(404, "not_found")
UNCERTIFIED = Refusal(401, "uncertified")
WRONG_METHOD = Refusal(405, "wrong_method")

REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (PushUnsignedError, Refusal(401, "unsigned")),
    (PushConflictError, Refusal(409, "conflict", "push_conflict")),
    (PushOutOfOrderError, Refusal(409, "out_of_order")),
    (PushTooLargeError, Refusal(413, "too_large")),
    (PushGuardedError, Refusal(422, "guarded", "push_guarded")),
    (PushInvalidError, Refusal(422, "invalid")),
    (TimeoutError, Refusal(408, "too_slow")),
    (ClientDisconnect, Refusal(400, "cut_off")),
    (RowsClashError, Refusal(422, "invalid")),
    (StoreError, Refusal(500, "failed", "patron_cache_failing")),
)
"""The refusal of each error; the first match counts."""

REFUSED = tuple(kind for kind, _ in REFUSALS)


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal for one of :data:`REFUSED`."""
    return next(refusal for kind, refusal in REFUSALS if isinstance(error, kind))


def answer(content: Mapping[str, Any]) -> JSONResponse:
    """Return a 200."""
    return JSONResponse(dict(content), headers=HEADERS)


# Senders must show a certificate where there is an authority, browsers need not.

CERTIFIED: Final = "doorctl.certified"
"""A key of the scope: whether the other end has shown a certificate that the authority issued."""


def senders_certified(app: ASGIApp) -> ASGIApp:
    """Return the application that serves machine addresses only to senders with a certificate.

    The TLS handshake checks a certificate that is shown, and ends where it is bad.
    """

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        refused = scope["path"].startswith(MACHINES) and not scope.get(CERTIFIED, False)
        await (UNCERTIFIED.answer() if refused else app)(scope, receive, send)

    return answered


def shown(app: ASGIApp, *, certified: bool) -> ASGIApp:
    """Return an application whose scope says whether a certificate was shown on a connection."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CERTIFIED] = certified
        await app(scope, receive, send)

    return answered
