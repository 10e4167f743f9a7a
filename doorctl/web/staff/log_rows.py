"""An attempt as a row of the door log says it; the same on a page and on a stream."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from doorctl.access.codes_throttle import A_CODE
from doorctl.access.reasons import Reason
from doorctl.accounts.roles import Permission
from doorctl.moments import ClockState
from doorctl.ports import Visit
from doorctl.web.pages.frame import PageRequest
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


def row(asked: PageRequest, visit: Visit) -> Row:
    """Return an attempt as whoever asks may see it, in their language.

    Who may neither search the log for a card nor look up whose it is gets a pseudonym of that day
    alone: one look at the door links no month of visits.
    """
    words, local = asked.words, asked.words.local(visit.at)
    links = asked.may(Permission.SEARCH_LOG) or asked.may(Permission.REVEAL)
    pseudonym = visit.card if links else _of_day(asked, visit.card, local.date())
    return Row(
        attempt=visit.attempt,
        state=state(visit),
        day=words.short_day(local.date()),
        clock=words.say("{time}:{seconds}", time=words.clock(visit.at), seconds=f"{local:%S}"),
        doubtful=visit.clock is ClockState.UNTRUSTED,
        told=told(words, visit.reason),
        pseudonym=words.say("code") if visit.card == A_CODE else grouped(pseudonym),
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


def _of_day(asked: PageRequest, card: str | None, day: date) -> str | None:
    if card is None:
        return None
    told = hmac.digest(asked.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
    return told.hex()[: len(card)]


def grouped(pseudonym: str | None) -> str:
    """Return ``7f3a 09c1``; empty for none."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))
