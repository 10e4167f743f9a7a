"""Wrong hours: overlaps, gaps too short to be meant, staff half outside the hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import combinations

from doorctl.access.calendar import (
    DAY_MINUTES,
    WEEKDAYS,
    Day,
    Mode,
    ModeSpan,
    StoredDay,
)
from doorctl.core.errors import Problem

Week = tuple[Day, ...]
"""Seven days, Monday first, each day's spans in order; an empty day has none."""

WEEK_MINUTES = 7 * DAY_MINUTES


SHORTEST_GAP_MIN = 15
"""A shorter break between two spans is surely a typing error, such as 09:59 for 10:00."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A span on a line of minutes, or on a circle.

    `starts` counts minutes from the line's beginning; `key` says where it is written.
    """

    key: str
    starts: int
    span: ModeSpan

    @property
    def ends(self) -> int:
        """Where it ends on the line."""
        return self.starts + self.span.ends - self.span.starts

    def __str__(self) -> str:
        return f'"{written(self.span)}"'


def written(span: ModeSpan) -> str:
    """Return a span as it is written in the file."""
    return f"{clock(span.starts)}-{clock(span.ends)}"


@dataclass(frozen=True, slots=True)
class Clash:
    """Two spans that can't stand together: `text` says how, with places for `values`."""

    text: str
    placed: Placed
    other: Placed
    gap_min: int = 0

    @property
    def values(self) -> dict[str, object]:
        """The values for the text; `place` is where the other span is written."""
        both = {"one": self.placed, "other": self.other, "place": self.other.key}
        return {**both, "n": self.gap_min, "least": SHORTEST_GAP_MIN}

    @property
    def problem(self) -> Problem:
        """The clash as a mistake in the file."""
        return Problem(self.placed.key, self.text, **self.values)


def clashes_of_week(week: Week, table: str = "hours") -> list[Clash]:
    """Return what is wrong with a week's hours, written in a table; Monday follows Sunday."""
    placed = [at for day in range(len(WEEKDAYS)) for at in _placed(table, week, day, day)]
    return _clashes(placed, WEEK_MINUTES)


def clashes_of_date(
    key: str, exception: StoredDay, week: Week, dates: AbstractSet[date]
) -> list[Clash]:
    """Return what is wrong with one date's hours, written at `key`, also against the day after.

    The date's own hours cut off the day before; all `dates` with own hours cut off this date.
    """
    own = [Placed(f"{key}.{at.mode.value}", at.starts, at) for at in exception.spans]
    if exception.day + timedelta(days=1) in dates:
        return _clashes(own)
    after = _placed("hours", week, (exception.day.weekday() + 1) % len(WEEKDAYS), place=1)
    known = _clashes(after)
    return [clash for clash in _clashes([*own, *after]) if clash not in known]


def _placed(table: str, week: Week, day: int, place: int) -> list[Placed]:
    return [
        Placed(_key(table, span.mode, WEEKDAYS[day]), place * DAY_MINUTES + span.starts, span)
        for span in week[day]
    ]


def _key(table: str, mode: Mode, day: str) -> str:
    return f"{table}.{day}" if mode is Mode.SELF_SERVICE else f"{table}.{mode.value}.{day}"


def _clashes(placed: Sequence[Placed], around: int | None = None) -> list[Clash]:
    own, staffed = (
        [at for at in placed if at.span.mode is mode] for mode in (Mode.SELF_SERVICE, Mode.STAFFED)
    )
    clashes = [
        *_overlaps(own, around),
        *_overlaps(staffed, around),
        *_half_outside(own, staffed, around),
        *_short_gaps(staffed, around),
        *_short_gaps([*own, *staffed], around),
    ]
    return list(dict.fromkeys(clashes))


def _overlaps(placed: Sequence[Placed], around: int | None) -> Iterator[Clash]:
    """Yield one clash for each span that begins before an earlier one ends."""
    for earlier, following in combinations(placed, 2):
        if following.starts < earlier.ends:
            yield _overlap(following, earlier)
        elif around is not None and earlier.starts + around < following.ends:
            yield _overlap(earlier, following)


def _overlap(placed: Placed, other: Placed) -> Clash:
    return Clash("{one} overlaps {other} of {place}; join them or move one", placed, other)


def _half_outside(
    own: Sequence[Placed], staffed: Sequence[Placed], around: int | None
) -> Iterator[Clash]:
    for placed in staffed:
        shared = [(_shared(placed, other, around), other) for other in own]
        met = [other for minutes, other in shared if minutes]
        if met and sum(minutes for minutes, _ in shared) < placed.ends - placed.starts:
            yield Clash(
                "{one} lies only partly within {other} of {place}; let it lie within or apart",
                placed,
                met[0],
            )


def _shared(placed: Placed, other: Placed, around: int | None) -> int:
    turns = (0,) if around is None else (-around, 0, around)
    return sum(
        max(0, min(placed.ends, other.ends + turn) - max(placed.starts, other.starts + turn))
        for turn in turns
    )


def _short_gaps(placed: Sequence[Placed], around: int | None) -> Iterator[Clash]:
    line = sorted(placed, key=lambda span: span.starts)
    if around is not None and line:
        line.append(replace(line[0], starts=line[0].starts + around))
    reached = line[:1]
    for following in line[1:]:
        reached.append(max(reached[-1], following, key=lambda span: span.ends))
    for last, following in zip(reached, line[1:], strict=False):
        gap = following.starts - last.ends
        if 0 < gap < SHORTEST_GAP_MIN:
            yield Clash(
                "{one} begins {n} min after {other} of {place} ends; join them or leave at least "
                "{least} min between",
                following,
                last,
                gap,
            )


def hours_of(day: Day) -> str:
    """Return a day's hours as commands and the audit log write them."""
    ordered = sorted(day, key=lambda span: span.starts)
    spans = (f"{span.mode.value} {clock(span.starts)}-{clock(span.ends)}" for span in ordered)
    return ", ".join(spans) or Mode.CLOSED.value


def clock(minutes: int) -> str:
    """Return minutes after midnight as ``HH:MM``, those of the next day too; midnight is 24:00."""
    within = minutes if minutes <= DAY_MINUTES else minutes - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"
