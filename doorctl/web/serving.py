"""The HTTP server: uvicorn with h11, in one process, quiet, on a socket that is bound already."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from doorctl.errors import DeviceError, KeyFileError
from doorctl.web.certified import Shown

STOP_LIMIT_S = 2
"""So long a push that is still coming in has, once the process stops; its sender comes again."""

MOST_CONNECTIONS = 256
"""A browser needs six, a sender one; beyond it the answer is 503."""

MOST_OF_ONE = 64
"""Of one address, which may be a whole town hall's: beyond it a connection is closed unheard, so
that one machine can't keep everybody else out."""

ALIVE_EVERY_S = 10


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files for TLS.

    Args:
        certificate: the server's, with those above it.
        key: its private key, without a password.
        client_ca: whose certificates senders must show; None for nobody's. Whoever shows one has
            to show one of these; browsers show none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class ImpatientProtocol(H11Protocol):
    """Closes a connection on which no request begins in time; uvicorn would wait for ever.

    So it does one whose request was answered and still comes in: whoever drips is not listened to.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait, and note whether a certificate was shown."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        shown = tls is not None and bool(tls.getpeercert())
        self.app = Shown(self.app, certified=shown)
        self._patience = self.loop.call_later(self.timeout_keep_alive, self._lose_patience)
        if sum(_host(one) == _host(self) for one in self.connections) > MOST_OF_ONE:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._patience.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for what is left of an answered request, and not for ever."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._patience.cancel()
            limit_s, close = self.timeout_keep_alive, self._close_answered
            self._patience = self.loop.call_later(limit_s, close, self.cycle)

    def _close_answered(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def _lose_patience(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def _host(connection: object) -> str | None:
    client = getattr(connection, "client", None)
    return client[0] if client else None


class Server(uvicorn.Server):
    """Serve one application; belongs to the main thread, except :meth:`stop`.

    Args:
        app: the application.
        certificates: for TLS; None for plain HTTP.
        head_s: longest wait for the head of a request, rounded to seconds, at least 1.
        when_ready: called once it answers.
        when_stopping: called before it waits for what is still being answered: streams end then.
        alive: called every :data:`ALIVE_EVERY_S` by the loop that answers.

    Raises:
        KeyFileError: a certificate or its key can't be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        certificates: Certificates | None,
        *,
        head_s: float,
        when_ready: Callable[[], None],
        when_stopping: Callable[[], None],
        alive: Callable[[], None],
    ) -> None:
        async def notify() -> None:
            alive()

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
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=max(1, round(head_s)),
                timeout_graceful_shutdown=STOP_LIMIT_S,
                callback_notify=notify,
                timeout_notify=ALIVE_EVERY_S,
                **_tls(certificates),
            )
        )
        _load(self.config)
        self._when_ready = when_ready
        self._when_stopping = when_stopping

    def stop(self) -> None:
        """Take no more connections, finish what is under way and end. From a signal handler too."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, finish what is under way and end."""
        self._when_stopping()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Raises:
        DeviceError: the address can't be had.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address, family=family)
        # What it accepts inherits this, which asyncio sets on sockets of its own making only: an
        # answer's second piece would wait 40 ms for a browser's late acknowledgement (measured).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as err:
        raise DeviceError(
            f"{host} port {port} can't be listened on: {err.strerror}; see web.host and web.port"
        ) from err
    return listener


def _tls(certificates: Certificates | None) -> dict[str, Any]:
    if certificates is None:
        return {}
    authority = certificates.client_ca
    return {
        "ssl_certfile": certificates.certificate,
        "ssl_keyfile": certificates.key,
        "ssl_ca_certs": authority,
        "ssl_cert_reqs": ssl.CERT_NONE if authority is None else ssl.CERT_OPTIONAL,
    }


def _load(config: uvicorn.Config) -> None:
    for path in (config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs):
        _refuse_unreadable(path)
    try:
        config.load()
    except ssl.SSLError:
        raise KeyFileError(
            "the files of web.tls are no PEM or don't belong together: certificate_file, key_file "
            "(without a password), client_ca_file"
        ) from None


def _refuse_unreadable(path: str | os.PathLike[str] | None) -> None:
    try:
        if path is not None:
            Path(path).read_bytes()
    except OSError as err:
        raise KeyFileError(f"{path} can't be read: {err.strerror}; see web.tls") from err
