"""The machine's clocks, which move when the simulation says so; all of them whole milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from doorctl.core.errors import DeviceError
from doorctl.core.moments import SLEWED, BootTime, CarriedTime, KeptReadings, Moment
from doorctl.core.timekeeper import Carrier, Timekeeper
from doorctl.devices.pins import GpioSignals
from doorctl.door.inputs import Levels
from doorctl.door.lamps import Lamps
from doorctl.ops.clock import BUILD_FLOOR, StepWatch
from doorctl.ops.supervisor import SystemdSupervisor
from tests.fakes.pins import FakeRelay

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
BEGINS = datetime(2027, 1, 1, 3, 0, tzinfo=UTC)
"""New Year's night of the year before a leap year."""

HOLDOVER_MS = 7 * 86_400_000

Action = Callable[[], None]


class SimClock:
    """A `Clock` beside the true time, which no daemon can see; judged by the real Timekeeper.

    `begins`: the true time at first, UTC.
    """

    def __init__(self, begins: datetime = BEGINS) -> None:
        self.begins = begins
        self.true_ms = 0
        self.mono_ms = self.boot_ms = 1_000_000
        self.boot = 1
        self.off_ms = 0
        self._without_power: list[tuple[int, int]] = []
        self.vouched = True
        self.known = BUILD_FLOOR
        self._vouched_ms: int | None = None
        self._lied = False
        self.confirmed = False
        self.fooled_ms = 0
        self.fooled_boots: set[str] = set()
        self.most_fooled = timedelta(0)
        self._keeper = Timekeeper(BUILD_FLOOR)
        self._carrier = Carrier(BUILD_FLOOR)
        self._watch = StepWatch()

    @property
    def true(self) -> datetime:
        """What time it really is, UTC."""
        return self.begins + timedelta(milliseconds=self.true_ms)

    @property
    def true_local(self) -> datetime:
        """The same, as the clock on the wall shows it."""
        return self.true.astimezone(COPENHAGEN)

    @property
    def believed(self) -> datetime:
        """What time a branch must take it for, UTC: a lie at its boot is all that it knows."""
        return self.true + timedelta(milliseconds=self.fooled_ms)

    def monotonic_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return self.mono_ms / 1000

    def boot_time(self) -> BootTime:
        """Return CLOCK_BOOTTIME of this boot."""
        return BootTime(f"boot-{self.boot}", self.boot_ms)

    def moment(self) -> Moment:
        """Return the system clock, wrong as it may be, judged by whether it is vouched for."""
        wall = (self.true + timedelta(milliseconds=self.off_ms)).astimezone(COPENHAGEN)
        boot = timedelta(milliseconds=self.boot_ms)
        if self.vouched:
            self._lied = self.lies
            self._vouched_ms = self.boot_ms
        if self.dependable:
            self.known = max(self.known, self.believed)
        moment = self._keeper.read(wall, boot, vouched=self.vouched)
        if not self.dependable:
            self.known = min(self.known, moment.high_water)
        return moment

    def asks_at_s(self) -> float:
        """Return that there are no time sources to ask."""
        return math.inf

    def bounded(self, *, believed: bool = False) -> Moment:
        """Return the same, with what bounds it."""
        moment, wall = self.moment(), self.true + timedelta(milliseconds=self.off_ms)
        boot, vouched = self.boot_time(), self.vouched
        return self._carrier.bound(moment, wall, boot, vouched=vouched, believed=believed)

    @property
    def lies(self) -> bool:
        """Whether somebody vouches for a system clock that is wrong."""
        return self.vouched and self.off_ms != self.fooled_ms

    @property
    def dependable(self) -> bool:
        """Whether the time can be known: somebody vouches for it, or did in the last 7 days.

        Not once a source was caught at a lie, until one tells the truth again.
        """
        if self.lies or self._lied:
            return False
        return self._vouched_ms is not None and self.boot_ms - self._vouched_ms <= HOLDOVER_MS

    def stepped(self) -> bool:
        """Tell whether the system clock was set since the last call."""
        wall_s = (self.true_ms + self.off_ms) / 1000
        return self._watch.look(wall_s, self.boot_ms / 1000)

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.mono_ms += ms
        self.suspend(ms)

    def suspend(self, ms: int) -> None:
        """Let time pass in which the machine sleeps: CLOCK_MONOTONIC does not count it."""
        self.true_ms += ms
        self.boot_ms += ms

    def lose_power(self, ms: int) -> None:
        """Let time pass in which nothing runs; a new boot follows."""
        self.suspend(ms)
        self._without_power.append((self.true_ms, ms))

    def without_power_since(self, true_ms: int) -> timedelta:
        """Return for how long the machine has been without power since then."""
        return timedelta(milliseconds=sum(ms for at, ms in self._without_power if at > true_ms))

    def tell(self) -> bool:
        """Have a sender on another machine say the right time; tell whether the door agrees.

        What it confirms is right: a branch that was fooled says another time.
        """
        self.moment()
        self.confirmed = self.confirmed or (self.dependable and not self.fooled_ms)
        return self._keeper.confirm(self.true, timedelta(milliseconds=self.boot_ms))

    def press(self) -> None:
        """Have staff say that the clock, which is right and in doubt, is right."""
        self._keeper.believe(self.true, timedelta(milliseconds=self.boot_ms))
        self.fooled_ms, self._lied, self.confirmed, self.known = 0, False, True, self.true

    def kept(self) -> KeptReadings | None:
        """Return what the next process has to know of the clock."""
        return self._keeper.kept(self.boot_time())

    def restart(
        self,
        high_water: datetime | None,
        kept: KeptReadings | None,
        carried: CarriedTime | None = None,
        *,
        power_cut: bool,
    ) -> None:
        """Begin another process, after a power cut another boot as well."""
        self._watch = StepWatch()
        self.known = max(high_water or BUILD_FLOOR, BUILD_FLOOR)
        self._vouched_ms = None
        self._lied = False
        if carried is not None:
            # A door stores it every 10 minutes; the simulation's sleeps from event to event.
            carried = carried.on(self.boot_time())
        if power_cut:
            self.boot, self.confirmed, self.fooled_ms = self.boot + 1, False, 0
            self.mono_ms = self.boot_ms = 20_000
        doubted = kept is not None and kept.doubt is not None
        if kept is not None and kept.boot_id != self.boot_time().boot_id:
            kept = self._after_cut(kept)
        if power_cut and self.lies and not doubted:
            self._be_fooled()
        elif kept is None and self.lies:
            # At a start nothing contradicts a source, as doorctl/ops/README.md says.
            self.off_ms = 0
        self._carrier = Carrier(self.known, carried)
        floor = self._carrier.now(self.boot_time()), timedelta(milliseconds=self.boot_ms)
        self._keeper = Timekeeper(self.known, wary=high_water is not None, floor=floor)
        if kept is not None:
            self._keeper.resume(kept, self.boot_time().boot_id)

    def _be_fooled(self) -> None:
        """Take a lie for the time that it must seem to be, after a boot; or find it below ours."""
        off = timedelta(milliseconds=self.off_ms)
        if self.known > self.true + off:
            self.off_ms = 0
            return
        self.fooled_ms = self.off_ms
        self.fooled_boots.add(self.boot_time().boot_id)
        self.most_fooled = max(self.most_fooled, off)

    def _after_cut(self, kept: KeptReadings) -> KeptReadings | None:
        """Return what still tells a lie from the truth; None where nothing does.

        That is a doubt that stood, unless the lie comes within an hour of the time on record. Where
        the truth does not, the power was off for long: staff say at once that the clock is right.
        """
        off = self.true - kept.accepted[0] - timedelta(milliseconds=self.boot_ms)
        told = not self.lies or abs(off + timedelta(milliseconds=self.off_ms)) >= SLEWED
        return kept if kept.doubt is not None and told and abs(off) < SLEWED else None


class Agenda:
    """What is to happen, by the true time; what is due at once happens in the order of asking."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._asked = 0
        self._actions: list[tuple[int, int, Action]] = []

    def after(self, ms: int, action: Action) -> None:
        """Have something done so many milliseconds from now."""
        self._asked += 1
        heappush(self._actions, (self._clock.true_ms + ms, self._asked, action))

    def next_in_ms(self) -> int:
        """Return when the next is due, 0 for now; something always is."""
        return max(0, self._actions[0][0] - self._clock.true_ms)

    def do_next(self) -> None:
        """Do the next."""
        heappop(self._actions)[2]()


# Cables and what hangs on them: two serial lines, the relay, lamps, contact and exit button.

REST = Levels(contact_open=False, exit_pressed=False)


@dataclass
class SimRelay(FakeRelay):
    """A relay that can fall; `on_edge` hears of each change, before anybody else does."""

    on_edge: Callable[[bool], None] = lambda _energised: None

    def fall(self) -> None:
        """Go off without the daemon: by ``relay-off``, or for want of current."""
        self.broken = False
        self._drive(energised=False)

    def _drive(self, *, energised: bool) -> None:
        if energised is not self.energised:
            super()._drive(energised=energised)
            self.edges.clear()
            self.on_edge(energised)


@dataclass
class SimSignals(GpioSignals):
    """Lamps and buzzer; `last` is what red and green showed last."""

    broken: bool = False
    last: tuple[bool, bool] = (False, False)

    def show(self, lamps: Lamps) -> None:
        """Show them, or fail."""
        if self.broken:
            raise DeviceError("GPIO27 can't be driven: EIO")
        self.last = (lamps.red, lamps.green)


@dataclass
class SimSupervisor(SystemdSupervisor):
    """systemd: kills whoever does not feed the watchdog in time, and locks the door then."""

    now_ms: Callable[[], int]
    bites_ms: int = 0
    is_ready: bool = False
    limit_ms: int = field(default=3000)

    def ready(self) -> None:
        """Take it for ready."""
        self.is_ready = True

    def alive(self, within_s: float | None = None) -> None:
        """Be fed."""
        limit_ms = self.limit_ms if within_s is None else min(self.limit_ms, within_s * 1000)
        self.bites_ms = self.now_ms() + round(limit_ms)

    def stopping(self) -> None:
        """Take it for stopping."""
        self.is_ready = False
