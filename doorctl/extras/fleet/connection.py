"""A connection to a NATS server: by TLS from its first byte, in bounds, never by itself anew.

A run of the sender has one for all branches, `SharedConnection`.

The only file that reaches into nats-py (2.16.0): `tests/extras/fleet/test_connection.py` fails
where a release has changed what is used here. Options and their defaults are those of
https://github.com/nats-io/nats.py/blob/v2.16.0/nats/src/nats/aio/client.py .
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from nats import errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from doorctl.core.asking import GRACE_S, read_password, unreached
from doorctl.extras.fleet.messages import MOST_MESSAGE_BYTES
from doorctl.sources.branches import tls_context

if TYPE_CHECKING:
    from urllib.parse import ParseResult

    from doorctl.core.masked import Masked
    from doorctl.extras.fleet import Nats

T = TypeVar("T")

CONNECT_S: Final = 5
PING_S: Final = 20
"""A server that does not answer two of these is gone."""

LOST = (OSError, ValueError, TimeoutError, errors.Error)
"""What a connection fails by."""

MOST_REFUSALS: Final = 1000
"""Sentences of a server that are kept."""

OWN_WORDS = {
    errors.NoRespondersError: "it is not connected to the NATS server",
    errors.AuthorizationError: "the NATS server does not accept who we are",
    errors.ConnectionClosedError: "the NATS server has ended the connection",
    errors.ProtocolError: "what answers there is no NATS server",
}


class Bounded(Parser):
    """Refuses what is longer than any message of ours; nats-py would keep whatever is announced."""

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read; ProtocolError: it is too long, and the connection ends."""
        await super().parse(data)
        if max(self.needed, len(self.buf)) > 2 * MOST_MESSAGE_BYTES:
            raise errors.ProtocolError


@dataclass(frozen=True, slots=True)
class Link:
    """How to reach the servers; each try begins with the first of them.

    Answers to this machine's own requests go below `inbox`, which others may not hear. A server may
    refuse subjects that begin as one of `spared`: it was configured before they were needed.
    """

    servers: tuple[str, ...]
    context: ssl.SSLContext | None
    user: str = ""
    password: Masked[str] | None = None
    inbox: str = "_INBOX"
    spared: tuple[str, ...] = ()


def link_of(nats: Nats) -> Link:
    """Read the files of [sync.nats] or [web.nats]; raises KeyFileError."""
    encrypted = any(server.startswith("tls:") for server in nats.servers)
    files = nats.ca_file, nats.certificate_file, nats.key_file
    password = read_password(nats.password_file) if nats.user else None
    context = tls_context(*files) if encrypted else None
    return Link(nats.servers, context, nats.user, password)


class OneKind(TcpTransport):
    """Encrypted from the first byte or never, whatever a server says of itself.

    nats-py would begin in the clear and ask the server, and so whoever poses as one.
    """

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._context = context

    def __bool__(self) -> bool:
        """Tell that it is there; else nats-py makes one of its own."""
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Open it, by TLS where there is a context."""
        opening = asyncio.open_connection(
            uri.hostname, uri.port, limit=buffer_size, ssl=self._context
        )
        self._io_reader, self._io_writer = await asyncio.wait_for(opening, connect_timeout)

    async def connect_tls(self, *_: object) -> None:
        """Stay as it is."""


class BoundClient(Client):
    """nats-py's, with the parts above in place of its own, for which it has no parameters."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._ps = Bounded(self)
        self._transport = OneKind(context)

    async def _select_next_server(self) -> None:
        # The one there is, once; nats-py would try sixty times, and keep why.
        (self._current_server,) = self._server_pool
        await self._connect_to_server(self._current_server)


class Connection:
    """A connection that stands, or did: `ended` is set when it does, or a subject is refused.

    `refusals` are the server's own sentences about subjects that it refuses, in small letters.
    """

    def __init__(self, server: str, link: Link) -> None:
        self._server, self._link = server, link
        self.client = BoundClient(link.context if server.startswith("tls:") else None)
        self.ended = asyncio.Event()
        self.refusals: list[str] = []

    @property
    def servers(self) -> tuple[str, ...]:
        """All servers that are known here, of which this is a connection to one."""
        return self._link.servers

    @property
    def refused(self) -> bool:
        """Whether a subject is refused that is not spared."""
        spared = tuple(f'"{subject.lower()}' for subject in self._link.spared)
        return any(not any(start in said for start in spared) for said in self.refusals)

    def refuses(self, subject: str) -> bool:
        """Tell whether this subject is."""
        return any(f'"{subject.lower()}"' in said for said in self.refusals)

    async def begin(self) -> None:
        """Connect; raises one of :data:`LOST`."""
        link = self._link
        try:
            await self.client.connect(
                [self._server],
                error_cb=self._failed,
                closed_cb=self._closed,
                allow_reconnect=False,
                connect_timeout=CONNECT_S,
                ping_interval=PING_S,
                user=link.user or None,
                password=None if link.password is None else link.password.reveal(),
                inbox_prefix=link.inbox,
            )
        except (AttributeError, TypeError, LookupError, AssertionError) as error:
            # nats-py stumbles over a first line that is JSON and not what a server says.
            raise errors.ProtocolError from error

    async def _failed(self, error: Exception) -> None:
        said = str(error).lower()
        if "permissions violation" in said and len(self.refusals) < MOST_REFUSALS:
            self.refusals.append(said)
            if self.refused:
                self.ended.set()

    async def _closed(self) -> None:
        self.ended.set()


@asynccontextmanager
async def connected(link: Link) -> AsyncIterator[Connection]:
    """Connect to the first server that can be had, until the end of the block; once.

    Raises one of :data:`LOST`: no server can be had.
    """
    failed: Exception = errors.NoServersError()
    for server in link.servers:
        connection = Connection(server, link)
        try:
            try:
                await connection.begin()
            except LOST as error:
                failed = error
                continue
            yield connection
        finally:
            await connection.client.close()
        return
    raise failed


class SharedConnection:
    """One connection for all that a run of the sender asks; thread-safe.

    It is made when it is needed first, on a thread and an event loop of its own, and anew once it
    was lost.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._guard, self._turn = threading.Lock(), asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._standing: Connection | None = None
        self._stack = AsyncExitStack()

    def within(self, limit_s: float, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Return or raise what `work` does with the connection.

        Raises one of :data:`LOST`; of these TimeoutError where the limit was reached, and `work`
        was cancelled.
        """

        async def limited() -> T:
            async with asyncio.timeout(limit_s):
                return await work(await self._connection())

        future = asyncio.run_coroutine_threadsafe(limited(), self._running())
        try:
            return future.result(limit_s + GRACE_S)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """End it; idempotent, and nothing is asked afterwards."""
        with self._guard:
            loop, self._loop = self._loop, None
        if loop is not None:
            ending = asyncio.run_coroutine_threadsafe(self._stack.aclose(), loop)
            with suppress(*LOST):
                ending.result(CONNECT_S)
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A name lookup that hangs must not keep the run from its end.
                threading.Thread(target=_run, args=(self._loop,), name="nats", daemon=True).start()
            return self._loop

    async def _connection(self) -> Connection:
        async with self._turn:
            if self._standing is None or self._standing.client.is_closed:
                await self._stack.aclose()
                self._standing = None
                self._standing = await self._stack.enter_async_context(connected(self._link))
            return self._standing


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def why_lost(error: BaseException, table: str) -> str:
    """Return why a connection fails, without a word of the server's."""
    for kind, words in OWN_WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, errors.Error) and not isinstance(error, TimeoutError):
        # Its text is the server's, but for what it is about.
        refused = "authorization" in str(error).lower()
        return OWN_WORDS[errors.AuthorizationError if refused else errors.ProtocolError]
    return f"the NATS server: {unreached(error, table)}"
