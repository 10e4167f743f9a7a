"""The door log as it is written: a stream of rows for a page that is open.

A row is told when its attempt begins and again when it has ended; `<attempt>-<state>` is its id, so
a browser that lost the stream says where it was and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from doorctl.accounts.roles import Permission, permits
from doorctl.errors import DoorctlError
from doorctl.ports import Visit
from doorctl.web.desks import DoorLog
from doorctl.web.pages.frame import Frame, PageRequest, Person
from doorctl.web.staff.log_filter import OPEN, Chosen, chosen, fits
from doorctl.web.staff.log_rows import NAMES, row, state
from doorctl.web.staff.log_watch import FellBehindError, LogWatch

PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_MISSED: Final = 100
"""A page that missed more rows than that is given the newest; it is out of date anyway."""

MOST_NUMBER: Final = 2**63 - 1

NOTHING: Final = -1

RETRY: Final = "retry: 3000\n\n"
BEAT: Final = ": beat\n\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds.

    Args:
        beat_s: longest silence on a stream.
        trust_s: so long a session is taken to go on; then it is asked for again.
        send_s: a browser that does not take a row in this time is dropped.
        begin_s: longest wait for the door log.
    """

    beat_s: float = 10.0
    trust_s: float = 30.0
    send_s: float = 10.0
    begin_s: float = 10.0


USUAL: Final = Limits()


class LogEvents:
    """The stream's address; belongs to the event loop, except `stop`.

    Args:
        frame: around each page.
        desk: the door log.
        whose: returns who is signed in with a session's token, None once it is over; best without
            keeping the session alive, since nobody need sit before a page that is open.
        limits: see there.
    """

    def __init__(
        self,
        frame: Frame,
        desk: DoorLog,
        whose: Callable[[str], Person | None],
        limits: Limits = USUAL,
    ) -> None:
        self._frame = frame
        self._desk = desk
        self._whose = whose
        self._limits = limits
        self._watch = LogWatch(desk, frame.aside)
        self._clients = 0

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return it."""
        return (self._frame.guarded(PATH, self._events, Permission.SEE_LOG),)

    @property
    def clients(self) -> int:
        """How many streams there are."""
        return self._clients

    @property
    def watching(self) -> bool:
        """Whether the door log is looked at."""
        return self._watch.running

    def stop(self) -> None:
        """End the streams, so that the server can end; from any thread, also a signal handler."""
        self._watch.stop()

    async def _events(self, asked: PageRequest) -> Response:
        query = asked.request.query_params
        wanted = chosen(asked.asked, query.getlist, asked.today)
        if self._watch.ending or self._clients >= MOST_CLIENTS:
            return PlainTextResponse(
                "Too many pages are listening.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "10"},
            )
        since = asked.request.headers.get("last-event-id") or asked.asked("since")
        return Stream(self, self._told(asked, wanted, Seen.parsed(since)), self._limits.send_s)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a stream for as long as this lasts."""
        self._clients += 1
        try:
            yield
        finally:
            self._clients -= 1

    async def _told(
        self, asked: PageRequest, wanted: Chosen, seen: Seen
    ) -> AsyncGenerator[str, None]:
        yield RETRY
        # Whatever goes wrong, the browser comes again and says where it was.
        with suppress(FellBehindError, TimeoutError, DoorctlError), self._watch.watching():
            place = await self._watch.begin(self._limits.begin_s)
            for told in self._rows(asked, wanted, seen, await asked.aside(self._missed, seen)):
                yield told
            trusted_until = self._trusted_until()
            while not self._watch.ending:
                news = await self._watch.after(place, self._limits.beat_s)
                if _time() >= trusted_until:
                    if not await self._goes_on(asked):
                        return
                    trusted_until = self._trusted_until()
                for told in self._rows(asked, wanted, seen, (one.visit for one in news)):
                    yield told
                if not news:
                    yield BEAT
                place = news[-1].place if news else place

    def _trusted_until(self) -> float:
        return _time() + self._limits.trust_s

    async def _goes_on(self, asked: PageRequest) -> bool:
        token = asked.request.cookies.get(self._frame.house.session_cookie, "")
        person = await asked.aside(self._whose, token)
        return (
            person is not None
            and person.account == asked.by
            and permits(person.role, Permission.SEE_LOG)
        )

    def _missed(self, seen: Seen) -> tuple[Visit, ...]:
        last = self._desk.last()
        if seen.attempt == NOTHING:
            seen.attempt = last
        # A number above the last is of a door log that is gone.
        since = seen.attempt - 1 if seen.attempt <= last else last
        return self._desk.after(max(0, since, last - MOST_MISSED), MOST_MISSED + 1)

    def _rows(
        self, asked: PageRequest, wanted: Chosen, seen: Seen, visits: Iterable[Visit]
    ) -> Iterator[str]:
        for visit in visits:
            known = seen.knows(visit)
            seen.note(visit)
            if not known and fits(visit, wanted.outcome, wanted.reasons):
                yield self._row(asked, visit)

    def _row(self, asked: PageRequest, visit: Visit) -> str:
        shown = self._frame.rendered("log_row.html", asked, {"row": row(asked.words, visit)})
        data = "".join(f"data: {line}\n" for line in shown.splitlines())
        return f"event: attempt\nid: {visit.attempt}-{state(visit)}\n{data}\n"


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
        if not number.isascii() or not number.isdigit() or told not in NAMES:
            return cls()
        return cls(min(int(number[:20]), MOST_NUMBER), told)

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
        events: whose it is; counts it.
        told: what it tells.
        send_s: longest wait for the browser to take something.
    """

    def __init__(self, events: LogEvents, told: AsyncGenerator[str, None], send_s: float) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(told, media_type="text/event-stream", headers=headers)
        self._events = events
        self._told = told
        self._send_s = send_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends, the browser goes, or takes too long."""
        with self._events.counted():
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


def _time() -> float:
    return asyncio.get_running_loop().time()


def _body(content: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}
