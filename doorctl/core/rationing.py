"""How often people are called: each kind now and then, all kinds together so many times an hour.

Pure: time is an argument. Nothing is lost for ever: what has to wait is counted and sent later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from doorctl.core.alarms import HELD_BACK, KINDS, UNLISTED, WITH_END, Urgency

HOUR_S = 3600.0

ORDER = {urgency: place for place, urgency in enumerate(Urgency)}


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """One alarm as it was raised; `at_s` is monotonic."""

    kind: str
    why: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Ration:
    """At most one notice of a kind in `interval_s`, and `most_per_hour` in all, at least 2.

    The last notice of an hour lists what waits.
    """

    interval_s: float
    most_per_hour: int


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to send now: the latest alarm of its kind, and how many there were."""

    heard: RaisedAlarm
    times: int


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
    """Decide which alarms are sent when. Not thread-safe; holds at most one record for each kind.

    - The first alarm of each kind goes at once; the next after `interval_s`, with their number, or
      sooner where the list of alarms says so.
    - An alarm about a person in danger goes at once, each time, and counts for nothing below.
    - The end of an alarm is sent if the alarm was or still will be, and after it. Raised again
      before that, it has no end.
    - In any hour at most `most_per_hour` go in all, and no more than half of them are of kinds that
      can wait. Alarms that come again within `interval_s` have a quarter of them, each kind for
      itself, so that one leaf that opens and shuts leaves room for the rest.
    - An acknowledged alarm is not sent again while it stands; its end is sent.
    - Waiting alarms go later: kinds that were never sent first, then the most urgent. A notice that
      they wait is sent once an hour.
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
        if heard.kind not in KINDS:
            heard = RaisedAlarm(UNLISTED, f"{heard.kind}: {heard.why}", heard.at_s)
        if heard.kind in self._silenced:
            return
        if (raised := KINDS[heard.kind].clears) is not None:
            self.listen(raised)
            if not self._is_known(raised):
                return
        for ending in (kind for kind, known in KINDS.items() if known.clears == heard.kind):
            if ending in self._records:
                self._records[ending].waiting = 0
        record = self._records.setdefault(heard.kind, _Record(heard))
        if not record.waiting:
            record.since_s = heard.at_s
        record.heard = heard
        record.waiting += 1

    def silence(self, kind: str) -> None:
        """Drop the waiting and later alarms of a kind until its end; never a call for help.

        A kind without an end is over once it is acknowledged; the next one is a new alarm.
        """
        known = KINDS.get(kind)
        if known is None or known.for_people:
            return
        if kind in self._records:
            self._records[kind].waiting = 0
        if kind in WITH_END:
            self._silenced.add(kind)

    def listen(self, kind: str) -> None:
        """End the silence of a kind, if it was silenced."""
        self._silenced.discard(kind)

    def due(self, now_s: float) -> list[Due]:
        """Return the notices to send now, in order, and count them as sent."""
        while self._sent and now_s - self._sent[0].at_s >= HOUR_S:
            self._sent.popleft()
        notices = list(chain.from_iterable(iter(lambda: list(self._round(now_s)), [])))
        return notices + self._summary(now_s)

    def _is_known(self, kind: str) -> bool:
        record = self._records.get(kind)
        return record is not None and (record.reported or record.waiting > 0)

    def _round(self, now_s: float) -> Iterator[Due]:
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

    def _take(self, record: _Record, sent: _Sent) -> Due:
        kind = KINDS[sent.kind]
        due = Due(record.heard, record.waiting)
        record.waiting, record.sent_s, record.reported = 0, sent.at_s, True
        if kind.clears is not None:
            self._records[kind.clears].reported = False
        if not kind.for_people:
            self._sent.append(sent)
        return due

    def _summary(self, now_s: float) -> list[Due]:
        last_s = self._summary_s
        waiting = self._ready(now_s)
        if not waiting or (last_s is not None and now_s - last_s < HOUR_S):
            return []
        self._summary_s = now_s
        why = ", ".join(f"{record.heard.kind} x {record.waiting}" for record in waiting)
        times = sum(record.waiting for record in waiting)
        return [Due(RaisedAlarm(HELD_BACK, why, now_s), times)]


def _rank(record: _Record) -> tuple[bool, bool, int, float]:
    kind = KINDS[record.heard.kind]
    again = record.sent_s is not None
    return (not kind.for_people, again, ORDER[kind.urgency], record.since_s)
