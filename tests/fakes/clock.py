"""A clock that only moves when the test says so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from doorctl.core.moments import BootTime, Moment
from doorctl.core.timekeeper import Carrier, Timekeeper
from doorctl.ops.clock import StepWatch

START = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
"""A Monday evening, 19:00 in Copenhagen."""


@dataclass
class FakeClock:
    """Three clocks as plain attributes; judged by the real Timekeeper.

    Args:
        wall: the system clock, aware.
        monotonic: CLOCK_MONOTONIC in seconds.
        boot_ms: CLOCK_BOOTTIME.
        boot_id: another one after a reboot.
        vouched: whether a time source stands behind the system clock.
        agreed: whether a second one does.
        high_water: the highest trusted time of earlier runs.
        zone: the branch's.
        wary: whether a start far above `high_water` is.
        ask_every_s: how long an answer of the time sources holds.
        confirmed: whether staff confirm the time right after each boot, as far as that goes.
    """

    wall: datetime = START
    monotonic: float = 1000.0
    boot_ms: int = 1_000_000
    boot_id: str = "boot-1"
    vouched: bool = True
    agreed: bool = False
    high_water: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("Europe/Copenhagen"))
    wary: bool = False
    confirmed: bool = True
    ask_every_s: float = math.inf

    def __post_init__(self) -> None:
        self._carrier = Carrier(self.high_water)
        self.asked_s: list[float] = []
        self._begin()
        self._steps = StepWatch()

    def monotonic_s(self) -> float:
        """Return `monotonic`."""
        return self.monotonic

    def boot_time(self) -> BootTime:
        """Return `boot_ms` of this boot."""
        return BootTime(self.boot_id, self.boot_ms)

    def moment(self) -> Moment:
        """Judge `wall` by whether it is vouched for."""
        if not self.asked_s or self.monotonic >= self.asks_at_s():
            self.asked_s.append(self.monotonic)
        boot = timedelta(milliseconds=self.boot_ms)
        local = self.wall.astimezone(self.zone)
        moment = self._timekeeper.read(local, boot, vouched=self.vouched, agreed=self.agreed)
        self.high_water = moment.high_water
        return replace(moment, leap=None) if self.confirmed else moment

    def asks_at_s(self) -> float:
        """Return when `moment` asks the time sources again, as the real clock does."""
        return self.asked_s[-1] + self.ask_every_s if self.asked_s else 0.0

    def bounded(self, *, believed: bool = False) -> Moment:
        """Judge it, with what bounds it."""
        moment, boot = self.moment(), self.boot_time()
        vouched = self.vouched
        return self._carrier.bound(moment, self.wall, boot, vouched=vouched, believed=believed)

    def advance(self, seconds: float) -> None:
        """Let time pass on all three clocks."""
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds
        self.boot_ms += round(seconds * 1000)

    def step(self, wall: datetime) -> None:
        """Set the wall clock, as a person or a time server would; the others don't notice."""
        self.wall = wall

    def stepped(self) -> bool:
        """Tell whether it was set since the last call."""
        return self._steps.look(self.wall.timestamp(), self.boot_ms / 1000)

    def believe(self) -> None:
        """Take `wall` as right, because staff say so."""
        self._timekeeper.believe(self.wall, timedelta(milliseconds=self.boot_ms))
        self._carrier.lower(self.wall, self.boot_time())

    def confirm(self, at: datetime) -> bool:
        """Compare the time with what a witness says."""
        return self._timekeeper.confirm(at, timedelta(milliseconds=self.boot_ms))

    def restart(self) -> None:
        """Begin another process, which takes up what this one knew."""
        kept = self._timekeeper.kept(self.boot_time())
        self._carrier = Carrier(self.high_water, self._carrier.kept)
        self._begin()
        if kept is not None:
            self._timekeeper.resume(kept, self.boot_id)

    def reboot(self, boot_id: str) -> None:
        """Begin another boot: both running clocks start anew, what vouched is forgotten."""
        self._carrier = Carrier(self.high_water, self._carrier.kept)
        self.boot_id, self.boot_ms, self.monotonic = boot_id, 0, 0.0
        self._begin()

    def _begin(self) -> None:
        boot = self.boot_time()
        floor = self._carrier.now(boot), timedelta(milliseconds=boot.ms)
        self._timekeeper = Timekeeper(self.high_water, wary=self.wary, floor=floor)
