"""Pushes at the server for a branch that was away: left by the sender, taken by the branch.

All that lie for a branch stand in one message on a subject of its own, each without its rows, which
lie beside (`bodies`). The branch reads the message when it connects and when there is a new one,
and hands on what follows on the push that it holds, as if the sender had asked it. Its number
stays the only receipt: the sender sees it in its next run.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import zlib
from collections import deque
from contextlib import suppress
from hashlib import sha256
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from nats import errors

from doorctl.core.errors import PushInvalidError
from doorctl.extras.fleet.messages import (
    PUSHES,
    SHARED,
    Count,
    Hex,
    Piece,
    Question,
    Shared,
    pushes_of,
    reading,
)
from doorctl.extras.fleet.transfers import SharedTransfer
from doorctl.sync.document import Manifest, read_manifest
from doorctl.web.listener import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Scope

    from doorctl.extras.fleet.bodies import Bodies, Fetch
    from doorctl.extras.fleet.connection import Connection
    from doorctl.sync.packing import Document

MOST_PUSHES: Final = 4
"""In one message; a branch that holds something else is asked what, by the sender's next run."""

LONGEST_HEAD_BYTES: Final = 4096
"""A manifest has half a kilobyte."""

AGAIN_S, TRIES = 15.0, 20
"""How long a branch waits, and how often, while another push comes in."""

ADDRESSES: Final = {"snapshot": ("PUT", "patrons"), "changes": ("POST", "patrons/changes")}

MOST_TRIED: Final = 64
"""Pushes that are known to have been tried."""

Part = Annotated[bytes, Meta(max_length=2 * LONGEST_HEAD_BYTES)]


class LeftPush(Struct, frozen=True):
    """One push: its own bytes before and after the rows, and what its rows are called."""

    head: Part
    tail: Part
    body: Hex
    size: Count

    def manifest(self) -> Manifest | None:
        """Return its first line, whose signature is not checked; None where it has none."""
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        with suppress(zlib.error, PushInvalidError):
            return read_manifest(unpacking.decompress(self.head, LONGEST_HEAD_BYTES))
        return None

    def request(self, manifest: Manifest) -> tuple[Question, Shared, bytes]:
        """Return it as the sender would ask this branch to take it."""
        method, path = ADDRESSES[manifest.kind]
        content = self.head + self.tail
        question = Question(
            secrets.token_hex(16),
            method,
            SHARED + path,
            len(content),
            sha256(content).hexdigest(),
            content_encoding="gzip",
        )
        return question, Shared(self.body, self.size, len(self.head)), content


class _Message(Struct, frozen=True):
    pushes: Annotated[list[LeftPush], Meta(max_length=MOST_PUSHES)]


async def leave(
    connection: Connection, bodies: Bodies, branch: str, documents: Sequence[Document]
) -> bool:
    """Leave pushes in place of those before; False where the server takes none.

    Raises one of `LOST`.
    """
    message = msgspec.json.encode(_Message([_left(each) for each in documents]))
    subject = pushes_of(branch)
    if await _lying(connection, subject) == message:
        return True
    for document in documents:
        if not await bodies.lies(connection, document.body):
            return False
    await bodies.pushes.remove(connection, subject)
    return await bodies.pushes.put(connection, subject, message)


async def _lying(connection: Connection, subject: str) -> bytes:
    try:
        return (await connection.client.request(reading(PUSHES, subject), b"", timeout=5)).data
    except errors.NoRespondersError:
        return b""


def _left(document: Document) -> LeftPush:
    body = document.body
    return LeftPush(document.head, document.tail, body.packed_sha256, body.size)


class LeftTaken:
    """Takes what lies for this branch; belongs to the event loop of the web process.

    A push is tried once while the process runs, and again only where its rows were not to be had.
    """

    def __init__(self, app: ASGIApp, fetch: Fetch) -> None:
        self._app, self._fetch = app, fetch
        self._latest: bytes | None = None
        self._taking: asyncio.Task[None] | None = None
        self._tried: deque[bytes] = deque(maxlen=MOST_TRIED)

    def come(self, data: bytes) -> None:
        """Begin to take a message's pushes; of several only the last waits for its turn."""
        self._latest = data
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take())

    async def _take(self) -> None:
        while self._latest is not None:
            data, self._latest = self._latest, None
            await self.take(data)

    async def take(self, data: bytes) -> None:
        """Take a message's pushes, each as soon as it follows on what is held."""
        pushes = _read(data)
        while (found := self._next(pushes, await self._held())) is not None:
            if not await self._ended(*found):
                return

    def _next(
        self, pushes: Sequence[LeftPush], held: int | None
    ) -> tuple[LeftPush, Manifest] | None:
        for push in pushes:
            manifest = push.manifest()
            if manifest is None or held is None or push.head in self._tried:
                continue
            follows = manifest.kind == "snapshot" or manifest.previous_epoch == held
            if follows and manifest.epoch > held:
                return push, manifest
        return None

    async def _ended(self, push: LeftPush, manifest: Manifest) -> bool:
        """Have a push taken or refused; False where it is worth another try later."""
        for _ in range(TRIES):
            question, shared, content = push.request(manifest)
            transfer = SharedTransfer(self._app, question, shared, self._fetch)
            while transfer.reply is None:
                await transfer.take(Piece(question, 0, content, shared))
            if transfer.reply.status == HTTPStatus.FAILED_DEPENDENCY:
                return False
            if transfer.reply.status != HTTPStatus.SERVICE_UNAVAILABLE:
                self._tried.append(push.head)
                return True
            await asyncio.sleep(AGAIN_S)
        return False

    async def _held(self) -> int | None:
        """Ask the application which push is held, as a sender on this machine would."""
        said = bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            said.extend(message.get("body", b""))

        await self._app(_own_question(), receive, send)
        try:
            epoch = json.loads(said)["epoch"]
        except (ValueError, LookupError, TypeError):
            return None
        return epoch if isinstance(epoch, int) else None


def _own_question() -> Scope:
    path = "/v1/patrons/epoch"
    here: dict[str, Any] = {"client": (min(HERE), 0), "server": None, "query_string": b""}
    kind = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "https"}
    at = {"method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "headers": []}
    return {**kind, **here, **at}


def _read(data: bytes) -> Sequence[LeftPush]:
    try:
        return msgspec.json.decode(data, type=_Message).pushes
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ()
