"""The rows of the door log in words: attempts and what happened without a card, in one order."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

from doorctl.access.code_throttle import A_CODE
from doorctl.access.patron import Reason
from doorctl.accounts.roles import Permission
from doorctl.core.alarms import KINDS
from doorctl.core.moments import ClockState
from doorctl.services.visits import LogView
from doorctl.store.door_log import OPEN, VISIT_COLUMNS, DoorEvent, Visit
from doorctl.web.frame import PageRequest
from doorctl.web.staff.log_filter import GRANTED, REASONS, REFUSED
from doorctl.web.staff.why import sentence
from doorctl.web.words import MODES, Words

FOLD, EVENT, UPDATES = "fold", "event", "updates"
"""States of rows that are no attempt: let-ins of an hour, what the door did by itself, pushes."""

NAMES: Mapping[str, str] = {GRANTED: "Came in", REFUSED: "Refused", OPEN: "Under way"}
"""What each outcome is called, in English."""

GROUP: Final = 4
"""Digits in a group: people read a pseudonym aloud, and spreadsheets must not calculate it."""

IN_WORDS: Final = frozenset({"attempt", "at", "clock", "verdict", "reason", "card"})
"""The fields of a visit that a row tells in words of its own."""

FURTHER: Final = tuple(name for name in VISIT_COLUMNS if name not in IN_WORDS)
"""All others: each is a column of the page and of the file, called as in a person's export."""


def further_heads(words: Words, names: Iterable[str] = FURTHER) -> list[str]:
    """Return what further columns of the log are called."""
    return [words.name_of(VISIT_COLUMNS[name]) for name in names]


def further(words: Words, visit: Visit, names: Iterable[str] = FURTHER) -> list[str]:
    """Return an attempt's values of further columns."""
    return [words.plain(getattr(visit, name)) for name in names]


def row(request: PageRequest, visit: Visit) -> dict[str, Any]:
    """Return an attempt as this account may see it, in its language.

    `state` is a key of :data:`NAMES`, and `name` its English name. `doubtful` says that the time
    may be wrong. `meaning` is empty while the attempt is under way, and `pseudonym` for an
    unreadable card. A hold is offered around the local time `around`, written as browsers do.

    An account that may neither search the log for a card nor look up whose it is gets a pseudonym
    of that day alone: seeing a person at the door must not tell a month of visits.
    """
    words, local, state = request.words, request.words.local(visit.at), visit.verdict or OPEN
    pseudonym = visit.card if may_link(request) else _of_day(request, visit.card, local.date())
    return {
        "id": f"attempt-{visit.attempt}",
        "attempt": visit.attempt,
        "state": state,
        "name": NAMES[state],
        "day": local.date(),
        "clock": _clock(words, visit.at),
        "doubtful": visit.clock is ClockState.UNTRUSTED,
        "meaning": ending(words, visit.reason),
        "pseudonym": words.say("code") if visit.card == A_CODE else grouped(pseudonym),
        "around": f"{local:%Y-%m-%dT%H:%M}",
        "is_card": visit.card not in {None, A_CODE},
        "further": further(words, visit),
    }


def may_link(request: PageRequest) -> bool:
    """Tell whether this account may follow one card over several days."""
    return request.may(Permission.SEARCH_LOG) or request.may(Permission.REVEAL)


PAST: Mapping[str, str] = {"ok": "The door was opened.", "closed": "Outside opening hours."}
"""Reasons whose sentence is for somebody who stands at the door."""


def ending(words: Words, reason: str | None) -> str:
    """Return what a reason means; a reason that only a newer door knows stays as it is."""
    if reason is None:
        return ""
    if reason in PAST:
        return words.say(PAST[reason])
    return sentence(words, Reason(reason)) if reason in REASONS else reason


def _of_day(request: PageRequest, card: str | None, day: date) -> str | None:
    if card is None:
        return None
    digest = hmac.digest(request.frame.pseudonym_key, f"{day}:{card}".encode(), hashlib.sha256)
    return digest.hex()[: len(card)]


def grouped(pseudonym: str | None) -> str:
    """Return a pseudonym in groups, as ``7f3a 09c1``; empty for None."""
    digits = pseudonym or ""
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


HAPPENED: Mapping[tuple[str, str], str] = {
    ("started", ""): "The door process has started.",
    ("restarted", ""): "The door process has started again, after it had ended abruptly.",
    ("stopped", ""): "The door process was stopped.",
    ("reader", "lost"): "The card reader is gone.",
    ("reader", "connected"): "The card reader is there.",
    ("keypad", "lost"): "The keypad is gone.",
    ("keypad", "connected"): "The keypad is there.",
    ("fire", "active"): "The fire alarm is on; the door can be opened.",
    ("fire", "over"): "The fire alarm is over.",
}
"""What each event with its state means; those with other values have sentences of their own."""


def happened(words: Words, event: DoorEvent) -> str:
    """Return an event in words; one that only a newer door knows stays as it is."""
    if event.kind == "mode":
        modes = {mode.value: name for mode, name in MODES.items() if mode}
        mode = words.say(modes.get(event.why, MODES[None]))
        return _mode_changed(words, mode.lower(), event)
    if event.kind == "push":
        return words.say("Update no. {n} of the patron register is in use.", n=event.why)
    if event.kind == "opened_by_staff":
        return words.say("{who} opened the door: {why}", who=event.by, why=event.why)
    if event.kind in KINDS:
        return words.alarm(KINDS[event.kind].means)
    known = HAPPENED.get((event.kind, event.why))
    return f"{event.kind} {event.why}".strip() if known is None else words.say(known)


def _mode_changed(words: Words, mode: str, event: DoorEvent) -> str:
    if not event.by:
        return words.say("The library is now: {mode}.", mode=mode)
    if not event.cause:
        return words.say("{who} changed the mode, now: {mode}.", who=event.by, mode=mode)
    text = "{who} changed the mode, now: {mode}. Why: {why}"
    return words.say(text, who=event.by, mode=mode, why=event.cause)


def entries(request: PageRequest, view: LogView) -> list[dict[str, Any]]:
    """Return the page's rows, newest first: attempts, events and what is folded by the hour.

    The let-ins of an hour are one row with its `rows`, where the filter leaves all outcomes in, and
    so are its pushes. The first row of a local day has a `date`. `id` names a row in the page.
    """
    words, every = request.words, [(visit.at, row(request, visit)) for visit in view.visits]
    every += [(event.at, _event_row(words, event)) for event in view.events]
    every.sort(key=itemgetter(0), reverse=True)
    listed: dict[str, dict[str, Any]] = {}
    for at, shown in every:
        state, local = shown["state"], words.local(at)
        if state != UPDATES and (state != GRANTED or view.chosen.narrows):
            listed[shown["id"]] = shown
            continue
        fold, name = f"{state}-{local:%Y%m%d%H}", f"{local:%H}\N{EN DASH}{local.hour + 1:02}"
        empty = {"id": fold, "state": FOLD, "of": state, "day": shown["day"], "name": name}
        listed.setdefault(fold, empty | {"rows": []})["rows"].append(shown)
    rows = [one["rows"][0] if len(one.get("rows", ())) == 1 else one for one in listed.values()]
    for before, one in pairwise([{"day": None}, *rows]):
        one["date"] = one["day"] if one["day"] != before["day"] else None
    return rows


def _event_row(words: Words, event: DoorEvent) -> dict[str, Any]:
    return {
        "id": f"{event.kind}-{event.at.timestamp():.3f}",
        "state": UPDATES if event.kind == "push" else EVENT,
        "day": words.local(event.at).date(),
        "clock": _clock(words, event.at),
        "doubtful": event.clock is ClockState.UNTRUSTED,
        "meaning": happened(words, event),
    }


def _clock(words: Words, at: datetime) -> str:
    return words.say("{time}:{seconds}", time=words.clock(at), seconds=f"{words.local(at):%S}")
