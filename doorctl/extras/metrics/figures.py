"""The page of figures; it names nobody."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hmac import compare_digest
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from doorctl.core.alarm_records import AlarmRecord
from doorctl.core.alarms import DOOR_SILENT, KINDS, is_shown
from doorctl.core.errors import DoorctlError, StoreError
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.lookup.health import MISSING, nobody_enters
from doorctl.lookup.release import Release
from doorctl.ops.figures import Labelled, Samples, family
from doorctl.privacy.passages import ATTEMPT, LET_IN
from doorctl.privacy.statistics import By, moments
from doorctl.rpc.question import Nothing
from doorctl.rpc.status import STATUS, Status
from doorctl.services.statistics import statistics
from doorctl.store.hourly import HourlyHistory
from doorctl.web.alarms import StandingAlarms
from doorctl.web.page_pool import PagePool, SignInQueue
from doorctl.web.staff.branch_state import BranchPicture, branch_now
from doorctl.web.watching import READY_LIMIT_S

METRICS: Final = "/metrics"

TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"

Counts = tuple[float | None, float | None, float | None]
"""Let in and refused yesterday, and the age of the last card."""

HOUR_S: Final = 3600.0


@dataclass(eq=False)
class Figures:
    """What Prometheus asks of this machine; one caller at a time waits for door and disk.

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
        """Return the address."""
        return (Route(METRICS, self._metrics),)

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
