"""Why? Would this card get in, which checks pass, which fails, by data of what age?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from doorctl.access.patron import Patron, row_key
from doorctl.access.policy import Case, Finding, PinProof, Policy, findings
from doorctl.access.reasons import Reason
from doorctl.masked import Identifier
from doorctl.moments import Moment
from doorctl.ports import CacheStamp, Clock, PatronLookup, Sealer, VisitReader


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found; it names nobody.

    Args:
        findings: each check's answer, in the order in which it counts.
        at: the local time that was asked about.
        stamp: the cache's epoch and age.
        data_age: how old the cache is now; None where that is not known.
    """

    findings: tuple[Finding, ...]
    at: datetime
    stamp: CacheStamp
    data_age: timedelta | None

    @property
    def reason(self) -> Reason:
        """The first refusal, or ``ok``."""
        refusals = (finding.refused_with for finding in self.findings)
        return next((reason for reason in refusals if reason is not None), Reason.OK)

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
        """One line that says by which data this was found."""
        age = "of unknown age" if self.data_age is None else f"{_hours(self.data_age)} old"
        asked = f"{self.at:%Y-%m-%d %H:%M}"
        return f"by epoch {self.stamp.epoch} of the patron register, {age}, for {asked}"

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
            "epoch": self.stamp.epoch,
            "data_age_s": None if self.data_age is None else round(self.data_age.total_seconds()),
        }


def explain(
    identifiers: tuple[Identifier, ...],
    moment: Moment,
    *,
    policy: Policy,
    sealer: Sealer,
    patrons: PatronLookup,
    visits: VisitReader,
    clock: Clock,
) -> Explanation:
    """Ask every check about a card, as if its PIN were right where one is known.

    Args:
        identifiers: the readings of what was typed, best first; at least one.
        moment: the time that is asked about.
        policy: the branch's rules.
        sealer: makes the row keys.
        patrons: the cache.
        visits: knows who has to wait after wrong PINs.
        clock: tells how old the cache is.

    Raises:
        StoreError: a database can't be read.
    """
    patron, key = _find(identifiers, sealer, patrons)
    stamp = patrons.stamp()
    case = Case(
        patron=patron,
        moment=moment,
        pin=PinProof.NOT_GIVEN if patron is None or patron.pin_check is None else PinProof.PROVED,
        throttled=policy.require_pin and visits.card_throttle(key).holds(clock.boot_time()),
        cache_applied_at=stamp.applied_at,
        cache_minimum_age=stamp.minimum_age,
    )
    now = clock.moment()
    known = stamp.applied_at is not None and now.dependable
    age = now.local - stamp.applied_at if known and stamp.applied_at else None
    return Explanation(findings(policy, case), moment.local, stamp, age)


def _find(
    identifiers: tuple[Identifier, ...], sealer: Sealer, patrons: PatronLookup
) -> tuple[Patron | None, bytes]:
    keys = [row_key(sealer.stretch(identifier)) for identifier in identifiers]
    for key in keys:
        patron = patrons.find(key)
        if patron is not None:
            return patron, key
    return None, keys[0]


def _hours(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60} min"
