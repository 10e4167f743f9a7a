"""Addresses for a monitoring system: does web serve, does the door decide. They name nobody.

Beside them stands the watch over the certificate by which web serves.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from doorctl.config.tables import Tls
from doorctl.core.errors import DoorctlError, KeyFileError
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.lookup.app import App
from doorctl.services.check import refuse_unready
from doorctl.store.key_age import days_of
from doorctl.web.page_pool import PagePool, SignInQueue
from doorctl.web.tls import refuse_unusable

HEALTH: Final = "/healthz"
READY: Final = "/readyz"

READY_LIMIT_S: Final = 1.0
"""Longest wait for the door; a load balancer or an uptime probe has little patience."""

LOOK_S: Final = 5.0
"""Between two looks at the files."""


class CertificateWatch:
    """Takes the pages' certificate anew when its files change, and alarms its end. One thread.

    `context` is what serves: connections that are open stay so. A renewal writes the files one
    after the other, so that those which don't fit together are told at the next turn only; until
    they do the earlier ones serve. The authority of senders is read at the start alone.
    """

    def __init__(self, tls: Tls, context: ssl.SSLContext, clock: Clock, log: EventLog) -> None:
        self._files = tls.certificate_file, tls.key_file
        self._tls, self._context = tls, context
        self._clock, self._log = clock, log
        self._taken = self._seen = self._looked()
        self._days = days_of(tls.certificate_file)
        self._ends = AlarmOnce(log, "certificate_expires")

    def turn(self) -> None:
        """Look at the files and at the date."""
        new = self._looked()
        why = None if new == self._taken else self._take(new)
        if why is not None and new != self._seen:
            self._seen = new
            return
        moment = self._clock.moment()
        if why is None and not moment.dependable:
            return
        if why is None and self._days and self._days.near(moment.local):
            why = f"it ends on {self._days.ends:%Y-%m-%d}"
        self._ends.tell(why)

    def _take(self, new: object) -> str | None:
        try:
            refuse_unusable(self._tls)
            self._context.load_cert_chain(*self._files)
            self._days = days_of(self._files[0])
        except (KeyFileError, OSError) as err:
            return f"the earlier one goes on: {err}"
        self._taken = new
        self._log.emit("config", state="taken", why="the files of web.tls")
        return None

    def _looked(self) -> object:
        with suppress(OSError):
            found = [path.stat() for path in self._files]
            return [(file.st_ino, file.st_mtime_ns, file.st_size) for file in found]
        return None


@dataclass(eq=False)
class WatchingPages:
    """What monitoring asks of this machine; one caller at a time waits for the door."""

    app: App
    pool: PagePool

    def __post_init__(self) -> None:
        self._turns = SignInQueue()

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (Route(HEALTH, self._health), Route(READY, self._ready))

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, _request: Request) -> Response:
        try:
            async with self._turns.slot():
                to_do = await self.pool.run(refuse_unready, self.app.config, READY_LIMIT_S)
        except DoorctlError:
            # The error itself names a path of this machine, or what is broken at the door.
            return PlainTextResponse("the door does not answer, or lets no patron in\n", 503)
        return PlainTextResponse(f"ok\n{to_do}\n" if to_do else "ok\n")
