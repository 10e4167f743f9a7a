"""Which alarms stand: their records, and how the table is made to agree with the processes.

An alarm stands from its first line in the log until its end is reported, or, where its kind has no
end, until somebody has acknowledged it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from doorctl.core.alarms import DOOR_SILENT, ENDS, KINDS, AlarmKind, RaisedAlarm, Source, kind_of
from doorctl.core.moments import Moment
from doorctl.core.texts import without_numbers

LONGEST_WHY = 300
"""Characters of an alarm's own words; the rest is cut."""


ON_THE_WAY = timedelta(seconds=30)
"""An alarm that is younger may still be on its way from the door, and is left alone."""


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that stands or stood; times are UTC, `cleared_at` is None while it stands.

    `since` is when it was first raised, `last` when last, to which `source` and `why` belong.
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
        return kind_of(self.kind)


@dataclass(frozen=True, slots=True)
class Differences:
    """How the table differs from what both processes say.

    `missing` has to be put on it. `disproved` is over, for the process that raised it has found
    that all is well. So is `forgotten`, of which no process knows.
    """

    missing: tuple[AlarmRecord, ...] = ()
    disproved: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()


def differences(
    kept: Sequence[AlarmRecord],
    raised: Collection[AlarmRecord],
    well: Mapping[Source, Collection[str]],
    now: datetime,
) -> Differences:
    """Compare the table's standing alarms with those of both processes, which have answered.

    A process that begins anew has forgotten its alarms. What it finds `well` is over; of the rest,
    one that staff have acknowledged is over, else it stands, because a power cut must not make a
    forced door forgotten. Those younger than :data:`ON_THE_WAY` at `now`, aware, are left as they
    are.
    """
    settled = now - ON_THE_WAY
    names = {alarm.kind for alarm in raised}
    standing = {alarm.kind for alarm in kept}
    missing = (alarm for alarm in raised if alarm.kind not in standing and alarm.since <= settled)
    unsaid = [
        row for row in kept if row.kind in ENDS and row.kind not in names and row.last <= settled
    ]
    disproved = frozenset(row.kind for row in unsaid if row.kind in well.get(row.source, ()))
    forgotten = frozenset(
        row.kind for row in unsaid if row.acknowledged_at is not None or row.kind == DOOR_SILENT
    )
    return Differences(tuple(missing), disproved, forgotten - disproved)


def to_be_kept(heard: RaisedAlarm, moment: Moment, now_s: float) -> AlarmRecord:
    """Return an alarm, or an end, for the table; one of a kind that is not listed as ``unlisted``.

    `now_s` is `moment` by the monotonic clock, from which the alarm's time is counted back.
    """
    heard = heard.listed
    at = moment.known_time - timedelta(seconds=max(0.0, now_s - heard.at_s))
    return AlarmRecord(heard.kind, heard.source, at, at, 1, own_words(heard))


def own_words(heard: RaisedAlarm) -> str:
    """Return an alarm's own words as they may be shown: one line, short, without numbers."""
    if KINDS[heard.kind].wordless:
        return ""
    plain = "".join(c if c.isprintable() else " " for c in heard.why)
    return without_numbers(plain, "…")[:LONGEST_WHY]
