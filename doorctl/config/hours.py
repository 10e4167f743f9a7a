"""Weekly opening hours: from ``"22:00-02:00"`` to minutes after midnight, and what overlaps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from doorctl.access.hours import DAY_MINUTES, Span
from doorctl.config.wording import shown
from doorctl.errors import Problem

WEEK_MINUTES = 7 * DAY_MINUTES
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


Week = tuple[tuple[Span, ...], ...]
"""Seven days, Monday first, each day's spans in order; an empty day is closed."""


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


def written(one: Span) -> str:
    """Return a span as it is written in the file."""
    return f"{_clock(one.opens)}-{_clock(one.closes)}"


def read_hours(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Turn the written days among `values` (``hours.monday`` ...) into sorted tuples of spans."""
    result = dict(values)
    problems: list[Problem] = []
    days: dict[str, tuple[Span, ...]] = {}
    for day in DAYS:
        if (texts := result.get(f"hours.{day}")) is not None:
            days[day] = tuple(sorted(_spans(day, texts, problems), key=_bounds))
            result[f"hours.{day}"] = days[day]
    return result, [*problems, *overlaps(days)]


def _spans(day: str, texts: Iterable[str], problems: list[Problem]) -> Iterator[Span]:
    for text in texts:
        try:
            yield span(text)
        except ValueError as error:
            problems.append(Problem(f"hours.{day}", f"found {shown(text)}; {error}"))


def overlaps(days: Mapping[str, Sequence[Span]]) -> Iterator[Problem]:
    """Yield one problem for each span that begins before an earlier one ends, round the week.

    Args:
        days: name of a day -> its spans; days that could not be read are left out.
    """
    placed = [
        (DAYS.index(day) * DAY_MINUTES + one.opens, day, one)
        for day, spans in sorted(days.items(), key=lambda item: DAYS.index(item[0]))
        for one in sorted(spans, key=_bounds)
    ]
    for (start, day, one), (next_start, next_day, following) in combinations(placed, 2):
        if next_start - start < one.closes - one.opens:
            yield _overlap(next_day, following, day, one)
        elif start + WEEK_MINUTES - next_start < following.closes - following.opens:
            yield _overlap(day, one, next_day, following)


def _overlap(day: str, one: Span, other_day: str, other: Span) -> Problem:
    return Problem(
        f"hours.{day}",
        f'"{written(one)}" overlaps "{written(other)}" of hours.{other_day}; join them or move one',
    )


def _bounds(one: Span) -> tuple[int, int]:
    return one.opens, one.closes


def _minutes(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)


def _clock(minutes: int) -> str:
    within = minutes if minutes <= DAY_MINUTES else minutes - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"
