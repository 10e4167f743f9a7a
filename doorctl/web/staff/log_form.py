"""What is filled in on the door log's page: shown again where it makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from doorctl.web.desks import LogFilter
from doorctl.web.pages.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.log_export import FORMATS
from doorctl.web.staff.log_filter import Chosen

Text = Callable[[str], str]
"""Returns a field, empty where absent."""


def fields_of(wanted: Chosen) -> dict[str, Any]:
    """Return the fields of the filter and of the export, as they stand for what was chosen."""
    return {
        "day": str(wanted.day),
        "from": f"{wanted.starts:%H:%M}" if wanted.starts is not None else "",
        "to": f"{wanted.ends:%H:%M}" if wanted.ends is not None else "",
        "outcome": wanted.outcome,
        "reason": wanted.reasons,
        "first": str(wanted.day),
        "last": str(wanted.day),
        "purpose": "",
        "format": FORMATS[0],
    }


def typed(text: Text, every: Callable[[str], Sequence[str]], wanted: Chosen) -> dict[str, Any]:
    """Return the same fields as somebody filled them in; those left empty as were they chosen."""
    shown = {name: text(name) or usual for name, usual in fields_of(wanted).items()}
    return shown | {"reason": frozenset(every("reason")), "format": format_of(text)}


def format_of(text: Text) -> str:
    """Return the format that was chosen; the first where it is none."""
    chosen = text("format")
    return chosen if chosen in FORMATS else FORMATS[0]


def days(text: Text, wanted: Chosen) -> tuple[date, date]:
    """Return the first and the last day to save.

    Raises:
        FieldError: one of them is no day, or the last is before the first.
    """
    with of_field("first"):
        first = filled_in.day(text("first")) or wanted.day
    with of_field("last"):
        last = filled_in.day(text("last")) or first
    if last < first:
        raise FieldError("last", "the last day is before the first")
    return first, last


def spanned(wanted: Chosen, first: date, last: date, words: Words) -> LogFilter:
    """Return what is wanted of some days; the times of the day are of a single one."""
    if first == last:
        return replace(wanted, day=first).wanted(words)
    begins = replace(wanted, day=first, starts=None, ends=None).wanted(words)
    ends = replace(wanted, day=last, starts=None, ends=None).wanted(words)
    return replace(begins, until=ends.until)
