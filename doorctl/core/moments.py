"""Time as values: what the clock says, how far it can be trusted, and how long ago something was.

A Pi has no battery clock, so each reading says how good it is. Pure: see :class:`Timekeeper`
for the rules; `ops` reads the real clocks.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum

from doorctl.core.errors import InputError

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

_Reading = tuple[datetime, timedelta]
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
    accepted: _Reading
    doubt: _Reading | None = None
    doubted_at: timedelta | None = None
    leap: timedelta | None = None


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
        wary: whether the mark is one that stood, and somebody waits until this keeper's doubts end.
        floor: a reading whose time had certainly come; no guess lies before it.
    """

    def __init__(
        self, high_water: datetime, *, wary: bool = False, floor: _Reading | None = None
    ) -> None:
        # Within one time zone datetime adds and compares what the wall shows: an hour wrong
        # whenever the clocks change. So all that is kept and compared is UTC.
        self.high_water = high_water.astimezone(UTC)
        self._wary = wary
        self._floor = floor
        self._began: timedelta | None = None
        self._trusted: _Reading | None = None
        self._anchor: _Reading | None = None
        self._even: _Reading | None = None
        self._doubt: _Reading | None = None
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

        After a reboot CLOCK_BOOTTIME has begun anew and nobody knows how long the power was off. If
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


def _moved(since: _Reading | None, now: datetime, boot: timedelta) -> timedelta:
    """Return how far the wall clock was set against CLOCK_BOOTTIME; 0 where `since` is None."""
    return timedelta(0) if since is None else abs(now - _carried(since, boot))


def _carried(since: _Reading, boot: timedelta) -> datetime:
    return since[0] + (boot - since[1])


@dataclass(frozen=True, slots=True)
class Stamped:
    """When something happened: by the wall clock, with its quality, and by the boot clock."""

    utc: datetime
    state: ClockState
    boot: BootTime


# Dates and times as people type them; pages read a form's fields by `web.staff.filled_in`.

LAST_MINUTE = 24 * 60

_CLOCK = re.compile(r"(?:kl\.?\s*)?([0-9]{1,2})(?:[.:, ]?([0-5][0-9]))?", re.IGNORECASE)
_ISO_DAY = re.compile(r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})")
_DAY = re.compile(
    r"([0-9]{1,2})\s*[-./,]\s*([0-9]{1,2})(?:\s*[-./,]\s*(20[0-9]{2}|[0-9]{2}))?[.,]?"
)
_ISO_T = re.compile(r"(?<=[0-9])t(?=[0-9])")


def read_minute(typed: str) -> int:
    """Read a time of day: 12, 730, 7.30, 7:30, 0730, kl. 7; return minutes after midnight, 0-1440.

    InputError: it is none.
    """
    match = _CLOCK.fullmatch(typed.strip())
    minute = int(match[1]) * 60 + int(match[2] or 0) if match else LAST_MINUTE + 1
    if minute > LAST_MINUTE:
        raise InputError("write the time as 7.30, 730 or 7")
    return minute


def read_day(typed: str, today: date | None = None, *, past: bool = False) -> date:
    """Read a date from 2000 to 2099: 24.12.2026, 24/12-26, 24-12-2026, 2026-12-24.

    With `today`, 24/12 and 24.12 too: the next one from today on, or with `past` the last one until
    today. InputError: it is none.
    """
    iso, match = _ISO_DAY.fullmatch(typed.strip()), _DAY.fullmatch(typed.strip())
    year, month, day = iso.groups() if iso else match.group(3, 2, 1) if match else (None, "", "")
    found: list[date] = []
    for each in _years(year, today) if iso or match else ():
        with suppress(ValueError):
            found.append(date(each, int(month), int(day)))
    if year is None and today is not None:
        found = [at for at in found if (at <= today if past else at >= today)]
    if not found:
        raise InputError("write the date as 24.12.2026")
    return found[-1 if past else 0]


def read_moment(typed: str, today: date | None = None, *, past: bool = False) -> datetime:
    """Read a local date and time, without a zone: "24/12 7.30", "24.12.2026 kl. 21.05", ISO 8601.

    A time alone is `today`'s; else as :func:`read_day` and :func:`read_minute`.
    """
    before, _, clock = _ISO_T.sub(" ", typed.strip().lower()).rpartition(" ")
    written = before.rstrip(" .").removesuffix("kl").removesuffix("at").rstrip(" ,")
    with suppress(InputError):
        day = read_day(written, today, past=past) if written else today
        if day is not None:
            return datetime.combine(day, time()) + timedelta(minutes=read_minute(clock))
    raise InputError("write the date and the time as 24.12.2026 7.30")


def _years(written: str | None, today: date | None) -> tuple[int, ...]:
    if written is not None:
        return (2000 + int(written) % 100,)
    return () if today is None else (today.year - 1, today.year, today.year + 1)
