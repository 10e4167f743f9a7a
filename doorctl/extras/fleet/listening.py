"""What comes in by a branch's connection out to a NATS server: pushes, asked or left there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nats import errors

from doorctl.extras.fleet.connection import LOST
from doorctl.extras.fleet.keeping import ANSWER_S, KeptConnection, Use
from doorctl.extras.fleet.left import LeftTaken
from doorctl.extras.fleet.messages import (
    PUSHES,
    headers_of_next,
    headers_of_reply,
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
    from doorctl.extras.fleet.messages import Piece
    from doorctl.sources.branches import Reply
    from doorctl.sync.signing import SigningKey

MOST_MESSAGES: Final = 2 * MOST_UNDER_WAY
"""Messages that are answered at a time; those beyond are dropped, and their sender sends again."""

REFUSED_SUBJECT: Final = "the NATS server does not let this branch listen; see doorctl nats-config"


class Listener:
    """Takes pushes by one `connection`, which it keeps; `loop` is that of the web process."""

    def __init__(self, parts: PushParts, nats: WebNats, loop: AbstractEventLoop) -> None:
        self._branch, self._webs = parts.app.config.branch.id, loop
        self._nats = nats
        use = Use(
            table="web.nats",
            name=self._branch,
            alarm="nats_lost",
            refused=REFUSED_SUBJECT,
            begin=self._listen,
            go_on=self._take_left,
            spared=spared_of(self._branch),
        )
        self.connection = KeptConnection(nats, use, parts.app.clock, parts.log)
        self._transfers = Transfers(parts.senders, self.connection.answer)
        self._left = LeftTaken(parts.senders, self.connection.answer)

    async def _listen(self, client: Client) -> None:
        key = read_signing_key(self._nats.signing_key_file)
        answering = _Answering(self._branch, key, client, self._take)
        await client.subscribe(subject_of(self._branch), cb=answering.hear)

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
            await come(await client.request(reading(PUSHES, subject), b"", timeout=ANSWER_S))


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
