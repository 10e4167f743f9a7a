"""The web process's server: uvicorn with h11, with limits on connections that it does not have.

The only file that reaches into uvicorn: `tests/web/test_serving.py` fails where a release of
uvicorn has changed what is overridden or used here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

import h11
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from doorctl.accounts.throttle import caller
from doorctl.config.tables import Tls
from doorctl.web.headers import Headed, answer_headers
from doorctl.web.listener import HERE
from doorctl.web.push_answers import HEADERS
from doorctl.web.tls import PLAIN, refuse_unusable, shown, tls_options

STOP_LIMIT_S = 2
"""How long a push may still come in once the process stops; its sender comes again."""

MOST_STRANGERS = 192
"""Of the listener's `MOST_ACCEPTED`, after the handshake, without a certificate: beyond it the
answer is 503. The rest is for handshakes, and for senders who have shown one."""

HANDSHAKE_S = 5.0
"""Longest wait for TLS to begin, and to end."""

TOLD_EVERY_S = 60.0
"""In this time the log gets one line of each kind about connections, with their number."""

TOLD_BEGINNING = 24
"""Lines whose first characters are equal are of one kind; later ones may name a connection."""

CROWDED: Final = PlainTextResponse("Too many connections; come again later.", 503, HEADERS)

ALIVE_EVERY_S = 10

_LOGGERS: Final = ("asyncio", "uvicorn.error")


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
                **tls_options(tls),
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
