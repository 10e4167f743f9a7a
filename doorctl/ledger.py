"""The door process's slow half: what the worker thread does for the controller.

It prepares an attempt while the patron types, and puts the outcome on record after the relay.
Speaks to ports only; all calls on one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from doorctl.access.messages import Prepared
from doorctl.access.patron import row_key
from doorctl.access.reasons import BEFORE_PROOF, UNJUDGED, Reason
from doorctl.access.throttle import CardThrottle
from doorctl.masked import Identifier
from doorctl.moments import BootTime
from doorctl.ports import Clock, PatronLookup, Sealer, Stamped, VisitLog


@dataclass(frozen=True, slots=True)
class _OpenAttempt:
    # `before` is None where no guess was charged: no PIN is asked for, or the card has to wait.
    row_key: bytes = field(repr=False)
    before: CardThrottle | None


class Ledger:
    """Prepare attempts and settle them.

    Args:
        sealer: stretches identifiers.
        patrons: the patron cache.
        visits: the door log; wrap it in :class:`~doorctl.continuity.SteadyVisitLog` so that a
            full disk keeps nobody out.
        clock: for the log and the throttles.
        counts_guesses: whether a PIN is asked for at all.
    """

    def __init__(
        self,
        *,
        sealer: Sealer,
        patrons: PatronLookup,
        visits: VisitLog,
        clock: Clock,
        counts_guesses: bool,
    ) -> None:
        self._sealer = sealer
        self._patrons = patrons
        self._visits = visits
        self._clock = clock
        self._counts_guesses = counts_guesses
        self._open: dict[int, _OpenAttempt] = {}

    def prepare(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        """Find out all that is known of a card and put the attempt on record, durably.

        The guess is charged before it is made, so that a power cut never gives one away. The
        steps are the same for a card that nobody has heard of.

        Raises:
            StoreError: the patron cache can't be read.
        """
        found = self._find(attempt, identifiers)
        now = self._clock.boot_time()
        before = self._visits.card_throttle(found.row_key)
        throttled = self._counts_guesses and before.holds(now)
        counts = self._counts_guesses and not throttled
        charged = before.charged(now) if counts else None
        self._visits.open_attempt(attempt, self._stamped(now), found.row_key, charged)
        self._open[attempt] = _OpenAttempt(found.row_key, before if counts else None)
        delay_s = self._visits.reader_throttle().delay_s(now) if self._counts_guesses else 0.0
        return replace(found, throttled=throttled, delay_s=delay_s)

    def look_again(self, prepared: Prepared) -> Prepared:
        """Read a card's row once more, after a push; everything else stays as it was.

        Raises:
            StoreError: the patron cache can't be read.
        """
        return replace(
            prepared,
            patron=self._patrons.find(prepared.row_key),
            **self._cache(),
        )

    def settle(self, attempt: int, reason: Reason) -> None:
        """Record how an attempt ended and what it costs its card and this reader."""
        now = self._clock.boot_time()
        opened = self._open.pop(attempt, None)
        if opened is None:
            self._visits.open_attempt(attempt, self._stamped(now), None, None)
            self._visits.close_attempt(attempt, reason)
            return
        reader = None
        if self._counts_guesses and reason in BEFORE_PROOF:
            reader = self._visits.reader_throttle().charged(now)
        before = opened.before
        throttle = None if before is None else _throttle_after(before, reason, now)
        self._visits.close_attempt(attempt, reason, opened.row_key, throttle, reader)

    def unlock(self, row_key: bytes) -> None:
        """Forget a card's failures, so that no open attempt brings them back when it ends.

        Raises:
            StoreError: it could not be stored; nothing is forgotten.
        """
        self._visits.reset_card(row_key)
        for number, opened in self._open.items():
            if opened.row_key == row_key and opened.before is not None:
                self._open[number] = replace(opened, before=CardThrottle())

    def _find(self, attempt: int, identifiers: tuple[Identifier, ...]) -> Prepared:
        # Each reading is stretched and looked up, found or not: the work must not tell which.
        readings = [
            Prepared(attempt, stretched, key, self._patrons.find(key))
            for stretched in map(self._sealer.stretch, identifiers)
            for key in (row_key(stretched),)
        ]
        best = next((reading for reading in readings if reading.patron is not None), readings[0])
        return replace(best, **self._cache())

    def _cache(self) -> dict[str, Any]:
        stamp = self._patrons.stamp()
        return {"cache_applied_at": stamp.applied_at, "cache_minimum_age": stamp.minimum_age}

    def _stamped(self, now: BootTime) -> Stamped:
        moment = self._clock.moment()
        return Stamped(moment.local, moment.state, now)


def _throttle_after(before: CardThrottle, reason: Reason, now: BootTime) -> CardThrottle:
    if reason in UNJUDGED:
        return before
    return before.charged(now) if reason in BEFORE_PROOF else CardThrottle()
