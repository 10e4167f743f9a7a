"""Which alarms stand: what is kept of each, and how two accounts of it are brought together.

An alarm stands from its first line in the log until its end is told, or, where its kind has no
end, until somebody has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from threading import Lock
from typing import Protocol

from doorctl.core.alarms import DOOR_SILENT, KINDS, UNLISTED, WITH_END
from doorctl.core.moments import Moment
from doorctl.core.rationing import Heard
from doorctl.core.staff_text import without_numbers

LONGEST_WHY = 300
"""Characters of an alarm's own words; the rest is cut."""

ON_THE_WAY = timedelta(seconds=30)
"""What is younger may just be on its way from the door, and is left alone."""


class Source(Enum):
    """The process that raised an alarm; the values are fixed names in the table."""

    DOOR = "door"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Told:
    """An alarm, or the end of one, as it is to be kept.

    Args:
        kind: stands in the list of alarms.
        source: who raised it.
        why: its own words, short and without numbers.
        at: when it was, aware.
    """

    kind: str
    source: Source
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that stands or stood; times are UTC.

    Args:
        kind: stands in the list of alarms, or stood there when it was kept.
        source: who raised it last.
        since: when it was raised first.
        last: when it was raised last.
        count: how often.
        why: its words of the last time.
        cleared_at: when it was over, None while it stands.
        acknowledged_by: whose login has seen it.
        acknowledged_at: when.
    """

    kind: str
    source: Source
    since: datetime
    last: datetime
    count: int
    why: str
    cleared_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


class AlarmStore(Protocol):
    """The one writer of alarms. One thread; each call is one durable transaction, or part of one.

    Raises:
        StoreError: nothing was changed.
    """

    def hear(self, told: Told, moment: Moment) -> None:
        """Keep that an alarm was raised, or end the one whose end this is."""

    def end(self, kinds: Collection[str], moment: Moment) -> None:
        """End those of these kinds that stand."""

    def acknowledge(self, kind: str, by: str, moment: Moment) -> bool:
        """Keep who has seen it; what has no end of its own is over by that.

        Returns:
            Whether anything was changed: not where somebody had acknowledged it before.

        Raises:
            InputError: none of that kind stands.
        """


class AlarmHistory(Protocol):
    """Alarms, read-only. Thread-safe.

    Raises:
        StoreDamagedError: a record can't be read.
        StoreError: they are lost or can't be read.
    """

    def standing(self) -> tuple[AlarmRecord, ...]:
        """Return those that stand, the longest standing first."""

    def ended(self, limit: int) -> tuple[AlarmRecord, ...]:
        """Return the last ones that are over, the latest end first; none for a limit of 0."""


class Raised:
    """Which alarms a process has raised and not ended yet. Thread-safe, never waits for long.

    Only kinds that have an end; all others are moments, of which nobody can say that they stand.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._heard: dict[str, Heard] = {}

    def hear(self, heard: Heard) -> None:
        """Take note of an alarm or an end."""
        known = KINDS.get(heard.kind)
        if known is None:
            return
        with self._guard:
            if known.clears is not None:
                self._heard.pop(known.clears, None)
            elif heard.kind in WITH_END:
                self._heard[heard.kind] = heard

    def standing(self) -> tuple[Heard, ...]:
        """Return each that stands, as it was raised last."""
        with self._guard:
            return tuple(self._heard.values())


@dataclass(frozen=True, slots=True)
class Differences:
    """What the table has to be told so that it says what the processes say."""

    missing: tuple[Told, ...]
    over: frozenset[str]


def differences(
    kept: Sequence[AlarmRecord], raised: Collection[Told], now: datetime
) -> Differences:
    """Compare what is kept as standing with what the processes say stands.

    A process that begins anew has forgotten its alarms. One that staff have acknowledged is over
    then: if it came again, it would have to be told again. One that nobody has seen goes on
    standing, however, until somebody has: a power cut must not make a forced door forgotten.

    Args:
        kept: the rows that stand.
        raised: what both processes say; the door has answered, so it is not silent.
        now: aware; what is younger than :data:`ON_THE_WAY` is left as it is.
    """
    settled = now - ON_THE_WAY
    names = {one.kind for one in raised}
    standing = {one.kind for one in kept}
    missing = (one for one in raised if one.kind not in standing and one.at <= settled)
    over = (
        one.kind
        for one in kept
        if one.kind in WITH_END and one.kind not in names and one.last <= settled
        if one.acknowledged_at is not None or one.kind == DOOR_SILENT
    )
    return Differences(tuple(missing), frozenset(over))


def to_be_kept(heard: Heard, source: Source, moment: Moment, now_s: float) -> Told:
    """Return an alarm as it is kept; one that is not on the list counts as ``unlisted``.

    Args:
        heard: the alarm.
        source: who raised it.
        moment: the time now.
        now_s: the same by the monotonic clock, from which the alarm's time is counted back.
    """
    if heard.kind not in KINDS:
        heard = replace(heard, kind=UNLISTED, why=f"{heard.kind}: {heard.why}")
    at = known_time(moment) - timedelta(seconds=max(0.0, now_s - heard.at_s))
    return Told(heard.kind, source, own_words(heard), at)


def known_time(moment: Moment) -> datetime:
    """Return the time, or while the clock is not set the latest one known to have come."""
    return moment.local if moment.dependable else moment.high_water


def own_words(heard: Heard) -> str:
    """Return an alarm's own words as they may be shown: one line, short, without numbers.

    Empty where its kind allows nothing beyond the list's sentences.
    """
    if KINDS[heard.kind].wordless:
        return ""
    plain = "".join(c if c.isprintable() else " " for c in heard.why)
    return without_numbers(plain, "…")[:LONGEST_WHY]
