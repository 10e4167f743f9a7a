"""The provable door log in memory: it passes the same contract suite as the SQLite adapter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from doorctl.core.errors import InputError
from doorctl.core.moments import BootTime, ClockState
from doorctl.privacy.retention import Hold
from doorctl.store.tables import to_ms
from doorctl.store.visits import MOST_HOLDS
from tests.fakes.memory_store import MemoryVisits, dated


class ProvableVisits(MemoryVisits):
    """`ProvableRetention` and `HoldBook` over dicts.

    `survivor`: another one, whose process has died.
    """

    def __init__(self, survivor: ProvableVisits | None = None) -> None:
        super().__init__(survivor)
        self._holds: dict[int, Hold] = {}
        self._last_hold = 0
        self._canaries: dict[bytes, datetime] = {}
        if survivor is not None:
            self._inherit_more(survivor)

    def delete_before(self, cutoff: datetime) -> int:
        """Delete attempts before a UTC time that no hold holds, and throttles untouched since."""
        spared = {
            number: attempt
            for number, attempt in self._attempts.items()
            if attempt.at.utc < cutoff and self._is_held(attempt.at.utc)
        }
        deleted = super().delete_before(cutoff)
        self._attempts |= spared
        self._canaries = {
            key: at for key, at in self._canaries.items() if at >= cutoff or self._is_held(at)
        }
        return deleted - len(spared)

    def end_holds(self, now: datetime) -> None:
        """Forget the holds whose end has come."""
        self._fail_if_broken()
        self._holds = {number: hold for number, hold in self._holds.items() if hold.until > now}

    def oldest(self) -> datetime | None:
        """Return the time of the oldest attempt that no hold spares."""
        times = (one.at.utc for one in self._attempts.values())
        return min((at for at in times if not self._is_held(at)), default=None)

    def held(self) -> int:
        """Return how many attempts are in the window of a hold."""
        return sum(self._is_held(attempt.at.utc) for attempt in self._attempts.values())

    def settle(self, now: datetime, boot: BootTime) -> None:
        """Date what lies after a UTC time as a guess is dated."""
        self._fail_if_broken()
        for number, attempt in self._attempts.items():
            if attempt.at.utc > now:
                guess = replace(attempt.at, state=ClockState.UNTRUSTED)
                self._attempts[number] = replace(attempt, at=dated(guess, now, boot))
        if self._high_water is not None:
            self._high_water = min(self._high_water, now)
        self._canaries = {key: min(at, now) for key, at in self._canaries.items()}
        self._date_wrong_pins()

    def ahead(self, now: datetime) -> int:
        """Return how many attempts lie after a UTC time."""
        return sum(attempt.at.utc > now for attempt in self._attempts.values())

    def plant(self, canary: bytes, at: datetime) -> None:
        """Keep a canary."""
        self._fail_if_broken()
        self._canaries.setdefault(canary, at)

    def canaries(self) -> frozenset[bytes]:
        """Return the canaries that are kept."""
        return frozenset(self._canaries)

    def traces_before(self, cutoff: datetime) -> frozenset[bytes]:
        """Return the keys and times that go and that nothing kept holds."""
        self._fail_if_broken()
        rows = [(one.at.utc, one.row_key) for one in self._attempts.values()]
        rows += [(at, key) for key, at in self._canaries.items()]
        going = [row for row in rows if row[0] < cutoff and not self._is_held(row[0])]
        staying = {key for at, key in rows if at >= cutoff or self._is_held(at)}
        staying |= {key for key, touched in self._throttles.items() if touched.at >= cutoff}
        keys = {key for _, key in going} | {
            key for key, touched in self._throttles.items() if touched.at < cutoff
        }
        edges = {edge for hold in self._holds.values() for edge in _times(hold)}
        times = {to_ms(at).to_bytes(6, "big") for at, _ in going if at not in edges}
        return frozenset(key for key in keys - staying if key is not None) | times

    def still_kept(self, traces: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some traces that a row holds now."""
        keys = {one.row_key for one in self._attempts.values()} | self._throttles.keys()
        times = [one.at.utc for one in self._attempts.values()]
        times += [*self._canaries.values(), *(one.at for one in self._throttles.values())]
        kept = keys | self._canaries.keys() | {to_ms(at).to_bytes(6, "big") for at in times}
        return frozenset(traces) & kept

    def add_hold(self, hold: Hold) -> Hold:
        """Store a hold; return it with its number."""
        self._fail_if_broken()
        if len(self._holds) >= MOST_HOLDS:
            raise InputError("there are too many holds")
        self._last_hold += 1
        self._holds[self._last_hold] = hold.numbered(self._last_hold)
        return self._holds[self._last_hold]

    def lift_hold(self, number: int) -> Hold:
        """Forget a hold; return it as it was."""
        self._fail_if_broken()
        if number not in self._holds:
            raise InputError(f"there is no hold {number}")
        return self._holds.pop(number)

    def holds(self) -> tuple[Hold, ...]:
        """Return the holds that are stored, oldest first."""
        return tuple(self._holds.values())

    def _inherit_more(self, survivor: ProvableVisits) -> None:
        self._holds = dict(survivor._holds)
        self._last_hold = survivor._last_hold
        self._canaries = dict(survivor._canaries)

    def _is_held(self, at: datetime) -> bool:
        return any(hold.since <= at < hold.to for hold in self._holds.values())


def _times(hold: Hold) -> tuple[datetime, ...]:
    return hold.since, hold.to, hold.added_at
