"""One browser's stream: what it has seen, and how it is told more without being waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from doorctl.ports import Visit
from doorctl.web.staff.log_filter import OPEN
from doorctl.web.staff.log_rows import NAMES

MOST_DIGITS: Final = 18
NOTHING: Final = -1


class Seen:
    """Which rows a browser has; one stream's own.

    Args:
        attempt: the highest number; :data:`NOTHING` for whoever wants what comes from now on.
        told: that attempt's state; one of `NAMES`.
    """

    def __init__(self, attempt: int = NOTHING, told: str = OPEN) -> None:
        self.attempt = attempt
        self._under_way = {attempt} if told == OPEN else set()

    @classmethod
    def parsed(cls, last: str) -> Seen:
        """Return what an event's id says; what is none says that nothing was seen."""
        number, _, told = last.partition("-")
        if not number.isascii() or not number.isdigit() or len(number) > MOST_DIGITS:
            return cls()
        return cls(int(number), told) if told in NAMES else cls()

    def begin(self, attempt: int) -> None:
        """Begin with what comes after an attempt."""
        self.attempt = attempt
        self._under_way.clear()

    def knows(self, visit: Visit) -> bool:
        """Tell whether the browser has an attempt as it is now."""
        if visit.attempt > self.attempt:
            return False
        return visit.attempt not in self._under_way or visit.verdict is None

    def note(self, visit: Visit) -> None:
        """Note that the browser has it."""
        self.attempt = max(self.attempt, visit.attempt)
        if visit.verdict is None:
            self._under_way.add(visit.attempt)
        else:
            self._under_way.discard(visit.attempt)


class Stream(StreamingResponse):
    """A stream of events that ends when the browser is too slow to take them.

    Args:
        told: what it tells.
        counted: counts it for as long as it lasts.
        send_s: longest wait for the browser to take something.
    """

    def __init__(
        self,
        told: AsyncGenerator[str, None],
        counted: Callable[[], AbstractContextManager[None]],
        send_s: float,
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(told, media_type="text/event-stream", headers=headers)
        self._counted = counted
        self._told = told
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends, the browser goes, or takes too long."""
        with self._counted():
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the head and what is told."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._told) as told:
            async for one in told:
                try:
                    async with asyncio.timeout(self._send_s):
                        await send(_body(one.encode(), more=True))
                except TimeoutError:
                    # An end could not be sent either; the server closes what has none.
                    return
        await send(_body(b"", more=False))


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}
