"""A date's hours as they are filled in: from the calendar into the form, and back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from doorctl.access.calendar import Day, Mode, ModeSpan
from doorctl.access.hours import DAY_MINUTES
from doorctl.errors import InputError
from doorctl.ports import StoredDay
from doorctl.web.desks import CalendarDay
from doorctl.web.pages.forms import Form
from doorctl.web.pages.mode_words import minutes

MOST_SPANS: Final = 4
"""So many spans of each kind a form offers; no branch opens and closes more often in a day."""

KINDS: Final = ((Mode.SELF_SERVICE, "self"), (Mode.STAFFED, "staffed"))
OPEN, CLOSED = "hours", "closed"
"""What a form calls a date with hours, and one without."""

SHOWN: Final = "shown"
"""The field that says which :func:`version` of the date the form showed."""

VERSION_DIGITS: Final = 16

_TIME: Final = re.compile(r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])")


def filled(day: CalendarDay) -> dict[str, Any]:
    """Return a date's hours as the form's fields."""
    fields: dict[str, Any] = {"open": OPEN if day.spans else CLOSED, "note": day.note}
    for mode, name in KINDS:
        found = [one for one in day.spans or () if one.mode is mode]
        for place, one in enumerate(found[:MOST_SPANS]):
            fields[f"{name}-{place}-from"] = minutes(one.starts)
            fields[f"{name}-{place}-to"] = minutes(one.ends)
    return fields


def version(day: CalendarDay) -> str:
    """Return what tells whether a date is still what a form showed."""
    told = repr((day.spans, day.cause.value, day.note, day.by_staff))
    return hashlib.sha256(told.encode()).hexdigest()[:VERSION_DIGITS]


def typed(form: Form) -> dict[str, Any]:
    """Return what was filled in, to be shown again."""
    return {name: form.text(name) for name in form.fields}


def asked_for(day: date, form: Form) -> StoredDay:
    """Return the hours that somebody filled in for a date.

    Raises:
        InputError: they make no sense, or nobody said whether the branch is open.
    """
    return StoredDay(day, _hours(form), form.text("note"))


def _hours(form: Form) -> Day:
    chosen = form.text("open")
    if chosen == CLOSED:
        return ()
    if chosen != OPEN:
        raise InputError("choose whether the branch is closed or open on this date")
    spans = tuple(_spans(form))
    if not spans:
        raise InputError("give at least one span of hours, or choose closed all day")
    return spans


def _spans(form: Form) -> Iterator[ModeSpan]:
    for mode, name in KINDS:
        for place in range(MOST_SPANS):
            starts, ends = form.text(f"{name}-{place}-from"), form.text(f"{name}-{place}-to")
            if starts or ends:
                yield _span(mode, _minutes(starts), _minutes(ends))


def _span(mode: Mode, starts: int, ends: int) -> ModeSpan:
    # 00:00 ends a day as 24:00 does, but a span between two of them is none.
    until_midnight = ends == 0 < starts
    if mode is Mode.STAFFED and ends <= starts and not until_midnight:
        raise InputError(
            "staffed hours end on the same day, after they begin: the door stands unlocked in them"
        )
    # Hours that end at or before they begin end on the next day.
    if ends <= starts:
        ends += DAY_MINUTES
    try:
        return ModeSpan(mode, starts, ends)
    except ValueError:
        raise InputError("a time of day is 00:00 to 24:00") from None


def _minutes(written: str) -> int:
    found = _TIME.fullmatch(written)
    told = int(found[1]) * 60 + int(found[2]) if found else DAY_MINUTES + 1
    if told > DAY_MINUTES:
        raise InputError("give both times of a span, as 07:00")
    return told
