"""Where an attempt stands, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from doorctl.access.code_entry import CodePad
from doorctl.access.companions import COMPANION_S, Company
from doorctl.access.judging import Verdict
from doorctl.access.messages import Concluded, Effect, Event, Now, Prepared, Rules
from doorctl.access.pin_pad import PinPad
from doorctl.access.reasons import Reason
from doorctl.masked import Pin

PREPARE_LIMIT_S = 5.0
"""Longest wait for :class:`Prepared` after the last digit; sealing takes 0.8 s at the worst.

Also how late a delayed answer may come: after it whoever stands at the door may be another.
"""


class Phase(Enum):
    """Where an attempt stands."""

    IDLE = "idle"
    TYPING = "typing"
    CHECKING = "checking"
    DELAYED = "delayed"
    ASKING = "asking"
    """The library system is asked; a refusal is withheld meanwhile."""
    WITHHELD = "withheld"
    """Refused, and told when an answer of the library system would be due."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt at hand, or the idle reader after the last one.

    Args:
        phase: where it stands.
        number: its number.
        last_number: the highest number given out; an unreadable card takes one as well.
        pad: what has been typed.
        pin: the PIN, once complete.
        prepared: what is known of the card, once it is.
        cache_version: the cache's version before the row was asked for.
        until_s: when any other phase than `IDLE` and `TYPING` ends, monotonic seconds.
        withheld: the refusal that is told then; only while `ASKING` and `WITHHELD`.
        unchecked: nobody could say whether the PIN was right; only while `WITHHELD`.
        early: a pass seemed to open without a PIN, so none was waited for.
        code_pad: what has been typed of a code; only while `IDLE`.
        company: who was just let in and may say how many come along; only while `IDLE`.
    """

    phase: Phase = Phase.IDLE
    number: int = 0
    last_number: int = 0
    pad: PinPad | None = None
    pin: Pin | None = None
    prepared: Prepared | None = None
    cache_version: int | None = None
    until_s: float | None = None
    withheld: Reason | None = None
    unchecked: bool = False
    early: bool = False
    code_pad: CodePad | None = None
    company: Company | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `TimePassed` has to be told, monotonic seconds; None while nothing is pending."""
        if self.phase is Phase.TYPING and self.pad is not None:
            return self.pad.deadline_s
        if self.company is not None:
            return self.company.until_s
        return self.until_s if self.code_pad is None else self.code_pad.deadline_s


Step = tuple[Attempt, tuple[Effect, ...]]
Handler = Callable[[Attempt, Event, Now, Rules], Step]


def due(attempt: Attempt, now: Now, late_s: float = 0.0) -> bool:
    """Tell whether its deadline has come, and is past by so many seconds."""
    return attempt.deadline_s is not None and now.s >= attempt.deadline_s + late_s


def idle(attempt: Attempt, company: Company | None = None) -> Attempt:
    """Return the idle reader after an attempt; nothing that was typed or read is kept."""
    return Attempt(number=attempt.number, last_number=attempt.last_number, company=company)


def refused(attempt: Attempt, reason: Reason) -> Step:
    """End an attempt that was not judged, or by a refusal that was withheld."""
    return idle(attempt), (Concluded(attempt.number, reason, unchecked=attempt.unchecked),)


def concluded(attempt: Attempt, verdict: Verdict, now: Now) -> Step:
    """End an attempt by what it was judged to be."""
    company = None
    if verdict.companions_max and now.mode is not None:
        until_s = now.s + COMPANION_S
        company = Company(attempt.number, verdict.companions_max, until_s, now.mode)
    end = Concluded(
        attempt.number,
        verdict.reason,
        duress=verdict.duress,
        long_release=verdict.long_release,
        weak_pin=verdict.weak_pin,
        proved=verdict.proved,
        opens_day=verdict.opens_day,
    )
    return idle(attempt, company), (end,)


def ignore(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """Let an event change nothing."""
    return attempt, ()


def fail(attempt: Attempt, _event: Event, _now: Now, _rules: Rules) -> Step:
    """End an attempt by a fault of ours."""
    return refused(attempt, Reason.FAULT)
