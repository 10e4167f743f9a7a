"""The machine's clocks: the only module that reads them."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Lock
from typing import Literal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from doorctl.core.moments import SMALL, BootTime, CarriedTime, KeptReadings, Moment
from doorctl.core.timekeeper import Carrier, Timekeeper

BUILD_FLOOR = datetime(2026, 1, 1, tzinfo=UTC)
"""The time is later than this: the program did not exist before."""

RTC_FLOOR_YEAR = 2025
"""A battery clock that says an earlier year has no battery (a Pi 5 without one starts in 1970)."""

MOST_DIGITS = 11

STEP_S = 5.0
"""A wall clock that moved so far against CLOCK_BOOTTIME was set, not slewed (500 ppm at most)."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

BOOT_ID_VARIABLE = "DOORCTL_BOOT_ID"
"""Where a unit with ``ProcSubset=pid``, which hides that file, says the same (systemd's ``%b``)."""

ASK_EVERY_S = 1.0
"""How long an answer of the time sources holds: asking costs 0.1 ms, a moment is wanted often."""

STA_UNSYNC = 0x0040
TIME_ERROR = 5


def kernel_synchronised() -> bool:
    """Ask adjtimex(2), changing nothing, whether a time daemon disciplines the clock.

    False where a seccomp filter refuses the call, as in the door's unit; it must answer EPERM, not
    kill.
    """
    state = _Timex()
    answer = ctypes.CDLL(None).adjtimex(ctypes.byref(state))
    return answer not in (-1, TIME_ERROR) and not state.status & STA_UNSYNC


class _Timex(ctypes.Structure):
    """The head of ``struct timex``, and room for the rest of it; all zero reads only."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class TimeSources:
    """The sources that can confirm the wall clock; any single one is enough.

    Args:
        timesyncd: the file that systemd-timesyncd makes once it has synchronised.
        rtc: the directory of a battery clock. Its ``hctosys`` says ``1`` where the clock was set
            from it at boot, ``since_epoch`` what it says now: a Pi 5 without a battery begins in
            1970, and the wall clock is then moved to the time that was saved last.
        kernel: what the kernel says, for chrony and others; our units may ask it only with the
            drop-in of doorctl/ops/README.md.
    """

    timesyncd: Path = Path("/run/systemd/timesync/synchronized")
    rtc: Path = Path("/sys/class/rtc/rtc0")
    kernel: Callable[[], bool] = kernel_synchronised

    def vouch(self, wall: datetime) -> int:
        """Return how many sources confirm the reading `wall`: network, battery clock.

        All that follow the network count as one source.
        """
        return self.network() + self._from_battery(wall)

    def network(self) -> bool:
        """Tell whether a time daemon says that it follows the network's time."""
        return self.timesyncd.exists() or self.kernel()

    def battery(self) -> datetime | None:
        """Return the battery clock's time, UTC; None if there is none that was ever set."""
        written = text_of(self.rtc / "since_epoch")
        # Digits beyond any year are no time; 11 of them are the year 5138.
        if not written.isdecimal() or len(written) > MOST_DIGITS:
            return None
        now = datetime.fromtimestamp(int(written), UTC)
        return now if now.year >= RTC_FLOOR_YEAR else None

    def _from_battery(self, wall: datetime) -> bool:
        now = self.battery() if text_of(self.rtc / "hctosys") == "1" else None
        return now is not None and abs(now - wall) < SMALL


class SystemClock:
    """The real Clock.

    Args:
        zone: the branch's time zone, such as ``Europe/Copenhagen``.
        trust: ``always`` on a machine whose clock is known to be right, such as a server,
            ``signed`` where the network's time is, so that it needs no second witness.
        high_water: the highest trusted time ever stored; :data:`BUILD_FLOOR` if it is earlier.
        wary: whether a start far above `high_water` is in doubt, see
            `doorctl.core.timekeeper.Timekeeper`; no use to a command, which ends too soon.
        boot_id: the file that names this boot; without it, and without
            :data:`BOOT_ID_VARIABLE`, each start counts as a boot.
        ask_every_s: how long an answer of `sources` holds.
        kept: what an earlier process knew of the clock, see :meth:`kept`; None for a first start.
        carried: the believed time that an earlier process has carried on, likewise.
    """

    def __init__(
        self,
        zone: str,
        trust: Literal["auto", "signed", "always"],
        high_water: datetime,
        sources: TimeSources | None = None,
        boot_id: Path = BOOT_ID,
        *,
        wary: bool = False,
        ask_every_s: float = ASK_EVERY_S,
        kept: KeptReadings | None = None,
        carried: CarriedTime | None = None,
    ) -> None:
        self._zone: tzinfo = ZoneInfo(zone)
        self._trust = trust
        # What may have lied in this boot or the one before was copied to the battery clock, too.
        self._battery_counts = kept is None or (kept.doubt is None and kept.leap is None)
        self._sources = sources or TimeSources()
        self._ask_every_s = ask_every_s
        self._vouched = self._agreed = False
        self._battery = BatteryWatch()
        self._ask_again_s = self._asks_at_s = 0.0
        self._boot_id = text_of(boot_id) or _given_boot_id() or uuid4().hex
        self._lock = Lock()
        wary = wary and high_water > BUILD_FLOOR
        high_water = max(high_water, BUILD_FLOOR)
        self._carrier, boot = Carrier(high_water, carried), self.boot_time()
        floor = (self._carrier.now(boot), timedelta(milliseconds=boot.ms))
        self._timekeeper = Timekeeper(high_water, wary=wary, floor=floor)
        if kept is not None:
            self._timekeeper.resume(kept, self._boot_id)
        self._steps = StepWatch()

    def monotonic_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def boot_time(self) -> BootTime:
        """Return CLOCK_BOOTTIME of this boot."""
        return BootTime(self._boot_id, int(_boot_s() * 1000))

    def moment(self) -> Moment:
        """Return the wall clock in the branch's zone, judged; a few system calls."""
        with self._lock:
            wall = datetime.fromtimestamp(_wall_s(), self._zone)
            boot_s = _boot_s()
            boot = timedelta(seconds=boot_s)
            if boot_s >= self._ask_again_s:
                self._ask(wall, boot)
                self._ask_again_s = boot_s + self._ask_every_s
                self._asks_at_s = self.monotonic_s() + self._ask_every_s
            return self._timekeeper.read(wall, boot, vouched=self._vouched, agreed=self._agreed)

    def asks_at_s(self) -> float:
        """Return when, by :meth:`monotonic_s`, `moment` asks the sources again."""
        return self._asks_at_s

    def bounded(self, *, believed: bool = False) -> Moment:
        """Return the moment with what bounds it, for retention; see the port."""
        moment = self.moment()
        with self._lock:
            wall, boot = utc_now(), self.boot_time()
            return self._carrier.bound(moment, wall, boot, vouched=self._vouched, believed=believed)

    def believe(self) -> None:
        """Accept the wall clock as right, because staff say so."""
        with self._lock:
            wall, boot = utc_now(), timedelta(seconds=_boot_s())
            self._timekeeper.believe(wall, boot)
            self._carrier.lower(wall, self.boot_time())

    def confirm(self, at: datetime) -> bool:
        """Compare the time with what another machine's clock says now, aware; tell if they agree.

        The strike stands free only by a time that has a second witness since the boot.
        """
        with self._lock:
            return self._timekeeper.confirm(at, timedelta(seconds=_boot_s()))

    def kept(self) -> KeptReadings | None:
        """Return what the next process has to know of the clock; None before it was believed."""
        with self._lock:
            return self._timekeeper.kept(self.boot_time())

    def _ask(self, wall: datetime, boot: timedelta) -> None:
        if self._trust == "always":
            self._vouched = self._agreed = True
            return
        battery_set = self._battery.was_set(self._sources.battery(), boot)
        vouching = self._sources.vouch(wall)
        two = vouching > 1 and self._battery_counts and not battery_set
        signed = self._trust == "signed" and self._sources.network()
        self._vouched, self._agreed = vouching > 0, two or signed

    def stepped(self) -> bool:
        """Return whether the wall clock was set since the last call; False the first time."""
        with self._lock:
            return self._steps.look(_wall_s(), _boot_s())


class BatteryWatch:
    """Notices that the battery clock was set, because then it is no second source.

    Not thread-safe. The kernel sets it to the network's time every 11 minutes.
    """

    def __init__(self) -> None:
        self._began: datetime | None = None

    def was_set(self, now: datetime | None, boot: timedelta) -> bool:
        """Compare the battery clock and CLOCK_BOOTTIME with the first look; True without a time."""
        if now is None:
            return True
        self._began = self._began or now - boot
        return abs(now - boot - self._began) >= SMALL


class StepWatch:
    """Notices that the wall clock was set; not thread-safe."""

    def __init__(self) -> None:
        self._difference_s: float | None = None

    def look(self, wall_s: float, boot_s: float) -> bool:
        """Compare both clocks, in seconds, with the last look."""
        before, self._difference_s = self._difference_s, wall_s - boot_s
        return before is not None and abs(self._difference_s - before) > STEP_S


def utc_now() -> datetime:
    """Return the wall clock as it is, trusted or not; where that matters use the Clock."""
    return datetime.fromtimestamp(_wall_s(), UTC)


def _wall_s() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME)


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _given_boot_id() -> str:
    try:
        # systemd leaves out the dashes that the kernel writes.
        return str(UUID(os.environ.get(BOOT_ID_VARIABLE, "")))
    except ValueError:
        return ""


def text_of(path: Path) -> str:
    """Return what stands in a file, without space around; "" where it can't be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
