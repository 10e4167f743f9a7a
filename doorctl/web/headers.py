"""The headers of every answer, and the requests that are refused by their headers alone.

Checked against OWASP ASVS 5.0: V3.4 (headers), V3.5 (requests of other sites), V14.3 (nothing
personal is kept by a browser).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
