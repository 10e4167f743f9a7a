"""Packed rows that many branches get, lying once at the server: left by the sender, read by each.

They lie in JetStream's stream :data:`BODIES` in pieces, under the SHA-256 of what they are
together, for a week. What comes from there is believed no more than anything else a server
carries: a branch takes it for what the sender has signed, or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nats import errors

from doorctl.extras.fleet.messages import (
    BODIES,
    PIECE_BYTES,
    PUSHES,
    UP,
    body_of,
    pushes_of,
    reading,
    up_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from nats.aio.msg import Msg

    from doorctl.extras.fleet.connection import Connection
    from doorctl.extras.fleet.messages import Shared
    from doorctl.sync.packing import Body

    Fetch = Callable[[str], Awaitable[Msg]]

LEAST_BYTES: Final = 8192
"""Shorter rows travel with their manifest: a branch would wait longer for them than it saves."""

AT_A_TIME: Final = 8
"""Pieces that are on their way to the server at once, each of `PIECE_BYTES`."""

ANSWER_S: Final = 10.0
"""Longest wait for the server's answer to a piece."""

KEPT_S: Final = 7 * 86_400
"""How long a piece lies there."""

THERE_ALREADY: Final = "maximum messages per subject exceeded"
"""JetStream's words for a second message on a subject that takes one; its number for that, 10077,
is the one for a disk that is full too."""

REPLICAS: Final = 3
"""Servers that keep each message, where the sender knows as many."""

CREATE, PURGE = "$JS.API.STREAM.CREATE.", "$JS.API.STREAM.PURGE."


REPLACED_BY_NONE: Final = {
    "discard": "new",
    "discard_new_per_subject": True,
    "max_age": KEPT_S * 10**9,
}
"""Of a stream for a week whose messages can't be changed by a branch that has answers of the server
sent to where it listens."""

LAST_COUNTS: Final = {"discard": "old"}
"""Of a stream in which each message replaces the one before."""


class Stream:
    """A stream of the server's, made on first use: one message a subject.

    Belongs to the event loop of a connection.
    """

    def __init__(
        self, name: str, subject: str, settings: Mapping[str, object] = REPLACED_BY_NONE
    ) -> None:
        self._name, self._subject, self._more = name, subject, settings
        self._made = False

    async def make(self, connection: Connection) -> None:
        """Make it where there is none; raises one of `LOST`."""
        if not self._made:
            replicas = REPLICAS if len(connection.servers) >= REPLICAS else 1
            settings = json.dumps(self._settings(replicas)).encode()
            await _answer(connection, CREATE + self._name, settings)
            self._made = True

    async def put(self, connection: Connection, subject: str, data: bytes) -> bool:
        """Leave a message; False where the server does not take it. Raises one of `LOST`."""
        await self.make(connection)
        said = await _answer(connection, subject, data)
        error = said.get("error")
        return "stream" in said if error is None else error.get("description") == THERE_ALREADY

    async def remove(self, connection: Connection, subject: str) -> None:
        """Remove what lies on a subject, so that something else can; raises one of `LOST`."""
        await _answer(connection, PURGE + self._name, json.dumps({"filter": subject}).encode())

    def _settings(self, replicas: int) -> dict[str, Any]:
        return {
            "name": self._name,
            "subjects": [self._subject],
            "storage": "file",
            "retention": "limits",
            "num_replicas": replicas,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            **self._more,
        }


def reports_stream() -> Stream:
    """Return the stream that keeps what each branch said last of each part, however long ago."""
    return Stream(UP, up_of("*", "*"), LAST_COUNTS)


async def _answer(connection: Connection, subject: str, data: bytes) -> dict[str, Any]:
    message = await connection.client.request(subject, data, timeout=ANSWER_S)
    try:
        said = json.loads(message.data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


class Bodies:
    """What a run of the sender has left at the server; belongs to its connection's event loop.

    `pushes` is the stream of what lies there for branches that are away. That of what branches say
    is made along with its own: no branch and no hub may make one.
    """

    def __init__(self) -> None:
        self._stream = Stream(BODIES, body_of("*", "*"))
        self.pushes = Stream(PUSHES, pushes_of("*"))
        self._reports = reports_stream()
        self._lies: dict[str, asyncio.Task[bool]] = {}

    async def lies(self, connection: Connection, body: Body) -> bool:
        """Leave a body, once for all who ask; False where it does not lie there whole."""
        name = body.packed_sha256
        if name not in self._lies:
            self._lies[name] = asyncio.create_task(self._leave(connection, body))
        return await asyncio.shield(self._lies[name])

    async def _leave(self, connection: Connection, body: Body) -> bool:
        pieces = range(-(-body.size // PIECE_BYTES))
        turns = asyncio.Semaphore(AT_A_TIME)

        async def leave(number: int) -> bool:
            async with turns:
                data = body.read(number * PIECE_BYTES, PIECE_BYTES)
                return await self._stream.put(connection, body_of(body.packed_sha256, number), data)

        try:
            # The first one makes the stream where there is none.
            lies = await leave(0) and all(await asyncio.gather(*map(leave, pieces[1:])))
        except (errors.Error, OSError, TimeoutError):
            # A server without streams; the rows go with each manifest then.
            return False
        # No push waits for what a page may show later, nor for a server that was not told of it.
        with suppress(errors.Error, OSError, TimeoutError):
            await self._reports.make(connection)
        return lies


async def pieces_of(shared: Shared, fetch: Fetch) -> AsyncGenerator[bytes]:
    """Yield a body's packed bytes as a branch reads them; the last piece only if all are right.

    Raises ValueError: there is no such piece, or they are not what their name says; else what
    `fetch` raises.
    """
    digest, left, number = hashlib.sha256(), shared.size, 0
    while left > 0:
        data = (await fetch(reading(BODIES, body_of(shared.sha256, number)))).data
        digest.update(data)
        left -= len(data)
        number += 1
        if not data or left < 0 or (left == 0 and digest.hexdigest() != shared.sha256):
            raise ValueError("what lies at the server is not what was left there")
        yield data
