"""What a patron's row alone says of the days ahead, and whom another row in its place shuts out.

The door's own checks are asked, those of `CHECKS` that are decided `by_row`: nothing is said twice.
A row *opens* on a day on which none of them refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from doorctl.access import policy as rules
from doorctl.access.patron import DATED, Patron
from doorctl.access.policy import Case, Check, PinProof, Policy
from doorctl.core.moments import ClockState, Moment

WEEK = timedelta(days=7)
"""How long a card that was shut out counts, and how far ahead of it a card counts as shut out."""

SOON = timedelta(days=60)
"""How far ahead staff hear of cards that newly end: time for the library to mend them."""

REMOVED, PIN_LOST, PIN_CHANGED = "removed", "pins_lost", "pins_changed"
"""What shuts a card out besides the checks, as the guard counts it."""

ENDING = "ending"
"""A card that is not shut out, and will not open on a day ahead on which it would have."""

_NOON = time(12)
_DAYS = SOON.days + 1
_IN_WEEK = (2 << WEEK.days) - 1


@dataclass(frozen=True, slots=True)
class Forecast:
    """On which days a row opens; bit n of a number stands for n days after the first.

    Args:
        opens: the days on which nothing refuses, of the first and the 60 that follow.
        refused: what refuses on some of them, as the guard counts it, and the days.
        always: what refuses whatever the row's days are.
    """

    opens: int
    refused: Mapping[str, int]
    always: frozenset[str]

    @property
    def opens_now(self) -> bool:
        """Whether it opens on the first day."""
        return bool(self.opens & 1)

    @property
    def opens_soon(self) -> bool:
        """Whether it opens on the first day or one of the seven that follow."""
        return bool(self.opens & _IN_WEEK)


def forecast(policy: Policy, patron: Patron, first: date) -> Forecast:
    """Return what a row says of a day and the 60 that follow; its number and PIN say nothing."""
    turns = sorted({0, _DAYS, *_turns(patron, first)})
    opens, refused = 0, dict[str, int]()
    for start, end in pairwise(turns):
        days = (1 << end) - (1 << start)
        found = refusals(policy, patron, first + timedelta(start))
        opens |= 0 if found else days
        for check in found:
            refused[check.by_row] = refused.get(check.by_row, 0) | days
    if not refused:
        return Forecast(opens, refused, frozenset())
    no_days: dict[str, Any] = dict.fromkeys(DATED)
    always = refusals(policy, replace(patron, **no_days), first)
    return Forecast(opens, refused, frozenset(check.by_row for check in always))


def _turns(patron: Patron, first: date) -> Iterator[int]:
    for name in DATED:
        day: date | None = getattr(patron, name)
        if day is not None:
            n = (day - first).days
            yield from (turn for turn in (n, n + 1) if 0 < turn < _DAYS)


def refusals(policy: Policy, patron: Patron, day: date) -> list[Check[Patron]]:
    """Return the checks by which a row alone is refused at noon of a day, in their order."""
    noon = datetime.combine(day, _NOON, UTC)
    moment = Moment(noon, noon, ClockState.TRUSTED)
    case = Case(patron, moment, PinProof.PROVED, cache_minimum_age=policy.minimum_age)
    return [
        check
        for check in rules.CHECKS
        if check.by_row and check.refuses(policy, case, patron) is not None
    ]


@dataclass(frozen=True, slots=True)
class Before:
    """How a card was before a push shut it out.

    Args:
        since: the day of that push.
        opened: the days on which its row opened, counted from then: as `Forecast.opens`.
        pin_check: as its row had it.
    """

    since: date
    opened: int
    pin_check: bytes | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What a card has lost: `reasons`, in order, as the guard counts them, or `ENDING` alone.

    The last day on which all of them count is `until`; none are lost where there are no reasons.
    """

    reasons: tuple[str, ...]
    until: date


def loss(
    policy: Policy, before: Before, now: Forecast | None, pin_check: bytes | None, today: date
) -> Loss:
    """Return what a card has lost that once opened; its row `now` is None where it has none.

    A day that lies before or behind those that were noted counts as one on which it did not open.
    A week ahead counts as shut out, and that of the push alone: an end that staff were told of
    refuses no later push. A row that never had a PIN check is no refusal: the library system is
    asked about its PIN.
    """
    last = before.since + WEEK
    if now is None:
        return Loss((REMOVED,), last)
    reasons = {*now.always, *_pins(policy, before, pin_check)}
    passed = (today - before.since).days
    in_week = _later(before.opened & _IN_WEEK, passed) & _IN_WEEK
    lost_days = {name: days & in_week for name, days in now.refused.items() if days & in_week}
    ends = [_last(days, today) for name, days in lost_days.items() if name not in reasons]
    reasons |= lost_days.keys()
    if not reasons:
        ending = _later(before.opened, passed) & ~now.opens & ((1 << _DAYS) - 1)
        if not ending:
            return Loss((), last)
        reasons, ends = {ENDING}, [_last(ending, today)]
    # By a clock that was put back a day, tomorrow has another week ahead.
    return Loss(tuple(sorted(reasons)), today if passed < 0 else min([last, *ends]))


def _pins(policy: Policy, before: Before, pin_check: bytes | None) -> Iterator[str]:
    if policy.require_pin and before.pin_check not in (None, pin_check):
        yield PIN_LOST if pin_check is None else PIN_CHANGED


def _later(days: int, passed: int) -> int:
    """Return days counted from another day that lies so many days after the first."""
    return days >> passed if passed >= 0 else days << -passed


def _last(days: int, first: date) -> date:
    return first + timedelta(days.bit_length() - 1)
