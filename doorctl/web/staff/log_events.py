"""The stream that tells open pages of the door log that something was written.

A page then asks for itself again and puts in what differs, so its filter, order and sums are those
of any other answer. The id of an event is the state of the files, as :meth:`DoorLog.version` gives
it; a browser sends it when it comes again, so that it misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Message, Send

from doorctl.accounts.account import Permission, permits
from doorctl.core.errors import DoorctlError, StuckError
from doorctl.services.visits import DoorLog
from doorctl.web.frame import EventStream, Frame, PageRequest, Person


class Stream(EventStream):
    """Events, until the browser takes longer than `send_s` for one."""

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        counted: Callable[[], AbstractContextManager[None]],
        send_s: float,
    ) -> None:
        super().__init__(events, counted)
        self._events = events
        self._send_s = send_s

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


PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_OF_ONE: Final = 10
"""Open pages of one account, so that it shuts no other account out."""

RETRY: Final = "retry: 3000\n\n"
BEAT: Final = ": beat\n\n"
NEWS: Final = "event: news\nid: {}\ndata: written\n\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest silence, and time until a session is checked again.

    A stream ends after `longest_s` where its session can't be checked. Every `look_s` it is checked
    whether anything was written, which costs microseconds.
    """

    beat_s: float = 10.0
    trust_s: float = 30.0
    longest_s: float = 50.0
    send_s: float = 10.0
    look_s: float = 0.5


USUAL: Final = Limits()


class LogEvents:
    """The stream's address; belongs to the event loop, except `stop`.

    `whose` returns who is signed in with a token, None once the session is over. It keeps none
    alive: an open page does not mean that somebody sits there.
    """

    def __init__(
        self,
        frame: Frame,
        log: DoorLog,
        whose: Callable[[str], Person | None],
        limits: Limits = USUAL,
    ) -> None:
        self._frame = frame
        self._log = log
        self._whose = whose
        self._limits = limits
        self._ending = False
        self._clients: Counter[str] = Counter()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the stream's route."""
        return (self._frame.guarded(PATH, self._events, Permission.SEE_LOG),)

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return self._clients.total()

    def stop(self) -> None:
        """End the streams so that the server can end; any thread or signal handler may call it."""
        self._ending = True

    async def _events(self, request: PageRequest) -> Response:
        full = self.clients >= MOST_CLIENTS or self._clients[request.by] >= MOST_OF_ONE
        if self._ending or full:
            return PlainTextResponse(
                "Too many pages are listening.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "10"},
            )
        seen = request.http.headers.get("last-event-id") or request.query("since")
        events = self._stream(request, seen)
        return Stream(events, partial(self._counted, request.by), self._limits.send_s)

    @contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        self._clients[account] += 1
        try:
            yield
        finally:
            self._clients[account] -= 1
            self._clients += Counter()  # Accounts without any are forgotten.

    async def _stream(self, request: PageRequest, seen: str) -> AsyncGenerator[str, None]:
        yield RETRY
        said_at = checked_at = _time()
        # After any failure the browser comes again and says where it was.
        with suppress(DoorctlError):
            while not self._ending:
                if _time() >= checked_at + self._limits.trust_s:
                    goes_on, checked_at = await self._checked(request, checked_at)
                    if not goes_on:
                        return
                version = str(self._log.version())
                if version != seen or _time() >= said_at + self._limits.beat_s:
                    yield BEAT if version == seen else NEWS.format(version)
                    seen, said_at = version, _time()
                await asyncio.sleep(self._limits.look_s)

    async def _checked(self, request: PageRequest, before: float) -> tuple[bool, float]:
        """Tell whether the stream goes on, and when its session was checked last."""
        token = request.http.cookies.get(self._frame.house.session_cookie, "")
        try:
            person = await request.aside(self._whose, token)
        except StuckError:
            # A full queue is no reason to end the stream of a browser that is signed in already.
            return _time() < before + self._limits.longest_s, before
        if person is None or person.account != request.by:
            return False, before
        return permits(person.role, Permission.SEE_LOG), _time()


def _time() -> float:
    return asyncio.get_running_loop().time()
