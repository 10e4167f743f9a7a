"""How often people are called: which alarms are sent when. Pure.

Nothing is lost for ever: what has to wait is counted and sent later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from doorctl.core.alarms import ENDS, HELD_BACK, KINDS, ORDER, RaisedAlarm, Urgency, kind_of

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Ration:
    """At most one notice of a kind in `interval_s`, and `most_per_hour` in all, at least 2.

    The last notice of an hour lists what waits.
    """

    interval_s: float
    most_per_hour: int


@dataclass(slots=True)
class _Record:
    heard: RaisedAlarm
    waiting: int = 0
    since_s: float = 0.0
    sent_s: float | None = None
    # Whether people were notified and believe that this alarm stands.
    reported: bool = False

    def rests(self, now_s: float, rest_s: float) -> bool:
        return self.sent_s is not None and now_s - self.sent_s < rest_s


@dataclass(frozen=True, slots=True)
class _Sent:
    at_s: float
    kind: str
    again: bool

    @property
    def patient(self) -> bool:
        return KINDS[self.kind].urgency is not Urgency.NOW


class Rationing:
    """Decide which alarms are sent when. Not thread-safe; at most one record for each kind.

    - The first of each kind goes at once; the next after its rest, with their number.
    - An alarm about a person in danger goes at once, each time, and counts for nothing below.
    - An end is sent after its alarm, if that was or will be. Raised again before, it has no end.
    - In any hour at most `most_per_hour` go, no more than half of them of kinds that can wait, and
    a quarter for each kind that comes again within `interval_s`.
    - An acknowledged alarm is not sent again while it stands; its end is sent.
    - Waiting alarms go later: kinds never sent first, then the most urgent; once an hour a notice
    says that they wait.
    """

    def __init__(self, ration: Ration) -> None:
        self.ration = ration
        self._records: dict[str, _Record] = {}
        self._sent: deque[_Sent] = deque()
        self._summary_s: float | None = None
        self._silenced: set[str] = set()

    @property
    def waits(self) -> bool:
        """Whether notices still wait."""
        return any(record.waiting for record in self._records.values())

    def hear(self, heard: RaisedAlarm) -> None:
        """Note an alarm; a kind that is not on the list counts as ``unlisted``."""
        heard = heard.listed
        if heard.kind in self._silenced:
            return
        if (raised := KINDS[heard.kind].clears) is not None:
            self.listen(raised)
            if not self._is_known(raised):
                return
        if (ending := self._records.get(ENDS.get(heard.kind, ""))) is not None:
            ending.waiting = 0
        record = self._records.setdefault(heard.kind, _Record(heard))
        if not record.waiting:
            record.since_s = heard.at_s
        record.heard = heard
        record.waiting += 1

    def silence(self, kind: str) -> None:
        """Drop the waiting and later alarms of a kind until its end; never a call for help."""
        if kind_of(kind).for_people:
            return
        if kind in self._records:
            self._records[kind].waiting = 0
        if kind in ENDS:
            self._silenced.add(kind)

    def listen(self, kind: str) -> None:
        """End the silence of a kind, if it was silenced."""
        self._silenced.discard(kind)

    def due(self, now_s: float) -> list[RaisedAlarm]:
        """Return the notices to send now, in order, and count them as sent."""
        while self._sent and now_s - self._sent[0].at_s >= HOUR_S:
            self._sent.popleft()
        notices = list(chain.from_iterable(iter(lambda: list(self._round(now_s)), [])))
        return notices + self._summary(now_s)

    def _is_known(self, kind: str) -> bool:
        record = self._records.get(kind)
        return record is not None and (record.reported or record.waiting > 0)

    def _round(self, now_s: float) -> Iterator[RaisedAlarm]:
        # An end may follow in the same turn, once its alarm is on the way.
        for record in self._ready(now_s):
            if self._has_room(notice := self._as_sent(record, now_s)):
                yield self._take(record, notice)

    def _ready(self, now_s: float) -> list[_Record]:
        ready = [
            record
            for record in self._records.values()
            if record.waiting and not record.rests(now_s, self._rest_s(record.heard.kind))
            if not self._is_early(record.heard.kind)
        ]
        return sorted(ready, key=_rank)

    def _is_early(self, kind: str) -> bool:
        raised = KINDS[kind].clears
        return raised is not None and self._records[raised].waiting > 0

    def _rest_s(self, kind: str) -> float:
        known_s = KINDS[kind].rest_s
        return self.ration.interval_s if known_s is None else min(known_s, self.ration.interval_s)

    def _as_sent(self, record: _Record, now_s: float) -> _Sent:
        again = record.rests(now_s, self.ration.interval_s)
        return _Sent(now_s, record.heard.kind, again)

    def _has_room(self, candidate: _Sent) -> bool:
        if KINDS[candidate.kind].for_people:
            return True
        most = self.ration.most_per_hour
        if len(self._sent) >= most - 1:
            return False
        if candidate.patient and sum(sent.patient for sent in self._sent) >= most // 2:
            return False
        repeats = sum(sent.again and sent.kind == candidate.kind for sent in self._sent)
        return not candidate.again or repeats < max(1, most // 4)

    def _take(self, record: _Record, sent: _Sent) -> RaisedAlarm:
        kind = KINDS[sent.kind]
        due = replace(record.heard, times=record.waiting)
        record.waiting, record.sent_s, record.reported = 0, sent.at_s, True
        if kind.clears is not None:
            self._records[kind.clears].reported = False
        if not kind.for_people:
            self._sent.append(sent)
        return due

    def _summary(self, now_s: float) -> list[RaisedAlarm]:
        last_s = self._summary_s
        waiting = self._ready(now_s)
        if not waiting or (last_s is not None and now_s - last_s < HOUR_S):
            return []
        self._summary_s = now_s
        why = ", ".join(f"{record.heard.kind} x {record.waiting}" for record in waiting)
        times = sum(record.waiting for record in waiting)
        return [RaisedAlarm(HELD_BACK, why, now_s, times=times)]


def _rank(record: _Record) -> tuple[bool, bool, int, float]:
    kind = KINDS[record.heard.kind]
    again = record.sent_s is not None
    return (not kind.for_people, again, ORDER[kind.urgency], record.since_s)
