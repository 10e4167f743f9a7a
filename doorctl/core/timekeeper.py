"""How clock readings become moments: which are believed, and what carries the time on; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from doorctl.core.moments import (
    AWAY,
    HOLDOVER_LIMIT,
    SETTLED,
    SLEWED,
    SMALL,
    STOOD,
    BootTime,
    Bounds,
    CarriedTime,
    ClockReading,
    ClockState,
    KeptReadings,
    Moment,
)


class Timekeeper:
    """Judge wall-clock readings by what is known of the clock; not thread-safe.

    Trusted while a source vouches for the clock. In holdover when one did earlier in this boot:
    the time is then the last trusted one carried on by CLOCK_BOOTTIME, whatever the wall clock
    does. Else untrusted.

    A source can be wrong. A vouched time is in doubt, so untrusted, where it is :data:`SMALL` below
    the high-water mark or was set by :data:`SLEWED` against CLOCK_BOOTTIME:

    ======== =========================================== ============================
    now      a vouched reading                           then
    ======== =========================================== ============================
    believed is where it should be                       believed
    believed is not                                      in doubt
    in doubt is where it should be                       believed
    in doubt is elsewhere, again                         in doubt, its hour anew
    in doubt has stood :data:`STOOD`, two sources agree  believed, the mark set to it
    in doubt else                                        in doubt
    any      :meth:`believe` (staff)                     believed, the mark set to it
    ======== =========================================== ============================

    A start has nothing to compare with but the mark, which may lie far behind after an outage: a
    time that is :data:`AWAY` above it is believed, and `stepped` unless two sources agree. What an
    earlier process knew is taken up by :meth:`resume`, so that no restart ends a doubt.

    So after a boot a believed time is unconfirmed until a second witness agrees:

    =========== ============================================ ============
    now         what comes                                   then
    =========== ============================================ ============
    unconfirmed two sources agree on a believed time         confirmed
    unconfirmed :meth:`confirm`, and it agrees               confirmed
    unconfirmed :meth:`believe` (staff)                      confirmed
    unconfirmed anything else, however long                  unconfirmed
    confirmed   anything, until the next boot                confirmed
    =========== ============================================ ============

    The mark rises only by a time that has run evenly for :data:`STOOD`, and not while `stepped`.

    Args:
        high_water: the highest trusted time of earlier runs, aware; kept in UTC.
        wary: whether the mark is one that stood, and a caller waits until this keeper's doubts end.
        floor: a reading whose time had certainly come; no guess lies before it.
    """

    def __init__(
        self, high_water: datetime, *, wary: bool = False, floor: ClockReading | None = None
    ) -> None:
        # Within one time zone datetime adds and compares what the wall shows: an hour wrong
        # whenever the clocks change. So all that is kept and compared is UTC.
        self.high_water = high_water.astimezone(UTC)
        self._wary = wary
        self._floor = floor
        self._began: timedelta | None = None
        self._trusted: ClockReading | None = None
        self._anchor: ClockReading | None = None
        self._even: ClockReading | None = None
        self._doubt: ClockReading | None = None
        self._doubted_at: timedelta | None = None
        self._certain = self.high_water if wary else None
        self._leap: timedelta | None = timedelta(0)

    def read(
        self, wall: datetime, boot: timedelta, *, vouched: bool, agreed: bool = False
    ) -> Moment:
        """Turn one simultaneous reading of both clocks into a moment; `wall` is aware.

        `vouched`: a time source calls it right just now; `agreed`: a second, independent one
        agrees.
        """
        self._began = boot if self._began is None else self._began
        if vouched:
            self._judge(wall.astimezone(UTC), boot, agreed=agreed)
        if self._doubt is None and vouched:
            self._trusted = (wall.astimezone(UTC), boot)
            return self._dependable(wall, boot, ClockState.TRUSTED)
        carried_on = self._carried_on(boot)
        if self._doubt is None and carried_on is not None:
            return self._dependable(carried_on.astimezone(wall.tzinfo), boot, ClockState.HOLDOVER)
        guess = carried_on or max(self._should_be(wall, boot), self._certain_at(boot))
        local = guess.astimezone(wall.tzinfo)
        return Moment(local, self.high_water, ClockState.UNTRUSTED, stepped=self._stepped(boot))

    def believe(self, wall: datetime, boot: timedelta) -> None:
        """Accept a reading, because staff or two sources confirm it; also above the mark."""
        now = wall.astimezone(UTC)
        self._doubt, self._doubted_at = None, boot
        self._certain = self._leap = None
        self._trusted = self._anchor = self._even = (now, boot)
        self.high_water = now

    def confirm(self, at: datetime, boot: timedelta) -> bool:
        """Compare the believed time with what a witness says just now, aware; tell if they agree.

        One that differs by :data:`SMALL` proves nothing, not even that the clock is wrong.
        """
        believed = None if self._doubt is not None else self._carried_on(boot)
        if believed is None or abs(believed - at) >= SMALL:
            return False
        self._leap = None
        return True

    def kept(self, boot: BootTime) -> KeptReadings | None:
        """Return what the next process has to know; None before a reading was believed."""
        if self._anchor is None:
            return None
        now = timedelta(milliseconds=boot.ms)
        return KeptReadings(
            boot.boot_id,
            (_carried(self._anchor, now), now),
            self._doubt,
            self._doubted_at,
            self._leap,
        )

    def resume(self, kept: KeptReadings, boot_id: str) -> None:
        """Go on from what an earlier process knew; before the first reading.

        After a reboot CLOCK_BOOTTIME has begun anew, and how long the power was off is unknown. If
        no doubt stood, that is a start like any other. Else it stands on, unless the time is where
        it should be if the power was off for less than :data:`SLEWED`.
        """
        if kept.boot_id == boot_id:
            self._wary, self._certain, self._leap = False, None, kept.leap
            self._anchor, self._doubt, self._doubted_at = kept.accepted, kept.doubt, kept.doubted_at
            return
        self._certain = max(self._certain or kept.accepted[0], kept.accepted[0])
        if kept.doubt is not None:
            began, self._doubted_at = kept.accepted[0], timedelta(0)
            self._doubt = (began, timedelta(0))
            # So old that the first time which is believed takes its place.
            self._anchor = (began - HOLDOVER_LIMIT, -HOLDOVER_LIMIT)

    def _judge(self, now: datetime, boot: timedelta, *, agreed: bool) -> None:
        if self.high_water - now < SMALL and _moved(self._anchor, now, boot) < SLEWED:
            self._doubt = None
            self._note_leap(now, boot, agreed=agreed)
            first, self._wary = self._wary, False
            passed = boot - (self._began or boot)
            if first and not agreed and now - self.high_water >= passed + AWAY:
                self._doubted_at = boot
            if self._anchor is None or boot - self._anchor[1] >= HOLDOVER_LIMIT:
                self._anchor = (now, boot)
            return
        self._doubted_at = boot
        if self._doubt is None or _moved(self._doubt, now, boot) >= SMALL:
            self._doubt = (now, boot)
        elif agreed and boot - self._doubt[1] >= STOOD:
            self.believe(now, boot)

    def _note_leap(self, now: datetime, boot: timedelta, *, agreed: bool) -> None:
        certain, self._certain = self._certain, None
        if certain is not None:
            # All of this boot has certainly passed.
            self._leap = max(timedelta(0), now - certain - boot)
        if agreed:
            self._leap = None

    def _carried_on(self, boot: timedelta) -> datetime | None:
        if self._trusted is None or boot - self._trusted[1] > HOLDOVER_LIMIT:
            return None
        return _carried(self._trusted, boot)

    def _certain_at(self, boot: timedelta) -> datetime:
        since = self._trusted or self._floor
        return self.high_water if since is None else max(self.high_water, _carried(since, boot))

    def _should_be(self, wall: datetime, boot: timedelta) -> datetime:
        if self._doubt is None or self._anchor is None:
            return wall.astimezone(UTC)
        return _carried(self._anchor, boot)

    def _stepped(self, boot: timedelta) -> bool:
        if self._doubt is not None:
            return True
        return self._doubted_at is not None and boot - self._doubted_at < SETTLED

    def _dependable(self, local: datetime, boot: timedelta, state: ClockState) -> Moment:
        now, stepped = local.astimezone(UTC), self._stepped(boot)
        if self._even is None or _moved(self._even, now, boot) >= SMALL:
            self._even = (now, boot)
        if boot - self._even[1] >= STOOD and not stepped:
            self.high_water = max(self.high_water, now)
        return Moment(local, self.high_water, state, stepped=stepped, leap=self._leap)


def _moved(since: ClockReading | None, now: datetime, boot: timedelta) -> timedelta:
    """Return how far the wall clock was set against CLOCK_BOOTTIME; 0 where `since` is None."""
    return timedelta(0) if since is None else abs(now - _carried(since, boot))


def _carried(since: ClockReading, boot: timedelta) -> datetime:
    return since[0] + (boot - since[1])


class Carrier:
    """Carry the last believed time on by CLOCK_BOOTTIME; not thread-safe.

    A settled moment is believed; so is, for retention, a time for which a member of staff answers.

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

        If `believed`, staff answer for the wall clock: it counts as right, and is carried on.
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
