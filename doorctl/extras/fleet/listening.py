"""A branch's connection out to a NATS server, on a thread of its own, and what comes in by it.

The door has no part in it. While there is no server pages and pushes over HTTP go on; one log line
says that it is lost and one that it is back, and an alarm stands once it was lost for long.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nats import errors

from doorctl.core.errors import KeyFileError
from doorctl.core.ports import AlarmOnce
from doorctl.extras.fleet.connection import CONNECT_S, LOST, OWN_WORDS, connected, link_of, why_lost
from doorctl.extras.fleet.left import LeftTaken
from doorctl.extras.fleet.messages import (
    PUSHES,
    headers_of_next,
    headers_of_reply,
    inbox_of,
    pushes_of,
    read_piece,
    reading,
    spared_of,
    subject_of,
)
from doorctl.extras.fleet.transfers import MOST_UNDER_WAY, Transfers
from doorctl.store.signing_keys import read_signing_key

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from doorctl.extras.extra import PushParts
    from doorctl.extras.fleet import WebNats
    from doorctl.extras.fleet.connection import Connection
    from doorctl.extras.fleet.messages import Piece
    from doorctl.sources.branches import Reply
    from doorctl.sync.signing import SigningKey

ALARM_AFTER_S: Final = 900.0
"""A server that is restarted or renewed is back before; a run of the sender is told anyway."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two tries, twice as long each time; shared out by chance, for all branches lose it at
the same moment."""

CHANCE = secrets.SystemRandom()

STEADY_S: Final = 60.0
"""A connection that lasted so long begins the pauses anew."""

MOST_MESSAGES: Final = 2 * MOST_UNDER_WAY
"""Messages that are answered at a time; those beyond are dropped, and their sender sends again."""

FETCH_S: Final = 10.0
"""Longest wait for what lies at the server, a piece of it at a time."""

ENDED: Final = OWN_WORDS[errors.ConnectionClosedError]
REFUSED_SUBJECT: Final = "the NATS server does not let this branch listen; see doorctl nats-config"


class Listener:
    """Keeps one connection while it can; `loop` is that of the web process."""

    def __init__(self, parts: PushParts, nats: WebNats, loop: AbstractEventLoop) -> None:
        self._branch, self._clock, self._log = parts.config.branch.id, parts.clock, parts.log
        self._nats, self._webs = nats, loop
        self._transfers = Transfers(parts.app, self._fetched)
        self._left = LeftTaken(parts.app, self._fetched)
        self._alarm = AlarmOnce(parts.log, "nats_lost")
        self._pause_s = FIRST_PAUSE_S
        self._stopping = threading.Event()
        self._own: tuple[AbstractEventLoop, Connection] | None = None
        self._connected: bool | None = None
        self._lost_s = parts.clock.monotonic_s()

    def turn(self) -> None:
        """Hold one connection from its beginning to its end, and pause after it."""
        if self._stopping.is_set():
            return
        began_s = self._clock.monotonic_s()
        try:
            why = asyncio.run(self._held())
        except KeyFileError as error:
            why = str(error)
        except LOST as error:
            why = why_lost(error, "web.nats")
        if self._stopping.is_set():
            return
        self._tell_lost(why)
        if self._clock.monotonic_s() - began_s >= STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        self._stopping.wait(self._pause_s * CHANCE.uniform(0.5, 1.0))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the connection and make no other. From any thread."""
        self._stopping.set()
        own = self._own
        if own is not None:
            # It may have ended in this moment.
            with suppress(RuntimeError):
                own[0].call_soon_threadsafe(own[1].ended.set)

    async def _held(self) -> str:
        """Listen until the connection ends; return why it did."""
        # Read each time: a certificate may have been renewed meanwhile.
        link = replace(
            link_of(self._nats), inbox=inbox_of(self._branch), spared=spared_of(self._branch)
        )
        key = read_signing_key(self._nats.signing_key_file)
        async with connected(link) as connection:
            self._own = asyncio.get_running_loop(), connection
            answering = _Answering(self._branch, key, connection.client, self._take)
            client = connection.client
            await client.subscribe(subject_of(self._branch), cb=answering.hear)
            # nats-py's first question goes before what waits; only the second comes back after it.
            await client.flush(CONNECT_S)
            await client.flush(CONNECT_S)
            if not connection.refused and not self._stopping.is_set():
                self._tell_connected()
                await self._take_left(client)
                await connection.ended.wait()
            return REFUSED_SUBJECT if connection.refused else ENDED

    async def _take(self, piece: Piece) -> Reply | int | None:
        if self._webs.is_closed():
            return None
        taking = asyncio.run_coroutine_threadsafe(self._transfers.take(piece), self._webs)
        return await asyncio.wrap_future(taking)

    async def _take_left(self, client: Client) -> None:
        """Take what lies at the server for this branch, now and whenever it is replaced."""
        subject = pushes_of(self._branch)

        async def come(message: Msg) -> None:
            if not self._webs.is_closed():
                self._webs.call_soon_threadsafe(self._left.come, message.data)

        await client.subscribe(subject, cb=come)
        # A server without streams has no such place, and one of an older configuration forbids it.
        with suppress(errors.NoRespondersError, errors.TimeoutError):
            await come(await client.request(reading(PUSHES, subject), b"", timeout=FETCH_S))

    async def _fetched(self, subject: str) -> Msg:
        """Return the server's answer to a request of this branch's; raises one of `LOST`.

        Called on the web process's loop, which goes on when this connection's ends.
        """
        own = self._own
        if own is None or own[0].is_closed():
            raise errors.ConnectionClosedError
        loop, connection = own
        request = connection.client.request(subject, b"", timeout=FETCH_S)
        asking = asyncio.run_coroutine_threadsafe(request, loop)
        try:
            return await asyncio.wrap_future(asking)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise errors.ConnectionClosedError from None

    def _tell_connected(self) -> None:
        self._connected = True
        self._log.emit("nats", state="connected")
        self._alarm.tell(None)

    def _tell_lost(self, why: str) -> None:
        now_s = self._clock.monotonic_s()
        if self._connected is not False:
            self._connected, self._lost_s = False, now_s
            self._log.emit("nats", state="lost", why=why)
        if now_s - self._lost_s >= ALARM_AFTER_S:
            self._alarm.tell(why)


class _Answering:
    """Answers what comes by one connection, several messages at a time."""

    def __init__(
        self,
        branch: str,
        key: SigningKey,
        client: Client,
        take: Callable[[Piece], Awaitable[Reply | int | None]],
    ) -> None:
        self._branch, self._key, self._client, self._take = branch, key, client, take
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, message: Msg) -> None:
        """Begin to answer a message; what is no piece of a request gets no answer."""
        piece = read_piece(message.headers, message.data)
        if piece is None or not message.reply or len(self._tasks) >= MOST_MESSAGES:
            return
        task = asyncio.create_task(self._answer(message.reply, piece))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, to: str, piece: Piece) -> None:
        taken = await self._take(piece)
        # A connection that has ended loses what is said; the sender asks again by the next.
        with suppress(*LOST):
            if isinstance(taken, int):
                await self._client.publish(to, headers=headers_of_next(taken))
            elif taken is not None:
                headers = headers_of_reply(piece.question, self._branch, taken, self._key)
                await self._client.publish(to, taken.body, headers=headers)
