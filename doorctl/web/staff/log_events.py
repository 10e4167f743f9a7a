"""The door log as it is written: a stream of rows for a page that is open.

A row is told when its attempt begins and again when it has ended; `<attempt>-<state>` is its id, so
a browser that lost the stream says where it was and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission, permits
from doorctl.errors import DoorctlError, StuckError
from doorctl.ports import Visit
from doorctl.web.desks import DoorLog
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.house import Person
from doorctl.web.staff.log_filter import Chosen, chosen, fits
from doorctl.web.staff.log_rows import row, state
from doorctl.web.staff.log_stream import Seen, Stream
from doorctl.web.staff.log_watch import EVERY_S, FellBehindError, LogWatch

PATH: Final = "/log/events"

MOST_CLIENTS: Final = 40
"""Pages that may be open at a time; a branch has a handful."""

MOST_OF_ONE: Final = 10
"""Of one account: whoever opens more of them shuts nobody else out."""

MOST_MISSED: Final = 100
"""A page that missed more rows than that is given the newest; it is out of date anyway."""

RETRY: Final = "retry: 3000\n\n"
BEAT: Final = ": beat\n\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds.

    Args:
        beat_s: longest silence on a stream.
        trust_s: so long a session is taken to go on; then it is asked for again.
        longest_s: so long it goes on where nobody can be asked.
        send_s: a browser that does not take a row in this time is dropped.
        begin_s: longest wait for the door log.
        look_s: between two looks whether anything was written.
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
        self._watch = LogWatch(desk, frame.aside, limits.look_s)
        self._clients: Counter[str] = Counter()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return it."""
        return (self._frame.guarded(PATH, self._events, Permission.SEE_LOG),)

    @property
    def clients(self) -> int:
        """How many streams there are."""
        return self._clients.total()

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
        full = self.clients >= MOST_CLIENTS or self._clients[asked.by] >= MOST_OF_ONE
        if self._watch.ending or full:
            return PlainTextResponse(
                "Too many pages are listening.",
                HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "10"},
            )
        since = asked.request.headers.get("last-event-id") or asked.asked("since")
        told = self._told(asked, wanted, Seen.parsed(since))
        return Stream(told, partial(self._counted, asked.by), self._limits.send_s)

    @contextmanager
    def _counted(self, account: str) -> Iterator[None]:
        self._clients[account] += 1
        try:
            yield
        finally:
            self._clients[account] -= 1
            self._clients += Counter()  # Accounts without any are forgotten.

    async def _told(
        self, asked: PageRequest, wanted: Chosen, seen: Seen
    ) -> AsyncGenerator[str, None]:
        yield RETRY
        # Whatever goes wrong, the browser comes again and says where it was.
        with suppress(FellBehindError, TimeoutError, DoorctlError), self._watch.watching():
            place = await self._watch.begin(self._limits.begin_s)
            for told in self._rows(asked, wanted, seen, await asked.aside(self._missed, seen)):
                yield told
            trust = Trust(self._limits)
            while not self._watch.ending:
                news = await self._watch.after(place, self._limits.beat_s)
                if trust.is_due and not await self._goes_on(asked, trust):
                    return
                for told in self._rows(asked, wanted, seen, (one.visit for one in news)):
                    yield told
                if not news:
                    yield BEAT
                place = news[-1].place if news else place

    async def _goes_on(self, asked: PageRequest, trust: Trust) -> bool:
        token = asked.request.cookies.get(self._frame.house.session_cookie, "")
        try:
            person = await asked.aside(self._whose, token)
        except StuckError:
            # A crowd at the door of the house is no reason to put out who is in it already.
            return not trust.is_over
        trust.renew()
        return (
            person is not None
            and person.account == asked.by
            and permits(person.role, Permission.SEE_LOG)
        )

    def _missed(self, seen: Seen) -> tuple[Visit, ...]:
        last = self._desk.last()
        if not 0 <= seen.attempt <= last:
            # Nothing was seen yet, or it was of a door log that is gone.
            seen.begin(last)
            return ()
        since = seen.attempt - 1
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
        shown = self._frame.rendered("log_row.html", asked, {"row": row(asked, visit)})
        data = "".join(f"data: {line}\n" for line in shown.splitlines())
        return f"event: attempt\nid: {visit.attempt}-{state(visit)}\n{data}\n"


class Trust:
    """How long a stream may go on without its session being asked for."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.renew()

    @property
    def is_due(self) -> bool:
        """Whether the session should be asked for."""
        return _time() >= self._asked_at + self._limits.trust_s

    @property
    def is_over(self) -> bool:
        """Whether it has to be known by now."""
        return _time() >= self._asked_at + self._limits.longest_s

    def renew(self) -> None:
        """Note that the session was known just now."""
        self._asked_at = _time()


def _time() -> float:
    return asyncio.get_running_loop().time()
