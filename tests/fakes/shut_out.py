"""Whom a week's pushes shut out, by whole registers in memory: what the store keeps as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from doorctl.access.forecast import ENDING, WEEK, Before, forecast, loss
from doorctl.access.patron import Patron
from doorctl.access.policy import Policy
from doorctl.sync.guard import Changes

DAY = timedelta(days=1)

Rows = Mapping[bytes, Patron]
Noted = dict[bytes, tuple[datetime, Before]]
"""When a card was shut out, and how it was before."""


class Week:
    """Judge one register after the other, each as a whole, against those of the last seven days."""

    def __init__(self, policy: Policy) -> None:
        self.noted: Noted = {}
        self._policy = policy

    def judged(self, before: Rows, after: Rows, at: datetime) -> tuple[Changes, Noted]:
        """Return what a guard is told, and what is to be `noted` if the push is applied.

        `before`: the register that is held; `after`: what the push leaves of it.
        """
        now = at.astimezone(UTC)
        standing = self.recent(at)
        noted = {
            key: (now, Before(now.date(), found.opens, row.pin_check))
            for key, row in before.items()
            if (found := forecast(self._policy, row, now.date())).opens_soon
            and row != after.get(key)
        } | standing
        lost = {key: self._lost(key, one, after, now) for key, (_, one) in noted.items()}
        reasons = Counter(name for names in lost.values() for name in names if name != ENDING)
        ending = [key for key, names in lost.items() if ENDING in names]
        pairs = [(old, after[key]) for key, old in before.items() if key in after]
        opens = [
            [forecast(self._policy, row, now.date()).opens_now for row in two] for two in pairs
        ]
        grown = _crowd(after) - _crowd(before)
        changes = Changes(
            held=len(before.keys() | standing.keys()) or len(after),
            shut_out=sum(bool(names) for names in lost.values()) - len(ending),
            let_in=opens.count([False, True]),
            reasons=reasons,
            ending=len(ending),
            ending_now=sum(noted[key][0] == now for key in ending),
            moved=sum(old.patron_ref != new.patron_ref for old, new in pairs),
            crowded=len(grown),
            largest=max((place for _, place in grown), default=0),
        )
        return changes, {key: noted[key] for key, names in lost.items() if names}

    def recent(self, at: datetime) -> Noted:
        """Return what is no older than a week."""
        return {k: one for k, one in self.noted.items() if at - WEEK < one[0] <= at + DAY}

    def _opens_now(self, row: Patron, now: datetime) -> bool:
        return forecast(self._policy, row, now.date()).opens_now

    def _lost(self, key: bytes, before: Before, after: Rows, now: datetime) -> tuple[str, ...]:
        row = after.get(key)
        found = None if row is None else forecast(self._policy, row, now.date())
        check = None if row is None else row.pin_check
        return loss(self._policy, before, found, check, now.date()).reasons


def _crowd(rows: Rows) -> set[tuple[str, int]]:
    """Return a place for each card of patrons who have more than eight, from 1 for each."""
    numbers = Counter(patron.patron_ref for patron in rows.values())
    return {(ref, n + 1) for ref, number in numbers.items() if number > 8 for n in range(number)}
