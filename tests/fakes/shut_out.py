"""Whom a week's pushes shut out, by the door's own table of checks: what the store does in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from doorctl.access.patron import Patron
from doorctl.access.policy import CHECKS, Case, PinProof, Policy
from doorctl.core.moments import ClockState, Moment
from doorctl.sync.guard import Changes

COUNTED = {
    "blocked": "newly_blocked",
    "resident": "newly_non_resident",
    "expired": "newly_expired",
    "age": "newly_under_age",
    "tags": "newly_untagged",
    "restricted": "newly_restricted",
    "weak_pin": "newly_weak",
}
"""The checks that a row alone decides, and where they count."""

DAY = timedelta(days=1)

Rows = Mapping[bytes, Patron]
Noted = dict[bytes, tuple[datetime, Patron]]
"""When a card was shut out, and the row that it had before."""


class Week:
    """Judge one register after the other against those of the last seven days."""

    def __init__(self, policy: Policy) -> None:
        self.noted: Noted = {}
        self._policy = policy

    def judged(self, before: Rows, after: Rows, at: datetime) -> tuple[Changes, Noted]:
        """Return what a guard is told, and what is to be `noted` if the push is applied.

        `before`: the register that is held; `after`: what the push leaves of it.
        """
        now = at.astimezone(UTC)
        soon = [now.date() + n * DAY for n in range(61)]
        days = soon[:8]
        standing = self.recent(at)
        held = before.keys() | standing.keys()
        noted = {
            key: (now, old)
            for key, old in before.items()
            if self._opens(old, days)
            and (
                self._reasons(old, days, after.get(key), days)
                or self._ends(old, soon, after.get(key), soon)
            )
        } | standing
        lost = {
            key: reasons
            for key, (since, old) in noted.items()
            if (reasons := self._reasons(old, _days_of(since, 8), after.get(key), days))
        }
        ending = {
            key: since
            for key, (since, old) in noted.items()
            if key not in lost and self._ends(old, _days_of(since, 61), after.get(key), soon)
        }
        counts = dict.fromkeys([*COUNTED.values(), "removed", "pins_lost", "pins_changed"], 0)
        for reason in (reason for reasons in lost.values() for reason in reasons):
            counts[reason] += 1
        pairs = [(old, after[key]) for key, old in before.items() if key in after]
        today = days[:1]
        let_in = sum(not self._opens(old, today) and self._opens(new, today) for old, new in pairs)
        grown = _crowd(after) - _crowd(before)
        told = Changes(
            held=len(held) or len(after),
            shut_out=len(lost),
            let_in=let_in,
            ending=len(ending),
            ending_now=sum(since == now for since in ending.values()),
            moved=sum(old.patron_ref != new.patron_ref for old, new in pairs),
            crowded=len(grown),
            largest=max((place for _, place in grown), default=0),
            **counts,
        )
        return told, {key: noted[key] for key in lost | ending}

    def recent(self, at: datetime) -> Noted:
        """Return what is no older than a week."""
        return {k: one for k, one in self.noted.items() if at - 7 * DAY < one[0] <= at + DAY}

    def _opens(self, patron: Patron, days: Iterable[date]) -> bool:
        return any(not self._refusals(patron, day) for day in days)

    def _reasons(
        self, old: Patron, known: list[date], new: Patron | None, days: list[date]
    ) -> set[str]:
        if new is None:
            return {"removed"}
        dateless = replace(new, enter_from=None, valid_until=None, hold_from=None, hold_until=None)
        reasons = self._refusals(dateless, days[0]) | set(self._pins(old, new))
        for day in days:
            if day in known and self._opens(old, [day]):
                reasons |= self._refusals(new, day)
        return reasons

    def _ends(self, old: Patron, known: list[date], new: Patron | None, days: list[date]) -> bool:
        """Tell whether dates alone close the card on a day on which it opened."""
        return new is not None and any(
            "newly_expired" in self._refusals(replace(new, active=True), day)
            and self._opens(old, [day])
            for day in days
            if day in known
        )

    def _pins(self, old: Patron, new: Patron) -> Iterator[str]:
        if not self._policy.require_pin or old.pin_check in (None, new.pin_check):
            return
        yield "pins_lost" if new.pin_check is None else "pins_changed"

    def _refusals(self, patron: Patron, day: date) -> set[str]:
        noon = datetime.combine(day, time(12), UTC)
        moment = Moment(noon, noon, ClockState.TRUSTED)
        policy = self._policy
        case = Case(patron, moment, PinProof.PROVED, cache_minimum_age=policy.minimum_age)
        return {
            COUNTED[check.name]
            for check in CHECKS
            if check.name in COUNTED and check.refuses(policy, case, patron) is not None
        }


def _days_of(since: datetime, number: int) -> list[date]:
    return [since.date() + n * DAY for n in range(number)]


def _crowd(rows: Rows) -> set[tuple[str, int]]:
    """Return a place for each card of patrons who have more than eight, from 1 for each."""
    numbers = Counter(patron.patron_ref for patron in rows.values())
    return {(ref, n + 1) for ref, number in numbers.items() if number > 8 for n in range(number)}
