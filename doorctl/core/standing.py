"""Which alarms stand: their records, and how the table is made to agree with the processes.

An alarm stands from its first line in the log until its end is reported, or, where its kind has
no end, until somebody has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from threading import Lock

from doorctl.core.alarms import DOOR_SILENT, KINDS, UNLISTED, WITH_END, AlarmKind
from doorctl.core.moments import Moment
from doorctl.core.rationing import RaisedAlarm
from doorctl.core.staff_text import without_numbers

LONGEST_WHY = 300
"""Characters of an alarm's own words; the rest is cut."""

ON_THE_WAY = timedelta(seconds=30)
"""An alarm that is younger may still be on its way from the door, and is left alone."""


class Source(Enum):
    """The process that raised an alarm; the values are fixed names in the table."""

    DOOR = "door"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm, or the end of one, for the table; `kind` is on the list of alarms, `at` is aware.

    `why` is the alarm's own words, short and without numbers.
    """

    kind: str
    source: Source
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that stands or stood; times are UTC, `cleared_at` is None while it stands.

    `kind` is or was on the list of alarms. `since` is the first time that it was raised; `last` is
    the last time, to which `source` and `why` belong.
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

    @property
    def known(self) -> AlarmKind:
        """What the list says of its kind; that of ``unlisted`` for one that left the list."""
        return KINDS.get(self.kind, KINDS[UNLISTED])


class Raised:
    """The alarms that a process has raised and not ended yet. Thread-safe, never waits for long.

    It keeps only kinds that have an end; other alarms are moments, which do not stand.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._heard: dict[str, RaisedAlarm] = {}

    def hear(self, heard: RaisedAlarm) -> None:
        """Note an alarm or an end."""
        known = KINDS.get(heard.kind)
        if known is None:
            return
        with self._guard:
            if known.clears is not None:
                self._heard.pop(known.clears, None)
            elif heard.kind in WITH_END:
                self._heard[heard.kind] = heard

    def standing(self) -> tuple[RaisedAlarm, ...]:
        """Return each standing alarm, as it was raised last."""
        with self._guard:
            return tuple(self._heard.values())


@dataclass(frozen=True, slots=True)
class Differences:
    """The changes that make the table agree with the processes."""

    missing: tuple[AlarmChange, ...]
    over: frozenset[str]


def differences(
    kept: Sequence[AlarmRecord], raised: Collection[AlarmChange], now: datetime
) -> Differences:
    """Compare the table's standing alarms with those of the processes.

    A process that begins anew has forgotten its alarms. An alarm that staff have acknowledged is
    over then: if it came again, it would have to be sent again. An alarm that nobody has seen
    stands until somebody has, because a power cut must not make a forced door forgotten.

    Args:
        raised: from both processes; the door has answered, so it is not silent.
        now: aware; alarms younger than :data:`ON_THE_WAY` are left as they are.
    """
    settled = now - ON_THE_WAY
    names = {alarm.kind for alarm in raised}
    standing = {alarm.kind for alarm in kept}
    missing = (alarm for alarm in raised if alarm.kind not in standing and alarm.at <= settled)
    over = (
        row.kind
        for row in kept
        if row.kind in WITH_END and row.kind not in names and row.last <= settled
        if row.acknowledged_at is not None or row.kind == DOOR_SILENT
    )
    return Differences(tuple(missing), frozenset(over))


def to_be_kept(heard: RaisedAlarm, source: Source, moment: Moment, now_s: float) -> AlarmChange:
    """Return an alarm for the table; a kind that is not on the list counts as ``unlisted``.

    `now_s` is `moment` by the monotonic clock, from which the alarm's time is counted back.
    """
    if heard.kind not in KINDS:
        heard = replace(heard, kind=UNLISTED, why=f"{heard.kind}: {heard.why}")
    at = known_time(moment) - timedelta(seconds=max(0.0, now_s - heard.at_s))
    return AlarmChange(heard.kind, source, own_words(heard), at)


def known_time(moment: Moment) -> datetime:
    """Return the time, or the latest one known to have come while the clock is not set."""
    return moment.local if moment.dependable else moment.high_water


def own_words(heard: RaisedAlarm) -> str:
    """Return an alarm's own words as they may be shown: one line, short, without numbers.

    Empty where its kind allows nothing beyond the list's sentences.
    """
    if KINDS[heard.kind].wordless:
        return ""
    plain = "".join(c if c.isprintable() else " " for c in heard.why)
    return without_numbers(plain, "…")[:LONGEST_WHY]
