"""Explains whether a card would get in: which checks pass, which fail, by data of what age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from doorctl.access import codes_throttle
from doorctl.access.calendar import Mode
from doorctl.access.codes_throttle import CODES_KEY
from doorctl.access.patron import Patron, Reason, may_be_one
from doorctl.access.policy import Case, Finding, PinProof, Policy, decide, findings, knows_pin
from doorctl.access.rights import Ban, Pass, banned
from doorctl.access.throttle import MOST_WRONG_PINS, everywhere
from doorctl.core.masked import IdentifierKind
from doorctl.core.moments import Moment
from doorctl.ports import BranchBook, CacheStamp, Clock, PatronLookup, VisitReader


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a typed number; `key` is the 16 bytes under which its row is kept.

    Args:
        earlier: its keys before another installation key was laid over.
    """

    kind: IdentifierKind
    key: bytes = field(repr=False)
    earlier: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class BranchNow:
    """The branch at the time in question; `mode` is None where it is not known.

    Args:
        no_entry: whether it closes so soon that nobody new comes in.
    """

    mode: Mode | None
    no_entry: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result; it names nobody.

    Args:
        findings: each check's answer, in the order in which it counts; a pass's come last and are
            enough by themselves.
        at: the local time in question.
        data_age: how old the cache is now; None where that is not known.
    """

    findings: tuple[Finding, ...]
    reason: Reason
    at: datetime
    standing: BranchNow
    stamp: CacheStamp
    data_age: timedelta | None
    with_rights: bool = False

    @property
    def granted(self) -> bool:
        """Whether the card would get in."""
        return self.reason is Reason.OK

    @property
    def verdict(self) -> str:
        """``granted`` or ``refused``."""
        return self.reason.verdict

    @property
    def source(self) -> str:
        """The data behind the result, in one line."""
        age = "of unknown age" if self.data_age is None else f"{_hours(self.data_age)} old"
        rights = ", bans and passes as of now" if self.with_rights else ""
        asked = f"{self.at:%Y-%m-%d %H:%M} ({self._branch})"
        return f"by epoch {self.stamp.epoch} of the patron register, {age}{rights}, for {asked}"

    @property
    def _branch(self) -> str:
        mode = "hours not known" if self.standing.mode is None else self.standing.mode.value
        return f"{mode}, no entry any more" if self.standing.no_entry else mode

    def as_dict(self) -> dict[str, Any]:
        """Return it for scripts."""
        return {
            "verdict": self.verdict,
            "reason": self.reason.value,
            "checks": [
                {
                    "check": finding.check,
                    "passed": finding.refused_with is None,
                    "reason": finding.refused_with.value if finding.refused_with else None,
                }
                for finding in self.findings
            ],
            "at": self.at.isoformat(),
            "mode": None if self.standing.mode is None else self.standing.mode.value,
            "no_entry": self.standing.no_entry,
            "epoch": self.stamp.epoch,
            "data_age_s": None if self.data_age is None else round(self.data_age.total_seconds()),
        }


def explain(
    readings: tuple[Reading, ...],
    moment: Moment,
    *,
    standing: BranchNow,
    policy: Policy,
    patrons: PatronLookup,
    branch: BranchBook | None,
    visits: VisitReader,
    clock: Clock,
    opened_on: date | None = None,
) -> Explanation:
    """Ask every check about a card or a code, as if its PIN were right where one is known.

    Args:
        readings: best first; at least one.
        branch: bans and passes, as they are now; None where there are none.
        opened_on: the local day that `Policy.first_card` was heeded on last; None for none known.

    Raises:
        StoreError: a database can't be read.
    """
    found = _find(readings, patrons, branch)
    stamp = patrons.stamp()
    known_pin = PinProof.PROVED if knows_pin(found.patron, moment) else PinProof.UNKNOWN
    judged = Case(
        patron=found.patron,
        moment=moment,
        pin=known_pin,
        throttled=_throttled(found, policy, visits, clock, branch),
        banned=banned(found.bans, moment, policy.branch),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
        mode=standing.mode,
        no_entry=standing.no_entry,
        opened_on=opened_on,
    )
    # Of several passes the one that opens, else the newest.
    case = max(
        (
            replace(judged, held=one, pass_pin=_pass_pin(found, one, policy, known_pin))
            for one in found.passes or (None,)
        ),
        key=lambda case: decide(policy, case).reason is Reason.OK,
    )
    return Explanation(
        findings(policy, case),
        decide(policy, case).reason,
        moment.local,
        standing,
        stamp,
        stamp.age(clock.moment()),
        with_rights=branch is not None,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    key: bytes = field(repr=False)
    by_code: bool
    patron: Patron | None
    bans: tuple[Ban, ...]
    passes: tuple[Pass, ...] = ()
    restricted: bool = False


def _find(
    readings: tuple[Reading, ...], patrons: PatronLookup, branch: BranchBook | None
) -> _Found:
    found = [_read(reading, patrons, branch) for reading in readings]
    known = [one for one in found if one.patron is not None]
    with_pass = [one for one in found if one.passes]
    best = (known or with_pass or found)[0]
    others = [one for one in found if one is not best and may_be_one(one.patron, best.patron)]
    return _burdened(best, others)


def _burdened(best: _Found, others: Iterable[_Found]) -> _Found:
    """Add what is held against the person under another reading."""
    for other in others:
        more = tuple(ban for ban in other.bans if ban not in best.bans)
        best = replace(best, bans=(*best.bans, *more))
        if other.restricted:
            best = _restricted(best)
    return best


def _restricted(found: _Found) -> _Found:
    # As the door does: a pass is not used either.
    patron = None if found.patron is None else replace(found.patron, restricted=True)
    return replace(found, patron=patron, passes=(), restricted=True)


def _read(reading: Reading, patrons: PatronLookup, branch: BranchBook | None) -> _Found:
    key, by_code = reading.key, reading.kind is IdentifierKind.CODE
    patron = None if by_code else patrons.find(key)
    if branch is None:
        return _Found(key, by_code, patron, ())
    patron_ref = None if patron is None else patron.patron_ref
    bans, passes = branch.bans(key, patron_ref), branch.passes_of(key)
    found = _Found(key, by_code, patron, bans, passes)
    return _restricted(found) if branch.restricted(key, patron_ref) else found


def _throttled(
    found: _Found, policy: Policy, visits: VisitReader, clock: Clock, branch: BranchBook | None
) -> bool:
    now = clock.boot_time()
    if found.by_code:
        return codes_throttle.holds(visits.card_throttle(CODES_KEY), now)
    patron_ref = None if found.patron is None else found.patron.patron_ref
    elsewhere = 0 if branch is None else branch.wrong_pins_elsewhere(patron_ref)
    wrong = everywhere(visits.wrong_pins(found.key, patron_ref), elsewhere)
    held = wrong >= MOST_WRONG_PINS or visits.card_throttle(found.key).holds(now)
    return policy.require_pin and held


def _pass_pin(found: _Found, held: Pass | None, policy: Policy, of_register: PinProof) -> PinProof:
    if held is None:
        return of_register
    # A code is asked for no PIN, so one that needs one opens nothing.
    if found.by_code:
        return of_register if held.needs_pin else PinProof.PROVED
    # Where no card's PIN is asked for, nobody can prove the pass's.
    if not policy.require_pin:
        return PinProof.NOT_GIVEN
    return of_register if held.pin_check is None else PinProof.PROVED


def _hours(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60} min"
