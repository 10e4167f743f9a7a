"""Which two times bound now: the wall clock's, and the last believed one carried on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from doorctl.core.moments import BootTime, Bounds, CarriedTime, ClockState, Moment


class Carrier:
    """Carry the last believed time on by CLOCK_BOOTTIME; not thread-safe.

    A settled moment is believed, and a time for which somebody answers as far as retention goes.

    Args:
        high_water: the highest trusted time of earlier runs: believed where nothing is `kept`.
        kept: what an earlier process has carried, of this boot or an earlier one; from then on what
            this one has.
    """

    def __init__(self, high_water: datetime, kept: CarriedTime | None = None) -> None:
        self._high_water = high_water.astimezone(UTC)
        self.kept = kept

    def now(self, boot: BootTime) -> datetime:
        """Return the UTC time that has certainly come."""
        return self._on(boot).now

    def lower(self, wall: datetime, boot: BootTime) -> None:
        """Take back what lies after a time that staff confirm, aware; it came from a wrong clock.

        A later time is not believed by that: it has to settle.
        """
        if self.now(boot) > wall:
            now = wall.astimezone(UTC)
            self.kept = CarriedTime(now, now, boot)

    def bound(
        self, moment: Moment, wall: datetime, boot: BootTime, *, vouched: bool, believed: bool
    ) -> Moment:
        """Return a moment with its bounds, all read at the same time; `wall` is aware.

        If `believed`, somebody answers for the wall clock: it counts as right, and is carried on.
        """
        wall = wall.astimezone(UTC)
        if believed:
            mark, local = min(moment.high_water, wall), wall.astimezone(moment.local.tzinfo)
            moment = Moment(local, mark, ClockState.TRUSTED)
        if moment.settled:
            now = moment.local.astimezone(UTC)
            self.kept = CarriedTime(now, now, boot)
        else:
            # Not the mark, which two sources lift at once: rows are dated once that has settled.
            self.kept = self._on(boot)
        return replace(moment, bounds=Bounds(wall, vouched, self.kept))

    def _on(self, boot: BootTime) -> CarriedTime:
        if self.kept is None:
            return CarriedTime(self._high_water, self._high_water, boot)
        return self.kept.on(boot)
