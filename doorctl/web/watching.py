"""Addresses for a monitoring system: does web serve, does the door decide, figures.

They name nobody. The text format is written by hand: prometheus-client costs web 6.4 MB (measured).
Beside them stands the watch over the certificate by which web serves.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hmac import compare_digest
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from doorctl.config.tables import Tls
from doorctl.core.alarms import DOOR_SILENT, KINDS, AlarmRecord, is_shown
from doorctl.core.errors import DoorctlError, KeyFileError, StoreError
from doorctl.core.moments import ClockState
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.lookup.health import MISSING, nobody_enters
from doorctl.lookup.release import Release
from doorctl.privacy.passages import ATTEMPT, LET_IN
from doorctl.privacy.statistics import By, moments
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import STATUS, Status
from doorctl.services.check import refuse_unready
from doorctl.services.visits import statistics
from doorctl.store.door_log import HourlyHistory
from doorctl.store.keys import days_of
from doorctl.web.alarms import StandingAlarms
from doorctl.web.page_pool import PagePool, SignInQueue
from doorctl.web.staff.now import BranchPicture, branch_now
from doorctl.web.tls import refuse_unusable

HEALTH: Final = "/healthz"
READY: Final = "/readyz"
METRICS: Final = "/metrics"

READY_LIMIT_S: Final = 1.0
"""Longest wait for the door; a load balancer or an uptime probe has little patience."""

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"

LOOK_S: Final = 5.0
"""Between two looks at the files."""

Samples = Mapping[str, float | None]
"""What is measured, by the label's value; None for not known."""

Counts = tuple[float | None, float | None, float | None]
"""Let in and refused yesterday, and the age of the last card."""

HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is measured, with its labels; None for not known."""

    labels: Mapping[str, str]
    number: float | None


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
    """What monitoring asks of this machine; one caller at a time waits for door and disk.

    `token` is what a scraper sends as ``Authorization: Bearer``; None where there are no figures.
    """

    app: App
    pool: PagePool
    alarms: StandingAlarms
    token: str | None

    def __post_init__(self) -> None:
        self._turns = SignInQueue()
        self._began_s = self.app.clock.monotonic_s()
        self._counted: tuple[object, Counts] | None = None

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        pages = {HEALTH: self._health, READY: self._ready, METRICS: self._metrics}
        return tuple(Route(path, page) for path, page in pages.items())

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

    async def _metrics(self, request: Request) -> Response:
        if self.token is None:
            return PlainTextResponse("see [metrics] of the configuration\n", 404)
        given = request.headers.get("authorization", "").encode()
        if not compare_digest(given, f"Bearer {self.token}".encode()):
            asks = {"WWW-Authenticate": "Bearer"}
            return PlainTextResponse("a token is needed\n", 401, asks)
        try:
            async with self._turns.slot():
                text = await self.pool.run(self.figures)
        except DoorctlError:
            return PlainTextResponse("too many ask at once\n", 503)
        return PlainTextResponse(text, headers={"Content-Type": TEXT_FORMAT})

    def figures(self) -> str:
        """Return the figures as Prometheus reads them."""
        now = replace(branch_now(self.app), door=self._door())
        door, alarms = now.door or {}, self._alarms(now)
        age_s = None if now.register_age is None else now.register_age.total_seconds()
        doubt = door.get("clock_in_doubt") is not None if door else None
        unconfirmed = door.get("clock_unconfirmed") is not None if door else None
        clock = {state.value: float(door.get("clock") == state.value) for state in ClockState}
        epoch = None if now.register is None else now.register.epoch
        good = (door.get("good_until") or {}).items()
        left = {name: timedelta(of["days"]).total_seconds() for name, of in good}
        up_s, counts = self.app.clock.monotonic_s() - self._began_s, self._counts(now)
        return "".join(
            (
                family("build_info", "The release that runs, and the package's.", _release()),
                family("door_up", "The door process answers.", now.door is not None),
                family("door_deciding", "The door decides.", bool(door.get("deciding"))),
                family("nobody_enters", "No patron is let in.", self._whys(now, alarms), "why"),
                family("alarm_standing", "The alarm stands.", _standing(alarms), "kind"),
                family("register_age_seconds", "Since the last push.", age_s),
                family("register_epoch", "Number of the last push.", epoch),
                family("backup_age_seconds", "Since the last backup.", door.get("backup_age_s")),
                family("time_left_seconds", "Until a key is to be changed.", left, "of"),
                family("visits_yesterday", "Let in, rounded; small counts are hidden.", counts[0]),
                family("refused_yesterday", "Refused, as visits_yesterday.", counts[1]),
                family("last_swipe_age_seconds", "Of the last card, in whole hours.", counts[2]),
                family("disk_free_bytes", "Of the databases' disk.", now.disk_free_bytes),
                family("clock_state", "What the door's clock is.", clock if door else {}, "state"),
                family("clock_in_doubt", "The clock may be wrong.", doubt),
                family("clock_unconfirmed", "One source alone gives the time.", unconfirmed),
                family("web_uptime_seconds", "Since web began.", up_s),
            )
        )

    def _door(self) -> Status | None:
        # Pages take a door that does not decide for none; here the two are told apart.
        with suppress(DoorctlError):
            socket = self.app.config.control.socket
            return STATUS.ask(socket, Nothing(), timeout_s=READY_LIMIT_S)
        return None

    def _alarms(self, now: BranchPicture) -> list[AlarmRecord] | None:
        with suppress(StoreError):
            return [a for a in self.alarms.standing() if is_shown(a.kind, a.last, now.at)]
        return None

    def _whys(self, now: BranchPicture, alarms: list[AlarmRecord] | None) -> Samples:
        if now.door is None:
            return {}
        whys = nobody_enters(now.door, alarms or [], self.app.config)
        known = {kind for kind, of in KINDS.items() if of.means_nobody_enters} - {DOOR_SILENT}
        return {why: float(why in whys) for why in sorted({MISSING, *known})}

    def _counts(self, now: BranchPicture) -> Counts:
        # Of a day that is over, and of hours that are: a figure of today would step while one of
        # five comes in. Counted anew where something was counted, or another hour has begun.
        day, hour = now.at.date() - timedelta(days=1), now.at.replace(minute=0, second=0)
        with suppress(StoreError), closing(HourlyHistory(self.app.storage.visits_db)) as history:
            begins, ends = moments(day, day, zone(self.app.config))
            known = (hour.replace(microsecond=0), history.totals(begins, ends or hour))
            if self._counted is None or self._counted[0] != known:
                self._counted = known, self._count(day, history.last_tried(known[0]), known[0])
            return self._counted[1]
        return None, None, None

    def _count(self, day: date, last: datetime | None, hour: datetime) -> Counts:
        cells = statistics(self.app, day, day).table(By.DAY).groups().get(day.isoformat(), ())
        tried = [cell for cell in cells if cell.kind == ATTEMPT]
        let_in = sum(cell.count or 0 for cell in tried if (cell.kind, cell.outcome) == LET_IN)
        refused = sum(cell.count or 0 for cell in tried) - let_in
        age_s = None if last is None else max(0.0, (hour - last).total_seconds() - HOUR_S)
        return let_in or None, refused or None, age_s


def _standing(alarms: list[AlarmRecord] | None) -> Samples:
    if alarms is None:
        return {}
    stand = {alarm.kind for alarm in alarms}
    lasting = {kind for kind, known in KINDS.items() if known.clears is None}
    return {kind: float(kind in stand) for kind in sorted(lasting | stand)}


def _release() -> Labelled:
    release = Release.of_this_program()
    return Labelled({"version": release.running, "package": release.package or ""}, 1.0)


def family(name: str, means: str, found: Samples | Labelled | float | None, label: str = "") -> str:
    """Return a gauge in Prometheus' text format 0.0.4; "" where none of its values is known.

    `found` is its one value, with labels or without, or one for each value of its `label`. Names,
    meanings and labels are constants of ours; a label's value may be anything.
    """
    name = f"doorctl_{name}"
    lines = [f"# HELP {name} {means}\n# TYPE {name} gauge\n"]
    if isinstance(found, Mapping):
        samples = [Labelled({label: value}, number) for value, number in found.items()]
    else:
        samples = [found if isinstance(found, Labelled) else Labelled({}, found)]
    for sample in samples:
        if sample.number is not None:
            labels = ",".join(f'{key}="{escaped(value)}"' for key, value in sample.labels.items())
            lines.append(f"{name}{f'{{{labels}}}' * bool(labels)} {float(sample.number)!r}\n")
    return "".join(lines) if len(lines) > 1 else ""


def escaped(value: str) -> str:
    """Return a label's value as it stands between quotes."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
