"""The stream that tells open pages of the log that something was written.

A page then asks for itself again and puts in what differs, so its filter, order and sums are those
of any other answer. The id of an event is the state of the files, as `visits.version` gives it; a
browser sends it when it comes again, so that it misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission, permits
from doorctl.accounts.session import Token
from doorctl.core.errors import DoorctlError, StuckError
from doorctl.services import visits
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.streams import SEND_S, EventStream

PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_OF_ONE: Final = 10
"""Open pages of one account, so that it shuts no other account out."""

RETRY: Final = "retry: 3000\n\n"

BEAT: Final = ": beat\n\n"

NEWS: Final = "event: news\nid: {}\ndata: written\n\n"


class LogEvents:
    """The stream's address; belongs to the event loop, except `stop`.

    `beat_s` is the longest silence, and `trust_s` the time until a session is checked again. A
    stream ends after `longest_s` where its session can't be checked. Every `look_s` it is checked
    whether anything was written, which costs microseconds.
    """

    beat_s = 10.0
    trust_s = 30.0
    longest_s = 50.0
    send_s = SEND_S
    look_s = 0.5

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
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
        return EventStream(events, self._clients, request.by, self.send_s)

    async def _stream(self, request: PageRequest, seen: str) -> AsyncGenerator[str, None]:
        yield RETRY
        said_at = checked_at = _time()
        # After any failure the browser comes again and says where it was.
        with suppress(DoorctlError):
            while not self._ending:
                if _time() >= checked_at + self.trust_s:
                    goes_on, checked_at = await self._checked(request, checked_at)
                    if not goes_on:
                        return
                version = str(visits.version(self._frame.app))
                if version != seen or _time() >= said_at + self.beat_s:
                    yield BEAT if version == seen else NEWS.format(version)
                    seen, said_at = version, _time()
                await asyncio.sleep(self.look_s)

    async def _checked(self, request: PageRequest, before: float) -> tuple[bool, float]:
        """Tell whether the stream goes on, and when its session was checked last."""
        token = Token(request.http.cookies.get(self._frame.cookie(), ""))
        try:
            # It keeps no session alive: an open page does not mean that somebody sits there.
            person = await request.in_thread(self._frame.sessions.whose, token, does=False)
        except StuckError:
            # A full queue is no reason to end the stream of a browser that is signed in already.
            return _time() < before + self.longest_s, before
        if person is None or person.account.name != request.by:
            return False, before
        return permits(person.account.role, Permission.SEE_LOG), _time()


def _time() -> float:
    return asyncio.get_running_loop().time()
