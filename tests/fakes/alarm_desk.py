"""Alarms in memory, as the staff pages see them: the same contract suite as ``branch.db``'s."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from doorctl.core.alarms import KINDS, WITH_END, Urgency
from doorctl.core.errors import InputError, StoreError
from doorctl.services.alarms import StandingAlarm
from tests.fakes.clock import START

ORDER = list(Urgency)


class FakeAlarmDesk:
    """`AlarmDesk`; a test raises and ends alarms by `hear`.

    Attributes:
        now: the time of what happens, UTC.
        broken: makes every call fail.
    """

    def __init__(self) -> None:
        self.now: datetime = START.astimezone(UTC)
        self.broken = False
        self._standing: dict[str, StandingAlarm] = {}
        self._ended: list[StandingAlarm] = []

    def hear(self, kind: str, why: str = "", source: str = "door") -> None:
        """Raise an alarm now, or end the one whose end this is."""
        known = KINDS[kind]
        if known.clears is not None:
            self._end(known.clears)
        elif (standing := self._standing.get(kind)) is not None:
            again = replace(standing, last=self.now, count=standing.count + 1)
            self._standing[kind] = replace(again, why=why, source=source)
        else:
            self._standing[kind] = StandingAlarm(
                kind=kind,
                source=source,
                urgency=known.urgency,
                since=self.now,
                last=self.now,
                count=1,
                why=why,
                means=known.means,
                act=known.act,
                ends_itself=kind in WITH_END,
            )

    def standing(self) -> tuple[StandingAlarm, ...]:
        """Return what stands: the most urgent first."""
        self._fail_if_broken()
        found = self._standing.values()
        return tuple(sorted(found, key=lambda one: (ORDER.index(one.urgency), one.since)))

    def recent(self, limit: int) -> tuple[StandingAlarm, ...]:
        """Return the last ones that are over, the latest end first."""
        self._fail_if_broken()
        return tuple(self._ended[::-1][: max(0, limit)])

    def acknowledge(self, kind: str, by: str) -> None:
        """Keep that somebody has seen an alarm."""
        self._fail_if_broken()
        standing = self._standing.get(kind)
        if standing is None:
            raise InputError("no such alarm stands; it may be over by now, so look again")
        if standing.acknowledged_by is not None:
            return
        seen = replace(standing, acknowledged_by=by, acknowledged_at=self.now)
        self._standing[kind] = seen
        if not seen.ends_itself:
            self._end(kind)

    def _end(self, kind: str) -> None:
        standing = self._standing.pop(kind, None)
        if standing is not None:
            self._ended.append(replace(standing, cleared_at=self.now))

    def _fail_if_broken(self) -> None:
        if self.broken:
            raise StoreError("the disk is broken")
