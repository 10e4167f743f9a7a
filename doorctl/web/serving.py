"""The web process's server, uvicorn with h11 on a bound socket, and its application.

With the headers of every answer, what is refused before any page, and the answers to a push.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from doorctl.accounts.throttle import caller
from doorctl.config.tables import Tls
from doorctl.core.errors import (
    DeviceError,
    DoorctlError,
    KeyFileError,
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
from doorctl.web.frame import STREAM

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

HEADERS: Final = {"Connection": "close"}
"""A push is rare, and a connection that ends is one that nobody can hold on to."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a refused push is reported: by an HTTP status, and by `result` in answer and log.

    `alarm` is the alarm's kind, where staff have to look at it.
    """

    status: int
    result: str
    alarm: str | None = None

    def answer(
        self, cause: BaseException | None = None, headers: Mapping[str, str] | None = None
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


class BusyError(Exception):
    """Another push is coming in, or the branch's own file can't be read now."""


REFUSALS: tuple[tuple[type[BaseException], Refusal], ...] = (
    (BusyError, BUSY),
    # Only a process that stops cancels; the sender is asked to come again.
    (asyncio.CancelledError, STOPPING),
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


def refusal_of(error: BaseException) -> Refusal:
    """Return the refusal for one of :data:`REFUSED`."""
    return next(refusal for kind, refusal in REFUSALS if isinstance(error, kind))


def answer(content: Mapping[str, Any]) -> JSONResponse:
    """Return a 200."""
    return JSONResponse(dict(content), headers=HEADERS)


# Senders must show a certificate where there is an authority, browsers need not.

CERTIFIED: Final = "doorctl.certified"
"""A key of the scope: whether the other end has shown a certificate that the authority issued."""


def certified_only(app: ASGIApp) -> ASGIApp:
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


STOP_LIMIT_S = 2
"""How long a push may still come in once the process stops; its sender comes again."""

MOST_OF_ONE = 64
"""Connections of one address, or one IPv6 network of 64 bits, which may be a whole town hall's:
beyond it a connection is closed unheard, so that one machine can't keep everybody else out."""

MOST_ACCEPTED = 320
"""Connections of all addresses but this machine's, TLS or not yet; each may cost 256 KB once TLS
begins."""

MOST_STRANGERS = 192
"""Of these, after the handshake, without a certificate: beyond it the answer is 503. The rest is
for handshakes, and for senders who have shown one."""

SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all as good, and are preferred."""

HANDSHAKE_S = 5.0
"""Longest wait for TLS to begin, and to end."""

TOLD_EVERY_S = 60.0
"""In this time the log gets one line of each kind about connections, with their number."""

TOLD_BEGINNING = 24
"""Lines whose first characters are equal are of one kind; later ones may name a connection."""

CROWDED: Final = PlainTextResponse("Too many connections; come again later.", 503, HEADERS)

ALIVE_EVERY_S = 10

_LOGGERS: Final = ("asyncio", "uvicorn.error")

PLAIN: Final = Tls()
"""No certificate: plain HTTP."""


class ImpatientProtocol(H11Protocol):
    """Closes a connection on which no request begins in time; uvicorn would wait for ever.

    It also closes a connection whose request still comes in long after its answer, and one whose
    answer is not read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the wait for a request, and note whether a certificate was shown."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certified = tls is not None and bool(tls.getpeercert())
        here = self.client is not None and caller(self.client[0]) in HERE
        self.stranger = not (certified or here)
        strangers = sum(getattr(connection, "stranger", False) for connection in self.connections)
        crowded = self.stranger and strangers > MOST_STRANGERS
        self._encrypted = tls is not None
        full = Headed(CROWDED, encrypted=self._encrypted)
        self.app = full if crowded else shown(self.app, certified=certified)
        self._patience = self.loop.call_later(self.timeout_keep_alive, self._lose_patience)
        # `pause_writing` is called for every byte that waits for its reader, and not only after 64
        # KB.
        transport.set_write_buffer_limits(high=1, low=0)
        self._unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End all waits."""
        self._patience.cancel()
        self._all_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the reader, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, because all was read."""
        self._all_read()
        super().resume_writing()

    def _all_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def on_response_complete(self) -> None:
        """Wait for the rest of an answered request, but not for ever."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._patience.cancel()
            limit_s, close = self.timeout_keep_alive, self._close_answered
            self._patience = self.loop.call_later(limit_s, close, self.cycle)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP as uvicorn does, with the headers of every answer."""
        kind = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        headers = {**kind, **answer_headers(encrypted=self._encrypted)}
        for event in (
            h11.Response(status_code=400, headers=[*headers.items()]),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _close_answered(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def _lose_patience(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


class Listener(socket.socket):
    """Takes connections while there is room, and closes any other before TLS.

    A protocol learns of a connection only after the handshake, so it can't count earlier ones.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self._taken: Counter[str] = Counter()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, whose place is free again once it is closed.

        Raises ConnectionAbortedError where it was closed: asyncio goes on to the next one.
        """
        accepted, address = super().accept()
        host = caller(address[0])
        others = sum(count for other, count in self._taken.items() if other not in HERE)
        if self._taken[host] >= MOST_OF_ONE or (host not in HERE and others >= MOST_ACCEPTED):
            accepted.close()
            raise ConnectionAbortedError
        self._taken[host] += 1
        return _Accepted(accepted.detach(), self._taken, host), address


class _Accepted(socket.socket):
    def __init__(self, fileno: int, taken: Counter[str], host: str) -> None:
        super().__init__(fileno=fileno)
        self._place: tuple[Counter[str], str] | None = taken, host

    def close(self) -> None:
        super().close()
        if self._place is not None:
            taken, host = self._place
            self._place = None
            taken[host] -= 1
            if not taken[host]:
                del taken[host]


class Rationed(logging.Filter):
    """Lets one line of a kind through each :data:`TOLD_EVERY_S`, so that no client can fill a log.

    `seconds` is a monotonic clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds
        self._written: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line goes out; add to it how many of its kind did not."""
        kind = str(record.msg)[:TOLD_BEGINNING], record.exc_info and record.exc_info[0]
        now_s = self._seconds()
        written_s, kept = self._written.get(kind, (float("-inf"), 0))
        if now_s - written_s < TOLD_EVERY_S:
            self._written[kind] = written_s, kept + 1
            return False
        self._written[kind] = now_s, 0
        if kept:
            record.msg = f"{record.msg} ({kept} more since the last such line)"
        return True


class Server(uvicorn.Server):
    """Serve one application; belongs to the main thread, except :meth:`stop`.

    The loop that answers calls `alive` every :data:`ALIVE_EVERY_S`. `head_s` is the longest wait
    for the head of a request, and for a piece of an answer to be read; whole seconds, at least 1.
    `when_stopping` is called before it waits for what is still being answered: streams end then.
    Raises KeyFileError where a certificate or its key can't be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tls: Tls = PLAIN,
        head_s: float,
        when_ready: Callable[[], None],
        when_stopping: Callable[[], None],
        alive: Callable[[], None],
    ) -> None:
        async def notify() -> None:
            alive()

        refuse_unusable(tls)
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=ImpatientProtocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(head_s)),
                timeout_graceful_shutdown=STOP_LIMIT_S,
                callback_notify=notify,
                timeout_notify=ALIVE_EVERY_S,
                **_tls(tls),
            )
        )
        self.config.load()
        self._when_ready = when_ready
        self._when_stopping = when_stopping

    def stop(self) -> None:
        """Take no more connections, finish what is under way and end. From a signal handler too."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, as uvicorn does but for the limit on handshakes, which it can't set."""
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        limit_s = HANDSHAKE_S if tls else None
        self._rationed = Rationed(loop.time)
        for logger in _LOGGERS:
            logging.getLogger(logger).addFilter(self._rationed)

        def protocol() -> ImpatientProtocol:
            return ImpatientProtocol(self.config, self.server_state, {}, loop)

        self.servers = [
            await loop.create_server(
                protocol,
                sock=sock,
                ssl=tls,
                backlog=self.config.backlog,
                ssl_handshake_timeout=limit_s,
                ssl_shutdown_timeout=limit_s,
            )
            for sock in sockets or ()
        ]
        self.started = True
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, finish what is under way and end."""
        self._when_stopping()
        await super().shutdown(sockets)
        for logger in _LOGGERS:
            logging.getLogger(logger).removeFilter(self._rationed)


def listen(host: str, port: int) -> Listener:
    """Return a bound socket. Raises DeviceError: the address can't be had."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        listener = Listener(socket.create_server(address, family=family).detach())
        # What it accepts inherits this, which asyncio sets on sockets of its own making only: an
        # answer's second piece would wait 40 ms for a browser's late acknowledgement (measured).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as err:
        raise DeviceError(
            f"{host} port {port} can't be listened on: {err.strerror}; see web.host and web.port"
        ) from err
    return listener


def authority_of(tls: Tls) -> Path | None:
    """Return whose certificates senders must show; None where they need none."""
    return None if tls.client_ca_file == Path() else tls.client_ca_file


def _tls(tls: Tls) -> dict[str, Any]:
    if not tls.wanted:
        return {}
    authority = authority_of(tls)
    # Browsers show none; a certificate that is shown has to be of this authority.
    return {
        "ssl_certfile": tls.certificate_file,
        "ssl_keyfile": tls.key_file,
        "ssl_ca_certs": authority,
        "ssl_ciphers": SUITES,
        "ssl_cert_reqs": ssl.CERT_OPTIONAL if authority else ssl.CERT_NONE,
    }


def refuse_unusable(tls: Tls) -> None:
    """Load the files of web.tls and keep nothing.

    Raises KeyFileError: one can't be used; says which, as far as it is known.
    """
    if not tls.wanted:
        return
    authority = authority_of(tls)
    for path in filter(None, (tls.certificate_file, tls.key_file, authority)):
        try:
            path.read_bytes()
        except OSError as err:
            raise KeyFileError(f"{path} can't be read: {err.strerror}; see web.tls") from err
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
        if authority is not None:
            context.load_verify_locations(authority)
    except ssl.SSLError:
        raise KeyFileError(
            "the files of web.tls are no PEM or don't belong together: certificate_file, key_file "
            "(without a password), client_ca_file"
        ) from None


# The web process's addresses, as an ASGI application: pushes for machines, pages for people.

Missing = Callable[[Request, int], Awaitable[Response]]


def application(
    routes: Iterable[BaseRoute], *, missing: Missing, encrypted: bool, senders_certified: bool
) -> ASGIApp:
    """Return the application; it answers 404 to an unknown address and 405 to a wrong method.

    `missing` makes the page for an unknown address; `encrypted` says whether browsers use HTTPS.
    """
    app = Starlette(
        routes=list(routes),
        exception_handlers={HTTPException: partial(_refused, missing), Exception: _faulty},
    )
    app.router.redirect_slashes = False
    inner: ASGIApp = certified_only(app) if senders_certified else app
    return Headed(SameOrigin(inner), encrypted=encrypted)


async def _refused(missing: Missing, request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - that's what it is registered for
    if not request.scope["path"].startswith(MACHINES):
        if error.status_code == NOT_FOUND.status:
            return await missing(request, NOT_FOUND.status)
        return _plain_page(error.status_code, error.headers)
    refusal = WRONG_METHOD if error.status_code == WRONG_METHOD.status else NOT_FOUND
    return refusal.answer(headers=error.headers)


async def _faulty(request: Request, _error: Exception) -> Response:
    # A bug of ours: the traceback goes to the journal, the caller learns no more than that.
    if not request.scope["path"].startswith(MACHINES):
        return _plain_page(HTTPStatus.INTERNAL_SERVER_ERROR)
    return FAULT.answer()


_SAID = {
    405: ("Det kan siden ikke", "The page can't do that"),
    500: ("Fejl i anlægget", "A fault in the system"),
}


def _plain_page(status: int, headers: object = None) -> Response:
    danish, english = _SAID.get(status, ("Det lykkedes ikke", "That did not work"))
    page = (
        f'<!DOCTYPE html><html lang="da"><meta charset="utf-8"><title>{danish}</title>'
        f'<main><h1>{danish}</h1><p lang="en">{english}</p><p><a href="/">doorctl</a></p></main>'
    )
    allowed = dict(headers) if isinstance(headers, dict) else None
    return HTMLResponse(page, status, allowed)


SEND_S: Final = 10.0
"""The longest that a browser may take for an event."""


class EventStream(StreamingResponse):
    """Events for a page of an account, which is counted in `clients` while they are sent.

    It ends where the browser takes longer than `send_s` for one.
    """

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        clients: Counter[str],
        account: str = "",
        send_s: float = SEND_S,
    ) -> None:
        super().__init__(events, media_type=STREAM, headers={"X-Accel-Buffering": "no"})
        self._events, self._send_s = events, send_s
        self._clients, self._account = clients, account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends or the browser goes."""
        self._clients[self._account] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._clients[self._account] -= 1
            self._clients += Counter()  # Accounts without any are forgotten.

    async def stream_response(self, send: Send) -> None:
        """Send the head and the events."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                try:
                    async with asyncio.timeout(self._send_s):
                        await send(_body(event.encode(), more=True))
                except TimeoutError:
                    # An end could not be sent either; the server closes a stream that has none.
                    return
        await send(_body(b"", more=False))


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}
