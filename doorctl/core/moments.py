"""Time as values: what the clock says, how far it can be trusted, and how long ago something was.

A Pi has no battery clock, so each reading says how good it is. Pure: `core.timekeeper`
has the rules; `ops` reads the real clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

HOLDOVER_LIMIT = timedelta(days=7)
"""How long a clock without its source is still good: 20 ppm of a crystal are 12 s in 7 days."""

SLEWED = timedelta(hours=1)
"""A clock that moved this much against the monotonic one, or more, was set."""

SMALL = timedelta(minutes=5)
"""Error of a battery clock after a long outage; a correction up to this is not reported."""

STOOD = timedelta(hours=1)
"""How long a time runs evenly before it lifts the high-water mark, or two sources end a doubt."""

SETTLED = timedelta(hours=6)
"""How long after a doubt nothing is done that can't be undone."""

AWAY = timedelta(days=1)
"""After a longer time off, the door can't know its length: at its start one source alone gives it.

It is believed, because patrons wait, but for :data:`SETTLED` nothing is done that can't be undone.
"""

ClockReading = tuple[datetime, timedelta]
"""The wall clock in UTC and CLOCK_BOOTTIME at the same time."""


class ClockState(Enum):
    """How far a wall-clock reading can be trusted."""

    TRUSTED = "trusted"
    HOLDOVER = "holdover"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class BootTime:
    """Milliseconds of CLOCK_BOOTTIME within one boot; no wall-clock jump touches it."""

    boot_id: str
    ms: int

    def ms_since(self, earlier: BootTime) -> int:
        """Return how many milliseconds have certainly passed since `earlier`; never negative.

        Across a reboot only the time since this boot began is certain.
        """
        if earlier.boot_id != self.boot_id:
            return self.ms
        return max(0, self.ms - earlier.ms)


@dataclass(frozen=True, slots=True)
class CarriedTime:
    """The last believed time, and `now`, where CLOCK_BOOTTIME has carried it at `boot`; both UTC.

    So long has certainly passed: the time without power is left out.
    """

    believed: datetime
    now: datetime
    boot: BootTime

    def on(self, boot: BootTime) -> CarriedTime:
        """Return it carried on to another reading, of this boot or a later one."""
        passed = timedelta(milliseconds=boot.ms_since(self.boot))
        return CarriedTime(self.believed, self.now + passed, boot)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two clocks between which now lies: the wall clock, UTC, and the carried time."""

    wall: datetime
    vouched: bool
    carried: CarriedTime


class ClockDoubt(Enum):
    """Why nothing is deleted by the wall clock alone; the values are fixed names."""

    NONE = "none"
    UNSET = "unset"
    STEPPED = "stepped"
    LEAPT = "leapt"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Moment:
    """A wall-clock reading: `local` is the best guess, aware; right where `dependable`.

    While the clock is untrusted only `high_water`, UTC, is certain: it is not earlier. `stepped`:
    the clock is in doubt, or was until a few hours ago: then nothing is deleted by it. `leap`: how
    much more time than is certain has passed over the last boot, by the word of one source alone;
    None once a second witness has confirmed the time.

    Old rows are hidden by the :attr:`latest` time that it can be and deleted by the
    :meth:`earliest`. For both it needs `bounds`, which only `Clock.bounded` gives.
    """

    local: datetime
    high_water: datetime
    state: ClockState
    stepped: bool = False
    leap: timedelta | None = None
    bounds: Bounds | None = field(default=None, compare=False)

    @property
    def dependable(self) -> bool:
        """Whether opening hours and dates may be judged by `local`."""
        return self.state is not ClockState.UNTRUSTED

    @property
    def settled(self) -> bool:
        """Whether rows may be dated and deleted by `local` alone.

        Not by a leap that one source alone vouches for: it may be a lie that empties the log.
        """
        return self.dependable and not self.stepped and not self.leapt

    @property
    def in_doubt(self) -> bool:
        """Whether the clock is untrusted though a source vouches for it, or did before a start."""
        return self.stepped and not self.dependable

    @property
    def unconfirmed(self) -> bool:
        """Whether one source alone has given the time since the boot: no door stands free by it."""
        return self.dependable and self.leap is not None

    @property
    def leapt(self) -> bool:
        """Whether such a time is so late that it has to be told at once."""
        return self.dependable and self.leap is not None and self.leap >= SLEWED

    @property
    def known_time(self) -> datetime:
        """The local time that is certain: an unset clock is only past its high-water mark."""
        return self.local if self.dependable else self.high_water.astimezone(self.local.tzinfo)

    @property
    def latest_known(self) -> datetime:
        """The time for retention: no lower than the high-water mark, never a guess."""
        return max(self.local, self.high_water) if self.dependable else self.high_water

    @property
    def latest(self) -> datetime:
        """The time by which old rows are hidden: the later clock; hiding ends with the doubt."""
        if self.settled or self.bounds is None:
            return self.latest_known
        return max(self.latest_known, self.bounds.wall, self.bounds.carried.now)

    @property
    def certain(self) -> datetime:
        """The UTC time that has certainly come."""
        known = self.known_time.astimezone(UTC)
        if self.dependable or self.bounds is None:
            return known
        return max(known, self.bounds.carried.now)

    def earliest(self, retention: timedelta) -> datetime:
        """Return the UTC time by which rows of that retention are deleted: the earlier clock.

        An unset wall clock is none. One that somebody vouches for is, until the machine has run for
        the retention without a believed time: what was on record then is that old by either clock.
        """
        local = self.local.astimezone(UTC)
        if self.settled:
            return local
        if self.bounds is None:
            return min(local, self.high_water) if self.dependable else self.high_water
        carried = self.bounds.carried
        if self.dependable:
            return min(carried.now, local)
        is_witness = self.bounds.vouched and carried.now - carried.believed < retention
        return min(carried.now, self.bounds.wall) if is_witness else carried.now

    @property
    def doubt(self) -> ClockDoubt:
        """Why it is not settled, or that it is."""
        if not self.dependable:
            return ClockDoubt.STEPPED if self.stepped else ClockDoubt.UNSET
        if self.leapt:
            return ClockDoubt.LEAPT
        return ClockDoubt.SETTLING if self.stepped else ClockDoubt.NONE


@dataclass(frozen=True, slots=True)
class KeptReadings:
    """What a `Timekeeper` knows of the clock in one boot, for the process after it.

    Each reading is the wall clock in UTC and CLOCK_BOOTTIME at the same time. `accepted`: where the
    clock should be; `doubt`: since when it is elsewhere, None where it is not; `doubted_at`: when
    it was in doubt last; `leap`: as of `Moment`.
    """

    boot_id: str
    accepted: ClockReading
    doubt: ClockReading | None = None
    doubted_at: timedelta | None = None
    leap: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Stamped:
    """When something happened: by the wall clock, with its quality, and by the boot clock."""

    utc: datetime
    state: ClockState
    boot: BootTime
