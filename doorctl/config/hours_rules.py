"""What hours may not say: overlaps, gaps too short to be meant, staff half outside the hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import combinations

from doorctl.access.hours import DAY_MINUTES, Span
from doorctl.config.opening import DatedHours, Week
from doorctl.errors import Problem

WEEK_MINUTES = 7 * DAY_MINUTES
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

SHORTEST_GAP_MIN = 15
"""A shorter break between two spans is surely a slip, such as 09:59 for 10:00."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A span on a line of minutes, or on a circle.

    Args:
        key: where it is written.
        starts: minutes after the line's beginning.
        span: as written.
    """

    key: str
    starts: int
    span: Span

    @property
    def ends(self) -> int:
        """Where it ends on the line."""
        return self.starts + self.span.closes - self.span.opens

    def __str__(self) -> str:
        return f'"{written(self.span)}"'


def written(one: Span) -> str:
    """Return a span as it is written in the file."""
    return f"{_clock(one.opens)}-{_clock(one.closes)}"


def problems_of_week(week: Week, staffed: Week) -> list[Problem]:
    """Return what is wrong with a week's hours, round the week."""
    return _problems(_placed("hours", week), _placed("hours.staffed", staffed), WEEK_MINUTES)


def problems_of_date(
    one: DatedHours, week: Week, staffed: Week, dates: AbstractSet[date]
) -> list[Problem]:
    """Return what is wrong with one date's hours, also against the day after.

    Args:
        one: the date's own hours, which cut off the day before.
        week: self-service hours.
        staffed: staffed hours.
        dates: all that have hours of their own, and so cut off this one.
    """
    own = [Placed(f"{one.key}.self_service", each.opens, each) for each in one.self_service]
    desk = [Placed(f"{one.key}.staffed", each.opens, each) for each in one.staffed]
    if one.day + timedelta(days=1) in dates:
        return _problems(own, desk)
    tomorrow = DAYS[(one.day.weekday() + 1) % 7]
    next_own, next_desk = (
        [
            replace(each, starts=each.span.opens + DAY_MINUTES)
            for each in _placed(table, days)
            if each.key == f"{table}.{tomorrow}"
        ]
        for table, days in (("hours", week), ("hours.staffed", staffed))
    )
    known = _problems(next_own, next_desk)
    found = _problems([*own, *next_own], [*desk, *next_desk])
    return [problem for problem in found if problem not in known]


def _placed(table: str, week: Week) -> list[Placed]:
    return [
        Placed(f"{table}.{day}", place * DAY_MINUTES + one.opens, one)
        for place, (day, spans) in enumerate(zip(DAYS, week, strict=True))
        for one in spans
    ]


def _problems(
    own: Sequence[Placed], staffed: Sequence[Placed], around: int | None = None
) -> list[Problem]:
    found = [
        *_overlaps(own, around),
        *_overlaps(staffed, around),
        *_half_outside(own, staffed, around),
        *_short_gaps(staffed, around),
        *_short_gaps([*own, *staffed], around),
    ]
    return list(dict.fromkeys(found))


def _overlaps(placed: Sequence[Placed], around: int | None) -> Iterator[Problem]:
    """Yield one problem for each span that begins before an earlier one ends."""
    for one, following in combinations(placed, 2):
        if following.starts < one.ends:
            yield _overlap(following, one)
        elif around is not None and one.starts + around < following.ends:
            yield _overlap(one, following)


def _overlap(one: Placed, other: Placed) -> Problem:
    return Problem(one.key, f"{one} overlaps {other} of {other.key}; join them or move one")


def _half_outside(
    own: Sequence[Placed], staffed: Sequence[Placed], around: int | None
) -> Iterator[Problem]:
    for one in staffed:
        shared = [(_shared(one, other, around), other) for other in own]
        met = [other for minutes, other in shared if minutes]
        if met and sum(minutes for minutes, _ in shared) < one.ends - one.starts:
            what = f"{one} lies only partly within {met[0]} of {met[0].key}"
            yield Problem(one.key, f"{what}; let it lie within or apart")


def _shared(one: Placed, other: Placed, around: int | None) -> int:
    turns = (0,) if around is None else (-around, 0, around)
    return sum(
        max(0, min(one.ends, other.ends + turn) - max(one.starts, other.starts + turn))
        for turn in turns
    )


def _short_gaps(placed: Sequence[Placed], around: int | None) -> Iterator[Problem]:
    line = sorted(placed, key=lambda one: one.starts)
    if around is not None and line:
        line.append(replace(line[0], starts=line[0].starts + around))
    reached = line[:1]
    for one in line[1:]:
        reached.append(max(reached[-1], one, key=lambda each: each.ends))
    for last, one in zip(reached, line[1:], strict=False):
        gap = one.starts - last.ends
        if 0 < gap < SHORTEST_GAP_MIN:
            what = f"{one} begins {gap} min after {last} of {last.key} ends"
            yield Problem(
                one.key, f"{what}; join them or leave at least {SHORTEST_GAP_MIN} min between"
            )


def _clock(minutes: int) -> str:
    within = minutes if minutes <= DAY_MINUTES else minutes - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"
