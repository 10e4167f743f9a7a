"""Packed rows that many branches get, lying once at the server: left by the sender, read by each.

They lie in JetStream's stream :data:`BODIES` in pieces, under the SHA-256 of what they are
together, for a week. What comes from there is believed no more than anything else a server
carries: a branch takes it for what the sender has signed, or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from nats import errors

from doorctl.extras.fleet.messages import BODIES, PIECE_BYTES, PUSHES, body_of, pushes_of, reading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

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


class Stream:
    """A stream of the server's, made on first use: one message a subject, replaced by none.

    So what lies there can't be changed by a branch that has answers of the server sent to where the
    stream listens. Belongs to the event loop of a connection.
    """

    def __init__(self, name: str, subject: str) -> None:
        self._name, self._subject = name, subject
        self._made = False

    async def put(self, connection: Connection, subject: str, data: bytes) -> bool:
        """Leave a message; False where the server does not take it. Raises one of `LOST`."""
        if not self._made:
            replicas = REPLICAS if len(connection.servers) >= REPLICAS else 1
            settings = json.dumps(self._settings(replicas)).encode()
            await _answer(connection, CREATE + self._name, settings)
            self._made = True
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
            "max_age": KEPT_S * 10**9,
            "max_msgs_per_subject": 1,
            "discard": "new",
            "discard_new_per_subject": True,
            "allow_direct": True,
        }


async def _answer(connection: Connection, subject: str, data: bytes) -> dict[str, Any]:
    message = await connection.client.request(subject, data, timeout=ANSWER_S)
    try:
        said = json.loads(message.data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


class Bodies:
    """What a run of the sender has left at the server; belongs to its connection's event loop.

    `pushes` is the stream of what lies there for branches that are away.
    """

    def __init__(self) -> None:
        self._stream = Stream(BODIES, body_of("*", "*"))
        self.pushes = Stream(PUSHES, pushes_of("*"))
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
            return await leave(0) and all(await asyncio.gather(*map(leave, pieces[1:])))
        except (errors.Error, OSError, TimeoutError):
            # A server without streams; the rows go with each manifest then.
            return False


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
