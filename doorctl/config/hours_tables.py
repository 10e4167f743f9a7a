"""Tables about when the branch is open, as they are written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from doorctl.config.description import key

HoursSource = Literal["config", "staff", "website"]
HolidayRule = Literal["ignore", "closed", "sunday"]
HalfHoliday = Literal["christmas_eve", "constitution_day", "new_years_eve", "workers_day"]
OpenMeans = Literal["ignore", "self_service", "staffed"]
WarningMinutes = Annotated[int, Meta(ge=1, le=120)]
Written = tuple[str, ...]

MOST_SPANS = 24
_SPANS = 'a list of "HH:MM-HH:MM"'
_PORT = "(:[0-9]{1,5})?"
_SITE = rf"^(https://[A-Za-z0-9.-]{{1,253}}{_PORT}|http://(localhost|127\.0\.0\.1){_PORT})?\Z"


def _day(why: str, example: str = "08:00-22:00") -> Meta:
    return key(why, [example], _SPANS, max_length=MOST_SPANS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenHours:
    """The self-service hours as they are written, in the branch's local time, and their source."""

    monday: Annotated[
        Written,
        _day(
            "Spans of local time in which patrons come in on Mondays. 24:00 may end a span; one "
            "that ends before it starts goes on past midnight. Empty or absent: closed."
        ),
    ] = ()
    tuesday: Annotated[Written, _day("The same for Tuesdays.")] = ()
    wednesday: Annotated[Written, _day("The same for Wednesdays.")] = ()
    thursday: Annotated[Written, _day("The same for Thursdays.")] = ()
    friday: Annotated[Written, _day("The same for Fridays.")] = ()
    saturday: Annotated[Written, _day("The same for Saturdays.")] = ()
    sunday: Annotated[Written, _day("The same for Sundays.")] = ()
    source: Annotated[
        HoursSource,
        key(
            "Where the hours come from: this file, the staff page, or the library's website. What "
            "is said of a date in hours.exceptions goes before the website."
        ),
    ] = "config"
    holidays: Annotated[
        HolidayRule,
        key(
            "What a Danish public holiday is, where no exception speaks of it: a day like any "
            "other, closed, or a day with Sunday's hours."
        ),
    ] = "ignore"
    holidays_also: Annotated[
        tuple[HalfHoliday, ...],
        key(
            "Days that are no public holidays but count as such here: 24 December, 5 June, 31 "
            "December, 1 May.",
            ["christmas_eve", "new_years_eve"],
            'a list of "christmas_eve", "constitution_day", "new_years_eve", "workers_day"',
            max_length=4,
        ),
    ] = ()
    website_url: Annotated[
        str,
        key(
            "The library's website (DPL CMS), asked for /api/v1/opening_hours. Plain http only to "
            "this machine: whoever changes the answer opens the door.",
            "https://bibliotek.example",
            'an address that begins with https://, or ""',
            pattern=_SITE,
        ),
    ] = ""
    website_branch: Annotated[
        str,
        key(
            "The branch's number there (branch_id). Where the answer names an ISIL, it must be "
            "branch.isil.",
            "12",
            'at most 9 digits, or ""',
            pattern=r"^[0-9]{0,9}\Z",
        ),
    ] = ""
    website_days: Annotated[
        int,
        key(
            "Days ahead for which the website's hours are kept: it may be away so long.",
            ge=2,
            le=90,
        ),
    ] = 14
    website_open_means: Annotated[
        OpenMeans,
        key(
            'What the website\'s category "Åbent" is; "Med betjening" is staffed and '
            '"Selvbetjening" self-service.'
        ),
    ] = "self_service"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStaffed:
    """The staffed hours as they are written, in the branch's local time."""

    monday: Annotated[
        Written,
        _day(
            "Spans of local time in which somebody is at the desk on Mondays and the door is "
            "free: each within a span of self-service or apart from all.",
            "10:00-18:00",
        ),
    ] = ()
    tuesday: Annotated[Written, _day("The same for Tuesdays.", "10:00-18:00")] = ()
    wednesday: Annotated[Written, _day("The same for Wednesdays.", "10:00-18:00")] = ()
    thursday: Annotated[Written, _day("The same for Thursdays.", "10:00-18:00")] = ()
    friday: Annotated[Written, _day("The same for Fridays.", "10:00-18:00")] = ()
    saturday: Annotated[Written, _day("The same for Saturdays.", "10:00-18:00")] = ()
    sunday: Annotated[Written, _day("The same for Sundays.", "10:00-18:00")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenException:
    """One date with hours of its own, as it is written."""

    date: Annotated[
        dt.date,
        key(
            "The date whose hours are other than the week's: all day, also the end of a span that "
            "began the day before.",
            "2030-12-24",
            'a date, "YYYY-MM-DD"',
        ),
    ]
    self_service: Annotated[
        Written, _day("Spans as in [hours]. With staffed empty too: closed.", "10:00-14:00")
    ] = ()
    staffed: Annotated[Written, _day("Spans as in [hours.staffed].", "10:00-12:00")] = ()
    note: Annotated[
        str,
        key(
            "What the day is, for patrons and staff.",
            "Juleaften",
            "text of at most 80 characters",
            max_length=80,
        ),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What happens before patrons must be out."""

    warn_min: Annotated[
        tuple[WarningMinutes, ...],
        key(
            "Minutes before patrons must be out at which they are warned.",
            [15, 10, 5],
            "a list of at most 8 whole numbers from 1 to 120",
            max_length=8,
        ),
    ] = (15, 10, 5)
    no_entry_min: Annotated[
        int,
        key(
            "Minutes before self-service ends in which nobody new comes in.",
            ge=0,
            le=120,
        ),
    ] = 0
