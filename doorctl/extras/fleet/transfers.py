"""Requests that come to a branch piece by piece, handed to the application that serves HTTP.

So a push that came over NATS is judged by the very code that judges one over HTTP: its first line
before the rest, its length, its rows, its time.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from doorctl.sources.branches import LONGEST_ANSWER_BYTES, Reply
from doorctl.web.headers import MACHINES
from doorctl.web.push_answers import BUSY, FAULT, NOT_FOUND, RETRY_AFTER_S

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

    from doorctl.extras.fleet.messages import Piece, Question
    from doorctl.web.push_answers import Refusal

HOLD_S: Final = 5.0
"""Longest wait for a piece to be taken, or for the reply; then the sender is told to ask again."""

MOST_UNDER_WAY: Final = 12
"""Requests without a reply: `MOST_WAITING` of `web/pushes.py` for their first line, one that is
taken, and some questions. Each holds two pieces."""

MOST_KEPT: Final = 32
"""Requests that are known, with those whose reply is kept: it may have been lost on its way."""


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
        self._room.clear()
        self._pieces.put_nowait(
            {"type": "http.disconnect"}
            if wrong
            else {"type": "http.request", "body": data, "more_body": not self._whole}
        )

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
            self.reply = Reply(self._status, later, body) if self._status else reply_of(FAULT)
            self._replied.set()
            self._room.set()

    def _scope(self) -> Scope:
        asked = self.question
        headers = [(name.lower().encode(), text.encode()) for name, text in asked.headers.items()]
        given: dict[str, Any] = {"method": asked.method, "path": asked.path, "headers": headers}
        # Without an address: whatever the server says of one is no more than its word.
        nothing = {"client": None, "server": None, "query_string": b"", "root_path": ""}
        kind = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "https",
        }
        return {**kind, **given, **nothing, "raw_path": asked.path.encode()}


class Transfers:
    """All requests that come to a branch; belongs to the event loop of the web process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
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
            transfer = self._known[asked.name] = Transfer(self._app, asked)
        elif transfer.question != asked:
            # Two requests under one name: a sender makes none.
            return reply_of(NOT_FOUND)
        await transfer.take(piece)
        return transfer.next if transfer.reply is None else transfer.reply

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
