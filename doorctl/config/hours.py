"""Opening hours: from ``"22:00-02:00"`` to minutes after midnight, weekly and dated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from doorctl.access.hours import DAY_MINUTES, Span
from doorctl.config.hours_rules import DAYS, problems_of_date, problems_of_week
from doorctl.config.hours_tables import WrittenException
from doorctl.config.opening import DatedHours, Opening, Week
from doorctl.config.wording import shown
from doorctl.errors import Problem

EXCEPTIONS = "hours.exceptions"

EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)
"""Beyond these a year is mistyped; the last one is far from the calendar's end."""

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def span(text: str) -> Span:
    """Read ``HH:MM-HH:MM``; an end before the start is on the next day.

    Raises:
        ValueError: with what is wrong in words. Equal times are refused: they could mean the
            whole day as well as nothing at all.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError('write each span as "HH:MM-HH:MM", 00:00 to 24:00, such as "08:00-22:00"')
    opens = _minutes(match[1], match[2])
    closes = _minutes(match[3] or "24", match[4] or "00")
    if opens == closes:
        raise ValueError('write "00:00-24:00" for the whole day, nothing for closed')
    return Span(opens, closes if closes > opens else closes + DAY_MINUTES)


def read_hours(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Turn all that is written under ``hours.`` into ``opening`` and its week into ``hours``.

    Args:
        values: what is right by itself, by full key. Without any key under ``hours.`` it is
            always open. What is missing for being wrong is taken as empty: its problem is known
            already, and nothing is built.
    """
    result = {name: value for name, value in values.items() if not name.startswith("hours.")}
    written = {name: value for name, value in values.items() if name.startswith("hours.")}
    if not written:
        return {**result, "hours": None, "opening": Opening()}, []
    problems: list[Problem] = []
    week, staffed = (_week(table, written, problems) for table in ("hours", "hours.staffed"))
    exceptions = tuple(_exceptions(written, problems))
    problems += problems_of_week(week, staffed)
    problems += _between(exceptions)
    for one in exceptions:
        problems += problems_of_date(one, week, staffed, {each.day for each in exceptions})
    problems += _of_website(written)
    opening = Opening(week=week, staffed=staffed, exceptions=exceptions, **_settings(written))
    return {**result, "hours": week, "opening": opening}, problems


def _settings(written: Mapping[str, Any]) -> dict[str, Any]:
    leaves = {name.removeprefix("hours."): value for name, value in written.items()}
    others = {*DAYS, "exceptions"}
    return {leaf: value for leaf, value in leaves.items() if "." not in leaf and leaf not in others}


def _week(table: str, written: Mapping[str, Any], problems: list[Problem]) -> Week:
    return tuple(
        _spans(f"{table}.{day}", written.get(f"{table}.{day}", ()), problems) for day in DAYS
    )


def _exceptions(written: Mapping[str, Any], problems: list[Problem]) -> Iterator[DatedHours]:
    listed: tuple[WrittenException | None, ...] = written.get(EXCEPTIONS, ())
    for place, one in enumerate(listed):
        if one is None:
            continue
        key = f"{EXCEPTIONS}[{place}]"
        if not EARLIEST <= one.date <= LATEST:
            told = f"found {shown(one.date)}; give a date from {EARLIEST} to {LATEST}"
            problems.append(Problem(f"{key}.date", told))
        else:
            own = _spans(f"{key}.self_service", one.self_service, problems)
            staffed = _spans(f"{key}.staffed", one.staffed, problems)
            yield DatedHours(key, one.date, own, staffed, one.note)


def _spans(key: str, texts: Iterable[str], problems: list[Problem]) -> tuple[Span, ...]:
    found = []
    for text in texts:
        try:
            found.append(span(text))
        except ValueError as error:
            problems.append(Problem(key, f"found {shown(text)}; {error}"))
    return tuple(sorted(found, key=lambda one: (one.opens, one.closes)))


def _between(exceptions: Iterable[DatedHours]) -> Iterator[Problem]:
    first: dict[object, str] = {}
    for one in exceptions:
        if (other := first.setdefault(one.day, one.key)) != one.key:
            told = f"found {shown(one.day)}, which is {other}'s too"
            yield Problem(f"{one.key}.date", f"{told}; say all of a date at one place")


def _of_website(written: Mapping[str, Any]) -> Iterator[Problem]:
    if written.get("hours.source") != "website":
        return
    for leaf in ("website_url", "website_branch"):
        if written.get(f"hours.{leaf}") == "":
            yield Problem(f"hours.{leaf}", 'missing beside hours.source = "website"; give it')


def _minutes(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)
