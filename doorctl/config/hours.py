"""Opening hours: from ``"22:00-02:00"`` to minutes after midnight, weekly and dated."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from itertools import chain
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
from doorctl.config.clashes import Week, _key, clashes_of_date, clashes_of_week
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
