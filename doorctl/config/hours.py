"""Opening hours: from ``"22:00-02:00"`` to minutes after midnight, weekly and dated."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from itertools import chain, combinations
from operator import attrgetter
from typing import Annotated, Any, Literal

from msgspec import Meta

from doorctl.access.calendar import (
    DAY_MINUTES,
    WEEKDAYS,
    Calendar,
    Cause,
    DatedDay,
    Day,
    Mode,
    ModeSpan,
    Span,
    StoredDay,
)
from doorctl.config.rules import repeated
from doorctl.config.tables import key, list_key, shown
from doorctl.core.errors import Problem

HoursSource = Literal["config", "staff", "website"]
HolidayRule = Literal["ignore", "closed", "sunday"]
HalfHoliday = Literal["christmas_eve", "constitution_day", "new_years_eve", "workers_day"]
OpenMeans = Literal["ignore", "self_service", "staffed"]
WarningMinutes = Annotated[int, Meta(ge=1, le=120)]
Written = tuple[str, ...]

MOST_SPANS = 24
BY_TIME = attrgetter("starts", "ends")
_SPANS = 'a list of "HH:MM-HH:MM"'
_PORT = "(:[0-9]{1,5})?"
_SITE = rf"^(https://[A-Za-z0-9.-]{{1,253}}{_PORT}|http://(localhost|127\.0\.0\.1){_PORT})?\Z"


def _day(example: str = "08:00-22:00") -> Any:
    return key((), example=[example], allowed=_SPANS, max_length=MOST_SPANS)


@dataclass(frozen=True, kw_only=True)
class HoursSources:
    """Where hours come from besides the configuration's own."""

    source: HoursSource = key("config")
    holidays: HolidayRule = key("ignore")
    holidays_also: tuple[HalfHoliday, ...] = key(
        (),
        example=["christmas_eve", "new_years_eve"],
        allowed='a list of "christmas_eve", "constitution_day", "new_years_eve", "workers_day"',
        max_length=4,
    )
    website_url: str = key(
        "",
        example="https://bibliotek.example",
        allowed='an address that begins with https://, or ""',
        pattern=_SITE,
    )
    website_branch: str = key(
        "", example="12", allowed='at most 9 digits, or ""', pattern=r"^[0-9]{0,9}\Z"
    )
    website_days: int = key(14, within=(2, 90))
    website_open_means: OpenMeans = key("self_service")


@dataclass(frozen=True, kw_only=True)
class WrittenDays:
    """The hours of a week as written, in the branch's local time; alone those that are staffed."""

    monday: Written = _day()
    tuesday: Written = _day()
    wednesday: Written = _day()
    thursday: Written = _day()
    friday: Written = _day()
    saturday: Written = _day()
    sunday: Written = _day()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenException:
    """One date with hours of its own, as written."""

    date: dt.date = key(example="2030-12-24", allowed='a date, "YYYY-MM-DD"')
    self_service: Written = _day("10:00-14:00")
    staffed: Written = _day("10:00-12:00")
    note: str = key("", example="Juleaften", allowed="text of at most 80 characters", max_length=80)


@dataclass(frozen=True, kw_only=True)
class WrittenHours(HoursSources, WrittenDays):
    """The self-service hours as written, and their source."""

    staffed: WrittenDays = field(default_factory=WrittenDays)
    exceptions: tuple[WrittenException, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What happens before patrons must be out."""

    warn_min: tuple[WarningMinutes, ...] = list_key(
        "whole numbers from 1 to 120", 8, [15, 10, 5], (15, 10, 5)
    )
    no_entry_min: int = key(0, within=(0, 120))


Week = tuple[Day, ...]
"""Seven days, Monday first, each day's spans in order; an empty day has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(HoursSources):
    """The hours in the configuration; thread-safe, because nothing in it changes.

    `week` is None for all hours; `exceptions` has each date once.
    """

    week: Week | None = None
    exceptions: tuple[StoredDay, ...] = ()

    @property
    def calendar(self) -> Calendar:
        """The week and the exceptions, without holidays, which the door can't compute."""
        return Calendar(self.week, dated(self.exceptions))


def dated(days: Iterable[StoredDay], cause: Cause = Cause.EXCEPTION) -> dict[date, DatedDay]:
    """Return dates' own hours in the calendar's form."""
    return {day.day: DatedDay(day.spans, cause, day.note) for day in days}


def past_exceptions(opening: Opening, today: dt.date) -> Iterator[Problem]:
    """Yield one problem for each exception before `today`, the branch's local date.

    Only ``check-config`` calls this: a door must not stop because Christmas is over.
    """
    for place, exception in enumerate(opening.exceptions):
        if exception.day < today:
            what = f"found {shown(exception.day)}, which is past"
            yield Problem(
                f"{EXCEPTIONS}[{place}].date", f"{what}; take the exception out or correct the year"
            )


# Wrong hours are overlaps, gaps too short to be meant, staff half outside the hours.

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


EXCEPTIONS = "hours.exceptions"

EARLIEST, LATEST = date(2000, 1, 1), date(2199, 12, 31)
"""Beyond these a year is mistyped; the last one is far from the calendar's end."""

_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


def span(text: str) -> Span:
    """Read ``HH:MM-HH:MM``; an end before the start is on the next day.

    ValueError says what is wrong. Equal times could mean the whole day as well as nothing at all.
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
    """Turn the keys under ``hours.`` into ``opening``.

    Without any it is always open. Those that are missing because they are wrong count as empty:
    their problem is known already, and nothing is built.
    """
    result = {name: value for name, value in values.items() if not name.startswith("hours.")}
    written = {name: value for name, value in values.items() if name not in result}
    if not written:
        return {**result, "opening": Opening()}, []
    problems: list[Problem] = []
    week = _week(written, problems)
    exceptions = dict(_exceptions(written, problems))
    problems += (clash.problem for clash in clashes_of_week(week))
    problems += _between(exceptions)
    dates = {exception.day for exception in exceptions.values()}
    for at, exception in exceptions.items():
        problems += (clash.problem for clash in clashes_of_date(at, exception, week, dates))
    problems += _of_website(written)
    given = ((each.name, f"hours.{each.name}") for each in fields(HoursSources))
    sources = {leaf: written[name] for leaf, name in given if name in written}
    opening = Opening(week=week, exceptions=tuple(exceptions.values()), **sources)
    return {**result, "opening": opening}, problems


def _week(written: Mapping[str, Any], problems: list[Problem]) -> Week:
    def listed(mode: Mode) -> list[Day]:
        keys = (_key("hours", mode, day) for day in WEEKDAYS)
        return [_spans(mode, key, written.get(key, ()), problems) for key in keys]

    by_mode = listed(Mode.SELF_SERVICE), listed(Mode.STAFFED)
    return tuple((*own, *staffed) for own, staffed in zip(*by_mode, strict=True))


def _exceptions(
    written: Mapping[str, Any], problems: list[Problem]
) -> Iterator[tuple[str, StoredDay]]:
    listed: tuple[WrittenException | None, ...] = written.get(EXCEPTIONS, ())
    for place, exception in enumerate(listed):
        if exception is None:
            continue
        key = f"{EXCEPTIONS}[{place}]"
        if not EARLIEST <= exception.date <= LATEST:
            what = f"found {shown(exception.date)}; give a date from {EARLIEST} to {LATEST}"
            problems.append(Problem(f"{key}.date", what))
        else:
            both = (Mode.SELF_SERVICE, exception.self_service), (Mode.STAFFED, exception.staffed)
            spans = (_spans(mode, f"{key}.{mode.value}", texts, problems) for mode, texts in both)
            yield key, StoredDay(exception.date, tuple(chain(*spans)), exception.note)


def _spans(mode: Mode, key: str, texts: Iterable[str], problems: list[Problem]) -> Day:
    spans = []
    for text in texts:
        try:
            read = span(text)
        except ValueError as error:
            problems.append(Problem(key, f"found {{found}}; {error}", found=shown(text)))
        else:
            spans.append(ModeSpan(mode, read.opens, read.closes))
    return tuple(sorted(spans, key=BY_TIME))


def _between(exceptions: Mapping[str, StoredDay]) -> Iterator[Problem]:
    days = ((at, exception.day) for at, exception in exceptions.items())
    for at, day, other in repeated(days):
        what = f"found {shown(day)}, which is {other}'s too; say all of a date at one place"
        yield Problem(f"{at}.date", what)


def _of_website(written: Mapping[str, Any]) -> Iterator[Problem]:
    if written.get("hours.source") != "website":
        return
    for leaf in ("website_url", "website_branch"):
        if written.get(f"hours.{leaf}") == "":
            yield Problem(f"hours.{leaf}", 'missing beside hours.source = "website"; give it')


def _minutes(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)
