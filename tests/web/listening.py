"""Whoever listens to a stream, without a network: the application is called as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec

from starlette.types import ASGIApp, Message, Scope

from tests.fakes.waiting import LIMIT_S


@dataclass
class Listener:
    """`stuck`: it takes no event after the first; `told`: what came, as it came."""

    app: ASGIApp
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    stuck: bool = False
    client: str = "127.0.0.1"
    status: int = 0
    told: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Listen until the stream ends or the browser goes."""
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "scheme": "http",
            "headers": self.headers,
            "client": (self.client, 50000),
            "server": ("testserver", 80),
            "http_version": "1.1",
        }
        await self.app(scope, self._receive, self._send)

    async def next(self) -> str:
        """Return what is told next."""
        async with asyncio.timeout(LIMIT_S):
            return await self.told.get()

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["body"]:
            await self.told.put(message["body"].decode())
        if self.stuck and message.get("body", b"").startswith(b"event"):
            await asyncio.Event().wait()


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[asyncio.Task[None]]:
    """Listen for a while; the browser goes at the end."""
    task = asyncio.create_task(listener.run())
    try:
        yield task
    finally:
        listener.gone.set()
        async with asyncio.timeout(LIMIT_S):
            await task


P = ParamSpec("P")


def played(scene: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Play a test to its end, and not for ever."""

    @wraps(scene)
    def play(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(scene(*args, **kwargs), 3 * LIMIT_S))

    return play
