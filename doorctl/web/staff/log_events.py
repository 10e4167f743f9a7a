"""The stream that sends new rows of the door log to open pages.

A row is sent when its attempt begins and again when it ends. Its id is `<attempt>-<state>`, which a
browser sends when it comes again, so that it misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
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
from doorctl.store.door_log import OPEN, LogFilter, Visit
from doorctl.web.frame import Aside, EventStream, Frame, PageRequest, Person
from doorctl.web.staff.log import MOST_DIGITS, NAMES, chosen, fits, row, state

NOTHING: Final = -1


class Seen:
    """Which rows a browser has; each stream has its own.

    `attempt` is the highest number, :data:`NOTHING` for a browser that wants only new attempts;
    `last_state` is that attempt's state.
    """

    def __init__(self, attempt: int = NOTHING, last_state: str = OPEN) -> None:
        self.attempt = attempt
        self._under_way = {attempt} if last_state == OPEN else set()

    @classmethod
    def parsed(cls, last: str) -> Seen:
        """Return what an event's id says; an invalid id means that nothing was seen."""
        number, _, last_state = last.partition("-")
        if not number.isascii() or not number.isdigit() or len(number) > MOST_DIGITS:
            return cls()
        return cls(int(number), last_state) if last_state in NAMES else cls()

    def begin(self, attempt: int) -> None:
        """Take all attempts up to this one as seen."""
        self.attempt = attempt
        self._under_way.clear()

    def knows(self, visit: Visit) -> bool:
        """Tell whether the browser has this attempt in its present state."""
        if visit.attempt > self.attempt:
            return False
        return visit.attempt not in self._under_way or visit.verdict is None

    def note(self, visit: Visit) -> None:
        """Note that the browser has this attempt."""
        self.attempt = max(self.attempt, visit.attempt)
        if visit.verdict is None:
            self._under_way.add(visit.attempt)
        else:
            self._under_way.discard(visit.attempt)


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


# All streams share one watch of the door log, and without a stream nothing watches.
#
# A stream remembers its place in the news and gets what came after it. All streams share the last
# news; a slow stream that falls behind them begins anew.

EVERY_S: Final = 0.5
"""Time between two checks whether anything was written; a check costs microseconds."""

KEPT: Final = 256
"""News that are kept: more than a busy hour brings."""

BACK: Final = 20
"""An attempt so far back from the newest may still be under way; one at a time is usual."""


AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class News:
    """An attempt that is new or has ended; `place` numbers all news since the start."""

    place: int
    visit: Visit


class FellBehindError(Exception):
    """A stream is too slow: the news that it missed are gone, but stand in the door log."""


class LogWatch:
    """Looks for news; belongs to the event loop, but any thread or signal handler may `stop` it."""

    def __init__(self, log: DoorLog, aside: Aside, every_s: float = EVERY_S) -> None:
        self._log = log
        self._aside = aside
        self._every_s = every_s
        self._news: deque[News] = deque(maxlen=KEPT)
        self._known: dict[int, str | None] = {}
        self._place = 0
        self._arrival = asyncio.Event()
        self._begun = asyncio.Event()
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = False

    @property
    def running(self) -> bool:
        """Whether the door log is looked at."""
        return self._task is not None

    @property
    def ending(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._ending

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep watching while the block runs."""
        self._watchers += 1
        if self._task is None:
            self._known.clear()
            self._begun.clear()
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_task(self._run())
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def begin(self, limit_s: float) -> int:
        """Return the place of the last news, after the first look; raises TimeoutError."""
        async with asyncio.timeout(limit_s):
            await self._begun.wait()
        return self._place

    async def after(self, place: int, limit_s: float) -> tuple[News, ...]:
        """Return the news after a place as soon as there are any; none once `limit_s` is over.

        Raises FellBehindError where some of them are gone.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._place <= place and not self._ending:
                    await self._arrival.wait()
        news = tuple(item for item in self._news if item.place > place)
        if self._place - place > len(news):
            raise FellBehindError
        return news

    def stop(self) -> None:
        """Stop looking, and wake all streams that wait."""
        self._ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def _run(self) -> None:
        version: int | None = None
        while True:
            seen = self._log.version()
            if seen != version:
                # A door log that can't be read now is read again; the streams go on.
                with suppress(DoorctlError):
                    version = seen if await self._look() else None
            await asyncio.sleep(self._every_s)

    async def _look(self) -> bool:
        newest = max(self._known) if self._begun.is_set() else await self._aside.run(self._log.last)
        visits = await self._aside.run(self._log.after, max(0, newest - BACK), AT_ONCE)
        if self._begun.is_set():
            self._tell([visit for visit in visits if self._is_news(visit)])
        elsewhere = newest if visits or newest == 0 else await self._aside.run(self._log.last)
        self._known = {visit.attempt: visit.verdict for visit in visits} or {elsewhere: None}
        self._begun.set()
        return len(visits) < AT_ONCE

    def _is_news(self, visit: Visit) -> bool:
        if visit.attempt in self._known:
            return self._known[visit.attempt] != visit.verdict
        return visit.attempt > max(self._known)

    def _tell(self, fresh: list[Visit]) -> None:
        if not fresh:
            return
        for visit in fresh:
            self._place += 1
            self._news.append(News(self._place, visit))
        self._wake()

    def _wake(self) -> None:
        # Streams that wait now are woken; a stream that comes later waits for the next event.
        self._arrival.set()
        self._arrival = asyncio.Event()


PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_OF_ONE: Final = 10
"""Open pages of one account, so that it shuts no other account out."""

MOST_MISSED: Final = 100
"""A page that missed more rows gets only the newest; it is out of date anyway."""

RETRY: Final = "retry: 3000\n\n"
BEAT: Final = ": beat\n\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """The longest silence, wait for the door log, and time until a session is checked again.

    A stream ends after `longest_s` where its session can't be checked.
    """

    beat_s: float = 10.0
    trust_s: float = 30.0
    longest_s: float = 50.0
    send_s: float = 10.0
    begin_s: float = 10.0
    look_s: float = EVERY_S


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
        self._watch = LogWatch(log, frame.aside, limits.look_s)
        self._clients: Counter[str] = Counter()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the stream's route."""
        return (self._frame.guarded(PATH, self._events, Permission.SEE_LOG),)

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return self._clients.total()

    @property
    def watching(self) -> bool:
        """Whether the door log is looked at."""
        return self._watch.running

    def stop(self) -> None:
        """End the streams so that the server can end; any thread or signal handler may call it."""
        self._watch.stop()

    async def _events(self, request: PageRequest) -> Response:
        wanted = chosen(request.queried, request.today, request.words.zone).wanted
        full = self.clients >= MOST_CLIENTS or self._clients[request.by] >= MOST_OF_ONE
        if self._watch.ending or full:
            return PlainTextResponse(
                "Too many pages are listening.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "10"},
            )
        since = request.http.headers.get("last-event-id") or request.query("since")
        events = self._stream(request, wanted, Seen.parsed(since))
        return Stream(events, partial(self._counted, request.by), self._limits.send_s)

    @contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        self._clients[account] += 1
        try:
            yield
        finally:
            self._clients[account] -= 1
            self._clients += Counter()  # Accounts without any are forgotten.

    async def _stream(
        self, request: PageRequest, wanted: LogFilter, seen: Seen
    ) -> AsyncGenerator[str, None]:
        yield RETRY
        # After any failure the browser comes again and says where it was.
        with suppress(FellBehindError, TimeoutError, DoorctlError), self._watch.watching():
            place = await self._watch.begin(self._limits.begin_s)
            for event in self._rows(request, wanted, seen, await request.aside(self._missed, seen)):
                yield event
            checked_at = _time()
            while not self._watch.ending:
                news = await self._watch.after(place, self._limits.beat_s)
                if _time() >= checked_at + self._limits.trust_s:
                    goes_on, checked_at = await self._checked(request, checked_at)
                    if not goes_on:
                        return
                for event in self._rows(request, wanted, seen, (item.visit for item in news)):
                    yield event
                if not news:
                    yield BEAT
                place = news[-1].place if news else place

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

    def _missed(self, seen: Seen) -> tuple[Visit, ...]:
        last = self._log.last()
        if not 0 <= seen.attempt <= last:
            # The browser has seen nothing yet, or a door log that is gone.
            seen.begin(last)
            return ()
        since = seen.attempt - 1
        return self._log.after(max(0, since, last - MOST_MISSED), MOST_MISSED + 1)

    def _rows(
        self, request: PageRequest, wanted: LogFilter, seen: Seen, visits: Iterable[Visit]
    ) -> Iterator[str]:
        for visit in visits:
            known = seen.knows(visit)
            seen.note(visit)
            if not known and fits(visit, wanted):
                yield self._row(request, visit)

    def _row(self, request: PageRequest, visit: Visit) -> str:
        shown = self._frame.rendered("log_row.html", request, {"row": row(request, visit)})
        data = "".join(f"data: {line}\n" for line in shown.splitlines())
        return f"event: attempt\nid: {visit.attempt}-{state(visit)}\n{data}\n"


def _time() -> float:
    return asyncio.get_running_loop().time()
