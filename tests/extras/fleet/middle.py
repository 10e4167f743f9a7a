"""A captured server: all that goes between a sender and a branch goes through it, as it likes.

Two real servers, and between them a client that hears everything of the first and says it, or
something else, at the second.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from nats import errors
from nats.aio.client import Client

from doorctl.extras.fleet.messages import subject_of
from tests.extras.fleet.nats_server import NatsServer
from tests.fakes.waiting import LIMIT_S, until

Said = tuple[dict[str, str], bytes]
"""Headers and bytes of one message."""

Tamper = Callable[[Said, list[Said]], list[Said]]
"""What it makes of a message to the branch, knowing all that went before: what goes on instead."""

Lie = Callable[[Said, Said], Said]
"""What it makes of a reply, knowing what it is to."""


def faithfully(said: Said, _before: list[Said]) -> list[Said]:
    """Pass a message on as it is."""
    return [said]


def honestly(_said: Said, reply: Said) -> Said:
    """Pass a reply on as it is."""
    return reply


@dataclass
class Middle:
    """What a test sets: how it tampers and lies. `seen` is all that a sender has said."""

    branch: str
    tamper: Tamper = faithfully
    lie: Lie = honestly
    seen: list[Said] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _there: Client | None = None

    def say(self, said: Said) -> Said:
        """Say something to the branch, and return its answer."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._ask(said), self._loop).result(LIMIT_S)

    async def _ask(self, said: Said) -> Said:
        assert self._there is not None
        headers, data = said
        answer = await self._there.request(subject_of(self.branch), data, 20, headers=headers)
        return dict(answer.headers or {}), answer.data

    async def _pass_on(self, here: Client, message: Any) -> None:
        said = dict(message.headers), message.data
        before, self.seen = self.seen, [*self.seen, said]
        answer: Said | None = None
        for other in self.tamper(said, before):
            with suppress(errors.Error):
                answer = await self._ask(other)
        if answer is not None:
            headers, data = self.lie(said, answer)
            await here.publish(message.reply, data, headers=headers)

    async def run(self, urls: tuple[str, str], ended: asyncio.Event) -> None:
        """Pass on until the event."""
        here, self._there = Client(), Client()
        await here.connect(urls[0])
        await self._there.connect(urls[1])
        tasks: set[asyncio.Task[None]] = set()

        async def hear(message: Any) -> None:
            """Begin to pass a message on."""
            task = asyncio.create_task(self._pass_on(here, message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        await here.subscribe(subject_of(self.branch), cb=hear)
        await here.flush()
        self._loop = asyncio.get_running_loop()
        await ended.wait()
        for client in (here, self._there):
            await client.close()


@contextmanager
def between(senders: NatsServer, theirs: NatsServer, branch: str) -> Iterator[Middle]:
    """Stand between two servers until the end of the block."""
    middle, ended = Middle(branch), asyncio.Event()
    running = threading.Thread(
        target=lambda: asyncio.run(middle.run((senders.url, theirs.url), ended))
    )
    running.start()
    loop = until(lambda: middle._loop)  # noqa: SLF001 - it is there once it listens
    try:
        yield middle
    finally:
        loop.call_soon_threadsafe(ended.set)
        running.join(LIMIT_S)
