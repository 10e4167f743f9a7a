"""Dates, times and numbers as each language writes them; names of days and modes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from doorctl.access.calendar import DAY_MINUTES, Cause, Mode
from doorctl.config.clashes import Placed
from doorctl.core.errors import InputError
from doorctl.core.language import DANISH, Language
from doorctl.privacy.tables import Column, Table

WEEKDAYS: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_NUMBER: Final = "1,234.5"
"""A text whose translation shows a language's signs between digits."""

_MARKS: Final = re.compile(r"1(\D?)234(\D)5")


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language for one branch; every time is shown in the branch's `zone`."""

    language: Language
    zone: ZoneInfo

    def say(self, text: str, /, **values: object) -> str:
        """Return a text of the pages in this language, its `{names}` filled in."""
        translated = self.language.words.gettext(text) if text else ""
        return translated.format(**values) if values else translated

    def count(self, singular: str, plural: str, number: int, /, **values: object) -> str:
        """Return the form that fits a number, which is `{n}` in it."""
        form = self.language.words.ngettext(singular, plural, number)
        return form.format(n=self.number(number), **values)

    def plain(self, value: object) -> str:
        """Return a stored value as this language writes it; "" for None."""
        if isinstance(value, bool):
            return self.say("yes") if value else self.say("no")
        return "" if value is None else str(self._value(value))

    def name_of(self, named: Table | Column) -> str:
        """Return what a table or a column is called in a person's export."""
        return named.danish if self.language.code == DANISH else named.english

    def call_it(self, phone: str) -> str:
        """Return the sentence that says whom to call, with the number where there is one."""
        if not phone:
            return self.say("Call IT.")
        return self.say("Call IT: {phone}.", phone=phone.replace(" ", "\N{NO-BREAK SPACE}"))

    def alarm(self, text: str) -> str:
        """Return a text of the list of alarms in this language."""
        return self.language.words.pgettext("alarm", text)

    def refusal(self, error: Exception | None) -> str:
        """Return an error's sentence, with its values as this language writes them; "" for None.

        A command's sentence goes on after a colon; a page's begins with a capital and ends.
        """
        if error is None:
            return ""
        if not isinstance(error, InputError):
            return self.say(str(error))
        text = self.say(error.text)
        text = text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", ":")) else ".")
        values = {name: self._value(at) for name, at in error.values.items()}
        return text.format(**values) if values else text

    def _value(self, value: object) -> object:
        if isinstance(value, datetime):
            return self.moment(value)
        if isinstance(value, date):
            return self.short_day(value)
        if isinstance(value, Placed):
            return self._placed(value)
        return self.number(value) if isinstance(value, int) else value

    def _placed(self, placed: Placed) -> str:
        """Return "11.00-13.00 betjent"; beside a date's, a span of the week is on the day after."""
        hours = self.hours_of_day(placed.span.starts, placed.span.ends)
        span = f"{hours} {self.say(MODES[placed.span.mode]).lower()}"
        table, _, day = placed.key.rpartition(".")
        if table.startswith("hours"):
            return self.say("{span} the day after", span=span)
        if day.capitalize() in WEEKDAYS:
            return self.say("{span} on {day}", span=span, day=self.say(day.capitalize()))
        return span

    def time_of_day(self, minute: int) -> str:
        """Return "07.05" for minutes after midnight; 24.00 ends a day; later is the next day's."""
        hour, minutes = divmod(minute if minute <= DAY_MINUTES else minute - DAY_MINUTES, 60)
        return self.say("{hour}:{minute}", hour=f"{hour:02}", minute=f"{minutes:02}")

    def hours_of_day(self, starts: int, ends: int) -> str:
        """Return "07.00-22.00", with the dash or the words of the language."""
        return self.say(
            "{starts} to {ends}", starts=self.time_of_day(starts), ends=self.time_of_day(ends)
        )

    def weekday(self, day: date) -> str:
        """Return "tirsdag"."""
        return self.say(WEEKDAYS[day.weekday()])

    def month(self, day: date) -> str:
        """Return "november"."""
        return self.say(MONTHS[day.month - 1])

    def long_day(self, day: date) -> str:
        """Return "tirsdag den 24. november 2026"."""
        return self.say(
            "{weekday} {day} {month} {year}",
            weekday=self.weekday(day),
            day=day.day,
            month=self.month(day),
            year=day.year,
        )

    def short_day(self, day: date) -> str:
        """Return "24.11.2026"."""
        return self.say("{day}/{month}/{year}", day=day.day, month=day.month, year=day.year)

    def clock(self, at: datetime) -> str:
        """Return "21.05": hours and minutes in the branch's zone."""
        local = self.local(at)
        return self.say("{hour}:{minute}", hour=f"{local:%H}", minute=f"{local:%M}")

    def moment(self, at: datetime) -> str:
        """Return "24.11.2026 kl. 21.05"."""
        local = self.local(at)
        return self.say("{day} at {time}", day=self.short_day(local.date()), time=self.clock(local))

    def local(self, at: datetime) -> datetime:
        """Return an aware time in the branch's zone."""
        return at.astimezone(self.zone)

    def number(self, number: float, digits: int = 0) -> str:
        """Return "1.234,5" in Danish, and "1,234.5" in English or without a translation."""
        text = f"{number:,.{digits}f}"
        if text.isdigit():
            return text
        marks = _MARKS.fullmatch(self.say(_NUMBER))
        return text if marks is None else text.translate({ord(","): marks[1], ord("."): marks[2]})


MODES: Mapping[Mode | None, str] = MappingProxyType(
    {
        Mode.STAFFED: "Staffed",
        Mode.SELF_SERVICE: "Self-service",
        Mode.CLOSED: "Closed",
        Mode.LOCKDOWN: "Locked down",
        None: "Not known",
    }
)

CAUSES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.SCHEDULE: "the usual hours",
        Cause.EXCEPTION: "an exception for this date",
        Cause.HOLIDAY: "a public holiday",
        Cause.STAFF: "set by hand",
        Cause.LOCKDOWN: "a lockdown is over, and staff have to lift it",
        Cause.UNKNOWN_CALENDAR: "the calendar is missing or at its end",
        Cause.CLOCK: "the clock is not set",
    }
)

SETTABLE: Final = (Mode.STAFFED, Mode.SELF_SERVICE, Mode.CLOSED)
"""The modes that staff choose from a list, in that order; a lockdown has a button of its own."""
