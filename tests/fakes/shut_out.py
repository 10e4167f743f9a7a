"""Whom a push shuts out, by the door's own table of checks: what the store counts in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time

from doorctl.access.patron import Patron
from doorctl.access.policy import CHECKS, Case, PinProof, Policy
from doorctl.moments import ClockState, Moment
from doorctl.ports import Changes

COUNTED = {
    "blocked": "newly_blocked",
    "resident": "newly_non_resident",
    "expired": "newly_expired",
    "age": "newly_under_age",
    "restricted": "newly_restricted",
    "weak_pin": "newly_weak",
}
"""The checks that a row alone decides, and where they count."""


def changes(
    pairs: Iterable[tuple[Patron, Patron]],
    *,
    held: int,
    removed: int,
    today: date | None,
    policy: Policy,
) -> Changes:
    """Return what a guard has to be told of rows as they were and as they are."""
    counts = dict.fromkeys([*COUNTED.values(), "pins_lost", "pins_changed", "shut_out"], 0)
    for before, after in pairs:
        pins = (before.pin_check, after.pin_check)
        counts["pins_changed"] += policy.require_pin and None not in pins and pins[0] != pins[1]
        reasons = _refusals(after, today, policy)
        if policy.require_pin and pins[0] is not None and pins[1] is None:
            reasons.add("pins_lost")
        if reasons and not _refusals(before, today, policy):
            counts["shut_out"] += 1
            for reason in reasons:
                counts[reason] += 1
    return Changes(held=held, removed=removed, **counts)


def _refusals(patron: Patron, today: date | None, policy: Policy) -> set[str]:
    day = date(1, 1, 2) if today is None else today
    noon = datetime.combine(day, time(12), UTC)
    moment = Moment(noon, noon, ClockState.TRUSTED)
    case = Case(patron, moment, PinProof.PROVED, cache_minimum_age=policy.minimum_age)
    return {
        COUNTED[check.name]
        for check in CHECKS
        if check.name in COUNTED and check.refuses(policy, case, patron) is not None
    }
