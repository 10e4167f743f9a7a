"""Explanations of a few invented cards; the same contract as the real desk's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from doorctl.access.calendar import Mode
from doorctl.access.patron import Reason
from doorctl.access.policy import Finding
from doorctl.cards.numbers import normalise
from doorctl.core.errors import InputError, NotRunningError
from doorctl.core.staff_text import refuse_purpose
from doorctl.ports import CacheStamp
from doorctl.services.explain import Explanation
from doorctl.services.hours import BranchNow
from doorctl.web.desks import TakenAs

ZONE = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 11, 25, 19, 30, tzinfo=ZONE)
STAMP = CacheStamp(42, NOW.astimezone(UTC) - timedelta(hours=3, minutes=5), 14, 100_000)
UNKNOWN = (Finding("known", Reason.UNKNOWN_CARD),)


@dataclass
class FakeWhyDesk:
    """Knows the findings of some numbers.

    Args:
        known: by what is typed.
        data_age: of the register.
        looks: what was asked, and by whom.
        unlocked: the numbers whose wrong PINs were forgotten, and by whom.
        silent: whether the door, which alone can seal a number, does not run.
    """

    known: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    data_age: timedelta | None = timedelta(hours=3, minutes=5)
    looks: list[tuple[str, TakenAs | None, datetime | None, str, str]] = field(default_factory=list)
    unlocked: list[tuple[str, str]] = field(default_factory=list)
    silent: bool = False

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Return what is known of a number."""
        if self.silent:
            raise NotRunningError("nobody answers on door.sock")
        _refuse(typed, taken_as)
        refuse_purpose(why, "reason", optional=True)
        self.looks.append((typed, taken_as, at, why, by))
        findings = self.known.get(typed, UNKNOWN)
        refused = [one.refused_with for one in findings if one.refused_with is not None]
        passes = [one for one in findings if one.check.startswith("pass_")]
        opened = passes and all(one.refused_with is None for one in passes)
        reason = Reason.OK if opened or not refused else refused[0]
        local = NOW if at is None else at.replace(tzinfo=ZONE)
        now = BranchNow(Mode.SELF_SERVICE)
        return Explanation(findings, reason, local, now, STAMP, self.data_age, with_rights=True)

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget."""
        _refuse(typed, taken_as)
        self.unlocked.append((typed, by))


def _refuse(typed: str, taken_as: TakenAs | None) -> None:
    if not any(taken_as in (None, one.kind.value) for one in normalise(typed)):
        raise InputError("that is no card number and no CPR number")
