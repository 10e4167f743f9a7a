"""Explains whether a card would get in: which checks pass, which fail, by data of what age."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from doorctl.access.judging import rank
from doorctl.access.patron import CacheStamp, Reason
from doorctl.access.policy import Case, Finding, PinProof, Policy, decide, findings, knows_pin
from doorctl.access.ports import BranchBook, PatronLookup, VisitReader
from doorctl.access.rights import Pass, banned
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.services.hours import BranchNow
from doorctl.services.lookup import Found, Reading, look_up, wait_of


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
        when = f"{self.at:%Y-%m-%d %H:%M} ({self._branch})"
        return f"by epoch {self.stamp.epoch} of the patron register, {age}{rights}, for {when}"

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
    """Run every check on a card or a code; where its PIN is known, it counts as right.

    Args:
        readings: best first; at least one.
        branch: bans and passes, as they are now; None where there are none.
        opened_on: the local day that `Policy.first_card` was heeded on last; None for none known.

    Raises:
        StoreError: a database can't be read.
    """
    found, stamp = look_up(readings, patrons, branch), patrons.stamp()
    wait = wait_of(found, visits, branch, clock.boot_time())
    known_pin = PinProof.PROVED if knows_pin(found.patron, moment) else PinProof.UNKNOWN
    judged = Case(
        patron=found.patron,
        moment=moment,
        pin=known_pin,
        throttled=wait.holds and (policy.require_pin or found.by_code),
        banned=banned(found.bans, moment, policy.branch),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
        mode=standing.mode,
        no_entry=standing.no_entry,
        opened_on=opened_on,
    )
    cases = [
        replace(judged, held=held, pass_pin=_pass_pin(found, held, policy, known_pin))
        for held in found.passes or (None,)
    ]
    case = max(cases, key=lambda case: rank(case.held, decide(policy, case)))
    return Explanation(
        findings(policy, case),
        decide(policy, case).reason,
        moment.local,
        standing,
        stamp,
        stamp.age(clock.moment()),
        with_rights=branch is not None,
    )


def _pass_pin(found: Found, held: Pass | None, policy: Policy, of_register: PinProof) -> PinProof:
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
