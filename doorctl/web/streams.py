"""A stream of events to a page, whose reader may stop reading."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

SEND_S: Final = 10.0
"""The longest that a browser may take for an event."""


class EventStream(StreamingResponse):
    """Events for a page of an account, which is counted in `clients` while they are sent.

    It ends where the browser takes longer than `send_s` for one.
    """

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        clients: Counter[str],
        account: str = "",
        send_s: float = SEND_S,
    ) -> None:
        super().__init__(events, media_type=STREAM, headers={"X-Accel-Buffering": "no"})
        self._events, self._send_s = events, send_s
        self._clients, self._account = clients, account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends or the browser goes."""
        self._clients[self._account] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._clients[self._account] -= 1
            self._clients += Counter()  # Accounts without any are forgotten.

    async def stream_response(self, send: Send) -> None:
        """Send the head and the events."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                try:
                    async with asyncio.timeout(self._send_s):
                        await send(_body(event.encode(), more=True))
                except TimeoutError:
                    # An end could not be sent either; the server closes a stream that has none.
                    return
        await send(_body(b"", more=False))


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


STREAM: Final = "text/event-stream"
"""The type that a stream accepts; `log.js` asks for it to learn whether a stream would begin."""
