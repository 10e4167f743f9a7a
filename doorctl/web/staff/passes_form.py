"""A pass as it is filled in."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from doorctl.access.codes import MIN_CODE_DIGITS
from doorctl.access.hours import DAY_MINUTES, Span
from doorctl.access.rights import EVERY_DAY, MOST_SPANS, Pass, PassKind
from doorctl.errors import InputError
from doorctl.web.pages.forms import Form
from doorctl.web.staff import filled_in

OWN_PIN, NO_PIN = "own", "none"
"""What a form calls a pass with a PIN of its own, and one without."""

SPAN_FIELDS: Final = ("", *map(str, range(2, MOST_SPANS + 1)))
"""What the names of the fields of each time of day end in."""

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def new_pass(form: Form, today: date, *, by_code: bool) -> Pass:
    """Return the pass that is asked for, without its number and its own PIN.

    Args:
        form: what was filled in.
        today: the first day where none was given.
        by_code: whether it is for a new code and not for a card.

    Raises:
        InputError: it makes no sense.
    """
    last = filled_in.day(form.text("last"))
    if last is None:
        raise InputError("give the last day of the pass")
    first, *more = _times(form)
    return Pass(
        number=0,
        kind=_kind(form.text("kind")),
        first_day=filled_in.day(form.text("first")) or today,
        last_day=last,
        weekdays=_weekdays(form),
        from_minute=first.opens,
        to_minute=first.closes,
        outside_hours=form.ticked("outside_hours"),
        needs_pin=not by_code and form.text("pin") != NO_PIN,
        code_digits=_small(form.text("digits"), MIN_CODE_DIGITS) if by_code else None,
        companions_max=_small(form.text("companions"), 0),
        label=form.text("label"),
        more_times=tuple(more),
    )


def _kind(name: str) -> PassKind:
    try:
        return PassKind(name)
    except ValueError:
        raise InputError("choose whom the pass is for") from None


def _weekdays(form: Form) -> frozenset[int]:
    """Return the days that are ticked; every day where none is."""
    ticked = frozenset(_small(one, 0) for one in form.every("weekday"))
    return ticked or EVERY_DAY


def _times(form: Form) -> list[Span]:
    """Return those that are filled in; an end may be on the next day, and none is all day."""
    pairs = [(form.text(f"opens{n}"), form.text(f"closes{n}")) for n in SPAN_FIELDS]
    found = [(_minute(opens), _minute(closes)) for opens, closes in pairs if opens or closes]
    spans = [Span(first, last if last > first else last + DAY_MINUTES) for first, last in found]
    return spans or [Span(0, DAY_MINUTES)]


def _minute(written: str) -> int:
    found = _CLOCK.fullmatch(written)
    if found is None:
        raise InputError("give both times of day, or none for all day")
    return int(found[1]) * 60 + int(found[2])


def _small(written: str, otherwise: int) -> int:
    if not written:
        return otherwise
    if len(written) != 1 or not written.isascii() or not written.isdigit():
        raise InputError("that is no number from 0 to 9")
    return int(written)
