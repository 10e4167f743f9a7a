"""Requests that come to a branch piece by piece, handed to the application that serves HTTP.

So a push that came over NATS is judged by the very code that judges one over HTTP: its first line
before the rest, its length, its rows, its time.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from doorctl.extras.fleet.bodies import pieces_of
from doorctl.extras.fleet.connection import LOST
from doorctl.extras.fleet.messages import MACHINES, PIECE_BYTES, SHARED
from doorctl.sources.branches import LONGEST_ANSWER_BYTES, Reply
from doorctl.web.push_answers import BUSY, FAULT, NOT_FOUND, RETRY_AFTER_S, Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

    from doorctl.extras.fleet.bodies import Fetch
    from doorctl.extras.fleet.messages import Piece, Question, Shared

HOLD_S: Final = 5.0
"""Longest wait for a piece to be taken, or for the reply; then the sender is told to ask again."""

MOST_UNDER_WAY: Final = 12
"""Requests without a reply: `MOST_WAITING` of `web/pushes.py` for their first line, one that is
taken, and some questions. Each holds two pieces."""

MOST_KEPT: Final = 32
"""Requests that are known, with those whose reply is kept: it may have been lost on its way."""


LACKING: Final = Refusal(HTTPStatus.FAILED_DEPENDENCY, "rows_not_found")
"""What lies at the server is not there, or is something else: the sender sends it all."""


class Transfer:
    """One request as it comes; belongs to the event loop of the web process.

    Pieces are taken in their order, each once. What does not come to the length and the digest that
    were said is cut off before its end is handed on, and so nothing of it is applied.
    """

    def __init__(self, app: ASGIApp, question: Question) -> None:
        self.question = question
        self.next = 0
        self.reply: Reply | None = None
        self._received, self._digest = 0, hashlib.sha256()
        self._whole = self._ended = False
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self._turn, self._room, self._replied = asyncio.Lock(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._status, self._body = 0, bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._running = asyncio.create_task(self._run(app))

    async def take(self, piece: Piece) -> None:
        """Take a piece if it is the next one, or wait for the reply; no longer than `HOLD_S`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S), self._turn:
                if piece.number == self.next and not self._whole:
                    await self._room.wait()
                    self._put(piece.data)
                if self._whole:
                    await self._replied.wait()

    def _put(self, data: bytes) -> None:
        self.next += 1
        self._received += len(data)
        self._digest.update(data)
        missing = self.question.size - self._received
        self._whole = missing <= 0
        wrong = missing < 0 or (self._whole and self._digest.hexdigest() != self.question.sha256)
        if wrong:
            self._cut_off()
        else:
            self._hand_on(data)

    def _hand_on(self, data: bytes) -> None:
        self._pass(data, more=not self._whole)

    def _pass(self, data: bytes, *, more: bool) -> None:
        self._room.clear()
        self._pieces.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def _cut_off(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    async def _receive(self) -> Message:
        if self._ended:
            return {"type": "http.disconnect"}
        message = await self._pieces.get()
        self._ended = not message.get("more_body", False)
        self._room.set()
        return message

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.lower(): value for name, value in message["headers"]}
        else:
            self._body += message.get("body", b"")

    async def _run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        finally:
            # A fault has been answered by the application, and its traceback goes to the journal.
            later = self._headers.get(b"retry-after", b"").decode("ascii")
            body = bytes(self._body) if len(self._body) <= LONGEST_ANSWER_BYTES else b""
            self.reply = self._final(Reply(self._status, later, body))
            self._replied.set()
            self._room.set()

    def _final(self, reply: Reply) -> Reply:
        return reply if reply.status else reply_of(FAULT)

    @property
    def _path(self) -> str:
        return self.question.path

    @property
    def _size(self) -> int:
        return self.question.size

    def _scope(self) -> Scope:
        asked, path = self.question, self._path
        given_headers = {**asked.headers, "Content-Length": str(self._size)}
        headers = [(name.lower().encode(), text.encode()) for name, text in given_headers.items()]
        given: dict[str, Any] = {"method": asked.method, "path": path, "headers": headers}
        # Without an address: whatever the server says of one is no more than its word.
        nothing = {"client": None, "server": None, "query_string": b"", "root_path": ""}
        kind = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "https",
        }
        return {**kind, **given, **nothing, "raw_path": path.encode()}


class SharedTransfer(Transfer):
    """A request whose rows lie at the server, where this branch `fetch`-es them in between.

    Its own content is one piece. Where the rows are not to be had, nothing of it is applied.
    """

    def __init__(self, app: ASGIApp, question: Question, shared: Shared, fetch: Fetch) -> None:
        self._shared, self._fetch = shared, fetch
        self._feeding: asyncio.Task[None] | None = None
        self._lacking = False
        super().__init__(app, question)

    def _hand_on(self, data: bytes) -> None:
        self._feeding = asyncio.create_task(self._feed(data))

    async def _feed(self, content: bytes) -> None:
        head, tail = content[: self._shared.at], content[self._shared.at :]
        try:
            self._pass(head, more=True)
            async with aclosing(pieces_of(self._shared, self._fetch)) as pieces:
                async for rows in pieces:
                    await self._room.wait()
                    self._pass(rows, more=True)
            await self._room.wait()
            self._pass(tail, more=False)
        except LOST:
            self._lacking = True
            self._cut_off()

    async def _run(self, app: ASGIApp) -> None:
        try:
            await super()._run(app)
        finally:
            if self._feeding is not None:
                self._feeding.cancel()

    def _final(self, reply: Reply) -> Reply:
        return reply_of(LACKING) if self._lacking else super()._final(reply)

    @property
    def _path(self) -> str:
        return self.question.path.replace(SHARED, MACHINES, 1)

    @property
    def _size(self) -> int:
        return self.question.size + self._shared.size


class Transfers:
    """All requests that come to a branch; belongs to the event loop of the web process.

    What a request says to lie at the server is had by `fetch`.
    """

    def __init__(self, app: ASGIApp, fetch: Fetch) -> None:
        self._app, self._fetch = app, fetch
        self._known: dict[str, Transfer] = {}

    async def take(self, piece: Piece) -> Reply | int:
        """Take a piece; return the reply, or the number of the piece that comes next."""
        asked = piece.question
        transfer = self._known.get(asked.name)
        if transfer is None:
            if piece.number != 0:
                # It was forgotten, as by a restart: from the beginning.
                return 0
            if not asked.path.startswith(MACHINES):
                return reply_of(NOT_FOUND)
            if not self._has_room():
                return reply_of(BUSY, str(RETRY_AFTER_S))
            transfer = self._known[asked.name] = self._begun(asked, piece.shared)
        elif transfer.question != asked:
            # Two requests under one name: a sender makes none.
            return reply_of(NOT_FOUND)
        await transfer.take(piece)
        return transfer.next if transfer.reply is None else transfer.reply

    def _begun(self, asked: Question, shared: Shared | None) -> Transfer:
        is_shared = shared is not None and asked.path.startswith(SHARED)
        if shared is None or not is_shared or asked.size > PIECE_BYTES or shared.at > asked.size:
            return Transfer(self._app, asked)
        return SharedTransfer(self._app, asked, shared, self._fetch)

    def _has_room(self) -> bool:
        answered = [name for name, each in self._known.items() if each.reply is not None]
        if len(self._known) - len(answered) >= MOST_UNDER_WAY:
            return False
        if len(self._known) >= MOST_KEPT:
            del self._known[answered[0]]
        return True


def reply_of(refusal: Refusal, retry_after: str = "") -> Reply:
    """Return a refusal as it is answered over HTTP."""
    return Reply(refusal.status, retry_after, bytes(refusal.answer().body))
