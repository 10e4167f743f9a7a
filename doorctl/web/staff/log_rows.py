"""An attempt as a row of the door log says it; the same on a page and on a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from doorctl.access.reasons import Reason
from doorctl.moments import ClockState
from doorctl.ports import Visit
from doorctl.web.pages.words import Words
from doorctl.web.staff.log_filter import GRANTED, OPEN, REASONS, REFUSED
from doorctl.web.staff.why_words import sentence

NAMES: Mapping[str, str] = MappingProxyType(
    {GRANTED: "Let in", REFUSED: "Refused", OPEN: "Under way"}
)
"""What each outcome is called, in English."""

GROUP: Final = 4
"""So many digits of a pseudonym stand together: it is read aloud, and no spreadsheet's number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt.

    Args:
        attempt: its number.
        state: one of :data:`NAMES`.
        day: when it began, as the language writes it.
        clock: the time of that day.
        doubtful: whether that time may be wrong.
        told: how it ended, a sentence; empty while it is under way.
        pseudonym: empty for an unreadable card.
        around: local, as a browser writes a moment: where a hold would begin and end.
    """

    attempt: int
    state: str
    day: str
    clock: str
    doubtful: bool
    told: str
    pseudonym: str
    around: str

    @property
    def name(self) -> str:
        """What its outcome is called, in English."""
        return NAMES[self.state]


def row(words: Words, visit: Visit) -> Row:
    """Return an attempt as a language says it."""
    local = words.local(visit.at)
    return Row(
        attempt=visit.attempt,
        state=state(visit),
        day=words.short_day(local.date()),
        clock=words.say("{time}:{seconds}", time=words.clock(visit.at), seconds=f"{local:%S}"),
        doubtful=visit.clock is ClockState.UNTRUSTED,
        told=told(words, visit.reason),
        pseudonym=grouped(visit.card),
        around=f"{local:%Y-%m-%dT%H:%M}",
    )


def state(visit: Visit) -> str:
    """Return how far an attempt has come: one of :data:`NAMES`."""
    return OPEN if visit.verdict is None else visit.verdict


def told(words: Words, reason: str | None) -> str:
    """Return what a reason means; one that a newer door gave stands as it is."""
    if reason is None:
        return ""
    return sentence(words, Reason(reason)) if reason in REASONS else reason


def grouped(pseudonym: str | None) -> str:
    """Return ``7f3a 09c1``; empty for none."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))
