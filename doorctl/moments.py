"""Time as values: what the clock says, how far it can be trusted, and how long ago something was.

A Pi has no battery clock, so each reading says how good it is. Pure: see :class:`Timekeeper`
for the rules; `ops` reads the real clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

HOLDOVER_LIMIT = timedelta(days=7)
"""How long a clock without its source is still good: 20 ppm of a crystal are 12 s in 7 days."""


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
        """Tell how many milliseconds have passed for certain since `earlier`.

        Across a reboot only the time since this boot began is certain. Never negative.
        """
        if earlier.boot_id != self.boot_id:
            return self.ms
        return max(0, self.ms - earlier.ms)


@dataclass(frozen=True, slots=True)
class Moment:
    """A wall-clock reading.

    Args:
        local: the best guess, aware, in the branch's time zone; right where `dependable`.
        high_water: the highest trusted time ever seen, UTC; while the clock is untrusted it is
            the one thing known for certain: it is not earlier than this.
        state: where the reading comes from.
    """

    local: datetime
    high_water: datetime
    state: ClockState

    @property
    def dependable(self) -> bool:
        """Whether opening hours and dates may be judged by `local`."""
        return self.state is not ClockState.UNTRUSTED

    @property
    def latest_known(self) -> datetime:
        """The time that retention counts from: no lower than the high-water mark, never a guess."""
        return max(self.local, self.high_water) if self.dependable else self.high_water


class Timekeeper:
    """Judge wall-clock readings by what is known of the clock; not thread-safe.

    Trusted while a source vouches for the clock. In holdover when one did earlier in this boot:
    the time is then the last trusted one carried on by CLOCK_BOOTTIME, whatever the wall clock
    does. Else untrusted.

    Args:
        high_water: the highest trusted time of earlier runs, aware; kept in UTC.
    """

    def __init__(self, high_water: datetime) -> None:
        # Within one time zone datetime adds and compares what the wall shows: an hour wrong
        # whenever the clocks change. So all that is kept and compared is UTC.
        self.high_water = high_water.astimezone(UTC)
        self._trusted: tuple[datetime, timedelta] | None = None

    def read(self, wall: datetime, boot: timedelta, *, vouched: bool) -> Moment:
        """Turn one simultaneous reading of both clocks into a moment.

        Args:
            wall: the system clock, aware, in the branch's time zone.
            boot: CLOCK_BOOTTIME.
            vouched: whether a time source says that the system clock is right just now.
        """
        if vouched:
            self._trusted = (wall.astimezone(UTC), boot)
            return self._dependable(wall, ClockState.TRUSTED)
        if self._trusted is not None:
            base, at = self._trusted
            if boot - at <= HOLDOVER_LIMIT:
                carried_on = (base + (boot - at)).astimezone(wall.tzinfo)
                return self._dependable(carried_on, ClockState.HOLDOVER)
        guess = max(wall.astimezone(UTC), self.high_water).astimezone(wall.tzinfo)
        return Moment(guess, self.high_water, ClockState.UNTRUSTED)

    def _dependable(self, local: datetime, state: ClockState) -> Moment:
        self.high_water = max(self.high_water, local.astimezone(UTC))
        return Moment(local, self.high_water, state)
