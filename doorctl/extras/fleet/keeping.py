"""A connection to a NATS server that is kept: made again after each end, on a thread of its own.

The door has no part in it. While there is no server everything else goes on; one log line says that
it is lost and one that it is back, and an alarm stands once it was lost for long.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from nats import errors

from doorctl.core.errors import KeyFileError
from doorctl.core.ports import AlarmOnce
from doorctl.extras.fleet.connection import CONNECT_S, LOST, OWN_WORDS, connected, link_of, why_lost
from doorctl.extras.fleet.messages import inbox_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from doorctl.core.ports import Clock, EventLog
    from doorctl.extras.fleet import Nats
    from doorctl.extras.fleet.connection import Connection

ALARM_AFTER_S: Final = 900.0
"""A server that is restarted or renewed is back before; a run of the sender is told anyway."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two tries, twice as long each time; shared out by chance, for all branches lose it at
the same moment."""

CHANCE = secrets.SystemRandom()

STEADY_S: Final = 60.0
"""A connection that lasted so long begins the pauses anew."""

ANSWER_S: Final = 10.0
"""Longest wait for a server's answer."""

ENDED: Final = OWN_WORDS[errors.ConnectionClosedError]


@dataclass(frozen=True, slots=True)
class Use:
    """What a connection is kept for.

    Args:
        table: its table in the configuration, for errors.
        name: who this machine is at the server.
        alarm: the kind that stands while it is lost for long.
        refused: what to say where the server refuses a subject that is not `spared`.
        begin: begins to listen; raises one of `LOST`, as `go_on`, which does the rest.
    """

    table: str
    name: str
    alarm: str
    refused: str
    begin: Callable[[Client], Awaitable[None]]
    go_on: Callable[[Client], Awaitable[None]]
    spared: tuple[str, ...] = ()


class KeptConnection:
    """Keeps one connection to the servers of `nats` while it can.

    `turn` belongs to a thread of its own; all others may be called from any.
    """

    def __init__(self, nats: Nats, use: Use, clock: Clock, log: EventLog) -> None:
        self._nats, self._use, self._clock, self._log = nats, use, clock, log
        self._alarm = AlarmOnce(log, use.alarm)
        self._pause_s = FIRST_PAUSE_S
        self._stopping = threading.Event()
        self._own: tuple[AbstractEventLoop, Connection] | None = None
        self._lost_s = clock.monotonic_s()
        self.stands: bool | None = None
        """Whether there is a connection; None before the first try."""
        self.times = 0
        """How many connections there were."""
        self.when_connected: Callable[[], object] = lambda: None
        self.why = ""
        """Why there is none, as long as there is none."""

    def turn(self) -> None:
        """Hold one connection from its beginning to its end, and pause after it."""
        if self._stopping.is_set():
            return
        began_s = self._clock.monotonic_s()
        try:
            why = asyncio.run(self._held())
        except KeyFileError as error:
            why = str(error)
        except LOST as error:
            why = why_lost(error, self._use.table)
        if self._stopping.is_set():
            return
        self._tell_lost(why)
        if self._clock.monotonic_s() - began_s >= STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        self._stopping.wait(self._pause_s * CHANCE.uniform(0.5, 1.0))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the connection and make no other."""
        self._stopping.set()
        own = self._own
        if own is not None:
            # It may have ended in this moment.
            with suppress(RuntimeError):
                own[0].call_soon_threadsafe(own[1].ended.set)

    async def answer(self, subject: str) -> Msg:
        """Return the server's answer to a request of this machine's; raises one of `LOST`.

        Called on another event loop, which goes on when this connection's ends.
        """
        loop, client = self._standing()
        asking = asyncio.run_coroutine_threadsafe(
            client.request(subject, b"", timeout=ANSWER_S), loop
        )
        try:
            return await asyncio.wrap_future(asking)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise errors.ConnectionClosedError from None

    def say(self, subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a message, which a connection that ends now may lose; raises one of `LOST`."""
        loop, client = self._standing()
        saying = asyncio.run_coroutine_threadsafe(
            client.publish(subject, body, headers=dict(headers)), loop
        )
        try:
            saying.result(ANSWER_S)
        except asyncio.CancelledError:
            raise errors.ConnectionClosedError from None

    def _standing(self) -> tuple[AbstractEventLoop, Client]:
        own = self._own
        if own is None or own[0].is_closed():
            raise errors.ConnectionClosedError
        return own[0], own[1].client

    async def _held(self) -> str:
        """Use a connection until it ends; return why it did."""
        # Read each time: a certificate may have been renewed meanwhile.
        link, use = link_of(self._nats), self._use
        link = replace(link, inbox=inbox_of(use.name), spared=use.spared)
        async with connected(link) as connection:
            self._own = asyncio.get_running_loop(), connection
            client = connection.client
            await use.begin(client)
            # nats-py's first question goes before what waits; only the second comes back after it.
            await client.flush(CONNECT_S)
            await client.flush(CONNECT_S)
            if not connection.refused and not self._stopping.is_set():
                self._tell_connected()
                await use.go_on(client)
                await connection.ended.wait()
            return use.refused if connection.refused else ENDED

    def _tell_connected(self) -> None:
        self.stands, self.why = True, ""
        self.times += 1
        self._log.emit("nats", state="connected")
        self._alarm.tell(None)
        self.when_connected()

    def _tell_lost(self, why: str) -> None:
        now_s = self._clock.monotonic_s()
        self.why = why
        if self.stands is not False:
            self.stands, self._lost_s = False, now_s
            self._log.emit("nats", state="lost", why=why)
        if now_s - self._lost_s >= ALARM_AFTER_S:
            self._alarm.tell(why)
