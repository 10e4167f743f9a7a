"""A request's body, chunk by chunk: in time, within bounds, and never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from doorctl.errors import PushTooLargeError

DISCARDED_BYTES = 1024 * 1024
"""So much of a refused body is still read: closing before would reset the connection, and a sender
that is still writing might never see the answer (RFC 9112, section 9.6)."""

FIRST_LINE_S = 5.0
"""Longest wait for a push's first line, half a kilobyte: before it nobody vouches for the push."""

DISCARD_LIMIT_S = 2.0
"""Longest wait for what is only thrown away."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How much, and for how long, a sender may send.

    Args:
        max_bytes: that a body may say it has; what comes is counted by whoever takes it.
        chunk_s: longest silence.
        total_s: longest time for the whole body.
    """

    max_bytes: int
    chunk_s: float
    total_s: float


class Body:
    """The body of one request; belongs to the event loop."""

    def __init__(self, request: Request, patience: Patience) -> None:
        self._request = request
        self._patience = patience
        self._ended = False

    async def begin(self, enough: Callable[[bytes], bool], limit: asyncio.Timeout) -> list[bytes]:
        """Return the chunks up to the one after which there is enough, or all there are.

        Args:
            enough: is given each chunk.
            limit: for all of them; whoever has it may cut it short.

        Raises:
            PushTooLargeError: it says itself that it has more bytes than are taken.
            TimeoutError, ClientDisconnect: as :meth:`read`.
        """
        self._refuse_declared(self._patience.max_bytes)
        chunks: list[bytes] = []
        try:
            async with limit:
                while not self._ended:
                    chunks.append(await self._next(self._patience.chunk_s))
                    if enough(chunks[-1]):
                        break
        except (TimeoutError, asyncio.CancelledError):
            self._ended = True
            raise
        return chunks

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand each chunk that is left to `take`, until the last; after :meth:`begin`.

        Raises:
            TimeoutError: it comes too slowly.
            ClientDisconnect: the sender went away.
        """
        try:
            async with asyncio.timeout(self._patience.total_s):
                while not self._ended:
                    if chunk := await self._next(self._patience.chunk_s):
                        await take(chunk)
        except (TimeoutError, asyncio.CancelledError):
            # Whoever was waited for in vain is not waited for again.
            self._ended = True
            raise

    async def drain(self) -> None:
        """Throw away all that is left, so that a sender who is still writing sees the answer."""

        async def nowhere(_chunk: bytes) -> None:
            pass

        with suppress(TimeoutError, ClientDisconnect):
            await self.read(nowhere)

    async def discard(self) -> None:
        """Throw away what is left, up to a limit, so that the answer arrives."""
        left = DISCARDED_BYTES
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(DISCARD_LIMIT_S):
                while left > 0 and not self._ended:
                    left -= len(await self._next(DISCARD_LIMIT_S))

    async def _next(self, limit_s: float) -> bytes:
        async with asyncio.timeout(limit_s):
            message = await self._request.receive()
        # Once it has ended, the server would wait for the sender to hang up.
        self._ended = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        return chunk

    def _refuse_declared(self, limit: int) -> None:
        # The server has seen to it that it is a number, or that there is none.
        if int(self._request.headers.get("content-length", 0)) > limit:
            raise PushTooLargeError(
                f"the push has more than {limit} bytes; send changes, or see web.push.max_bytes"
            )
