"""The decision: an ordered table of named checks; the first refusal wins, the default refuses.

Two rules stand in this file. All that decides is in :data:`CHECKS`, in the order in which it
counts. And a check sees nothing but the case: no clock, no database, no earlier decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

from doorctl.access.hours import WeeklyHours
from doorctl.access.patron import Patron
from doorctl.access.reasons import Reason
from doorctl.moments import Moment

KNOWN_BLOCKS = frozenset({"O", "D", "S", "F", "U", "E", "W"})
"""Block codes that the library system documents; it asks to read any other as "other reason"."""


CLOCK_SLACK = timedelta(minutes=5)
"""How far a right clock may step back: time services step by less once they are synchronised."""


class PinProof(Enum):
    """What is known of the PIN."""

    PROVED = "proved"
    WRONG = "wrong"
    NOT_GIVEN = "not_given"


@dataclass(frozen=True, slots=True)
class Policy:
    """The branch's rules.

    Args:
        require_pin: whether a card needs its PIN.
        require_resident: whether only residents of the municipality come in.
        deny_blocks: block codes that keep somebody out.
        deny_other_blocks: whether a code outside :data:`KNOWN_BLOCKS` does as well.
        minimum_age: in years; 0 for no age limit.
        max_cache_age: how old the copy of the patron register may be; None for any age.
        hours: opening hours; None for always open.
    """

    require_pin: bool = True
    require_resident: bool = True
    deny_blocks: frozenset[str] = frozenset("ODSUF")
    deny_other_blocks: bool = True
    minimum_age: int = 0
    max_cache_age: timedelta | None = None
    hours: WeeklyHours | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """All that one decision looks at, as of one moment.

    Args:
        patron: the card's row; None for an unknown card.
        moment: now.
        pin: what is known of the PIN.
        throttled: whether the card has to wait after too many wrong PINs.
        banned: whether the library has banned the patron from this branch.
        cache_applied_at: when the latest push came, UTC; None if none ever came.
        cache_minimum_age: the age limit that the rows were sealed for, in years.
    """

    patron: Patron | None
    moment: Moment
    pin: PinProof = PinProof.NOT_GIVEN
    throttled: bool = False
    banned: bool = False
    cache_applied_at: datetime | None = None
    cache_minimum_age: int = 0


Refuses = Callable[[Policy, Case, Patron], Reason | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: a name for people, and what it refuses with, or None."""

    name: str
    refuses: Refuses


def _pin(policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    if not policy.require_pin or case.pin is PinProof.PROVED:
        return None
    return Reason.WRONG_PIN


def _throttled(_policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    return Reason.THROTTLED if case.throttled else None


def _restricted(_policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    return Reason.RESTRICTED if patron.restricted else None


def _banned(_policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    return Reason.BANNED if case.banned else None


def _blocked(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    denied = patron.blocks & policy.deny_blocks
    unheard_of = patron.blocks - KNOWN_BLOCKS if policy.deny_other_blocks else frozenset()
    return Reason.BLOCKED if denied or unheard_of else None


def _resident(policy: Policy, _case: Case, patron: Patron) -> Reason | None:
    return Reason.NOT_RESIDENT if policy.require_resident and not patron.resident else None


def _age(policy: Policy, case: Case, patron: Patron) -> Reason | None:
    if case.cache_minimum_age < policy.minimum_age:
        # A row without a date says "old enough for the limit of then": for this one it is doubt.
        return Reason.CACHE_TOO_OLD
    if patron.enter_from is None or _today(case) >= patron.enter_from:
        return None
    return Reason.UNDER_AGE if case.moment.dependable else Reason.CLOCK_UNTRUSTED


def _expired(_policy: Policy, case: Case, patron: Patron) -> Reason | None:
    if not patron.active:
        return Reason.EXPIRED
    dated = patron.valid_until is not None or patron.hold_from is not None
    if _past_validity(case, patron) or _on_hold(case, patron):
        return Reason.EXPIRED
    return None if case.moment.dependable or not dated else Reason.CLOCK_UNTRUSTED


def _past_validity(case: Case, patron: Patron) -> bool:
    return patron.valid_until is not None and _today(case) > patron.valid_until


def _on_hold(case: Case, patron: Patron) -> bool:
    if patron.hold_from is None:
        return False
    return patron.hold_from <= _today(case) <= (patron.hold_until or date.max)


def _hours(policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    if policy.hours is None:
        return None
    if not case.moment.dependable:
        return Reason.CLOCK_UNTRUSTED
    return None if policy.hours.open_at(case.moment.local) else Reason.CLOSED


def _cache_age(policy: Policy, case: Case, _patron: Patron) -> Reason | None:
    if policy.max_cache_age is None:
        return None
    if case.cache_applied_at is None:
        return Reason.CACHE_TOO_OLD
    age = _known_time(case) - case.cache_applied_at
    # A push dated in the future was dated by a clock that was wrong: its age is in doubt.
    doubtful = case.moment.dependable and age < -CLOCK_SLACK
    return Reason.CACHE_TOO_OLD if doubtful or age > policy.max_cache_age else None


def _known_time(case: Case) -> datetime:
    # An unset clock may be wrong in either direction; the high-water mark is certainly past.
    moment = case.moment
    if moment.dependable:
        return moment.local
    return moment.high_water.astimezone(moment.local.tzinfo)


def _today(case: Case) -> date:
    return _known_time(case).date()


CHECKS = (
    # A card that has to wait comes before its PIN: even the right one then proves nothing.
    Check("throttle", _throttled),
    Check("pin", _pin),
    Check("restricted", _restricted),
    Check("banned", _banned),
    Check("blocked", _blocked),
    Check("resident", _resident),
    Check("age", _age),
    Check("expired", _expired),
    Check("hours", _hours),
    Check("cache_age", _cache_age),
)
"""What is asked of a known card, in this order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer; `refused_with` is None where it passed."""

    check: str
    refused_with: Reason | None


def findings(policy: Policy, case: Case) -> tuple[Finding, ...]:
    """Ask every check, in order, for staff who want to know why."""
    if case.patron is None:
        return (Finding("known", Reason.UNKNOWN_CARD),)
    patron = case.patron
    asked = (Finding(check.name, check.refuses(policy, case, patron)) for check in CHECKS)
    return (Finding("known", None), *asked)


def decide(policy: Policy, case: Case) -> Reason:
    """Return the first refusal, or ``ok`` where every check passed."""
    if case.patron is None:
        return Reason.UNKNOWN_CARD
    for check in CHECKS:
        reason = check.refuses(policy, case, case.patron)
        if reason is not None:
            return reason
    return Reason.OK
