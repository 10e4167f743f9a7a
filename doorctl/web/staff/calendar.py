"""The page of the hours: two weeks as a picture, and each date to be given hours of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import Day, Mode, ModeSpan
from doorctl.access.hours import DAY_MINUTES
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.ports import StoredDay
from doorctl.web.desks import CalendarDay, CalendarDesk
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.mode_words import CAUSES, MODES, minutes
from doorctl.web.staff import filled_in
from doorctl.web.staff.calendar_picture import picture
from doorctl.web.times_of_day import hours_of_day

PAGE: Final = "/calendar"
SHOWN_DAYS: Final = 14
MOST_SPANS: Final = 4
"""So many spans of each kind a form offers; no branch opens and closes more often in a day."""

_TIME: Final = re.compile(r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])")
KINDS: Final = ((Mode.SELF_SERVICE, "self"), (Mode.STAFFED, "staffed"))


@dataclass(frozen=True, slots=True)
class Row:
    """One date as the page shows it.

    Args:
        day: the date's hours and who says so.
        spans: each as mode and times, in words.
    """

    day: CalendarDay
    spans: tuple[tuple[str, str], ...]


class CalendarPages:
    """Show the hours and change those of single dates.

    Args:
        frame: around each page.
        desk: the hours.
    """

    def __init__(self, frame: Frame, desk: CalendarDesk) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, day = self._frame.guarded, f"{PAGE}/{{day}}"
        change, post = Permission.CHANGE_CALENDAR, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_CALENDAR),
            guarded(day, self._day, change),
            guarded(day, self._set, change, post),
            guarded(f"{day}/clear", self._clear, change, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        today = asked.today
        first = _date(asked.asked("from")) or today
        days = await asked.aside(self._desk.days, first, SHOWN_DAYS)
        return asked.page(
            "calendar.html",
            rows=[_row(asked, one) for one in days],
            picture=picture(asked.words, days, asked.now),
            today=today,
            earlier=max(today, first - timedelta(days=SHOWN_DAYS)),
            later=first + timedelta(days=SHOWN_DAYS),
            first=first,
            causes=CAUSES,
        )

    async def _day(self, asked: PageRequest) -> Response:
        day = await self._found(asked)
        return self._form(asked, day, _filled(day))

    async def _set(self, asked: PageRequest) -> Response:
        day, form = await self._found(asked), await asked.form()
        try:
            spans: Day = () if form.text("open") == "closed" else tuple(_spans(form))
            stored = StoredDay(day.day, spans, form.text("note"))
            await asked.aside(self._desk.set_day, stored, asked.by)
        except InputError as error:
            return self._form(asked, day, _typed(form), str(error))
        return asked.done(PAGE, "set")

    async def _clear(self, asked: PageRequest) -> Response:
        day = await self._found(asked)
        await asked.aside(self._desk.clear_day, day.day, asked.by)
        return asked.done(PAGE, "cleared")

    async def _found(self, asked: PageRequest) -> CalendarDay:
        day = _date(asked.request.path_params["day"])
        if day is None:
            raise InputError("that is no date")
        (found,) = await asked.aside(self._desk.days, day, 1)
        return found

    def _form(
        self, asked: PageRequest, day: CalendarDay, fields: dict[str, Any], wrong: str = ""
    ) -> Response:
        return asked.page(
            "calendar_day.html",
            422 if wrong else 200,
            row=_row(asked, day),
            fields=fields,
            slots=range(MOST_SPANS),
            kinds=[(name, MODES[mode]) for mode, name in KINDS],
            wrong=wrong,
            cause=CAUSES[day.cause],
            longest=SHORT_TEXT,
        )


def _row(asked: PageRequest, day: CalendarDay) -> Row:
    spans = sorted(day.spans or (), key=lambda one: one.starts)
    words = asked.words
    hours = (hours_of_day(words, one.starts, one.ends) for one in spans)
    modes = (words.say(MODES[one.mode]) for one in spans)
    return Row(day, tuple(zip(modes, hours, strict=True)))


def _filled(day: CalendarDay) -> dict[str, Any]:
    fields: dict[str, Any] = {"open": "hours" if day.spans else "closed", "note": day.note}
    for mode, name in KINDS:
        found = [one for one in day.spans or () if one.mode is mode]
        for place, one in enumerate(found[:MOST_SPANS]):
            fields[f"{name}-{place}-from"] = minutes(one.starts)
            fields[f"{name}-{place}-to"] = minutes(one.ends)
    return fields


def _typed(form: Form) -> dict[str, Any]:
    return {name: form.text(name) for name in form.fields}


def _spans(form: Form) -> Iterator[ModeSpan]:
    for mode, name in KINDS:
        for place in range(MOST_SPANS):
            starts, ends = form.text(f"{name}-{place}-from"), form.text(f"{name}-{place}-to")
            if starts or ends:
                yield _span(mode, _minutes(starts), _minutes(ends))


def _span(mode: Mode, starts: int, ends: int) -> ModeSpan:
    # Hours that end at or before they begin end on the next day.
    if ends <= starts:
        ends += DAY_MINUTES
    try:
        return ModeSpan(mode, starts, ends)
    except ValueError:
        raise InputError("a time of day is 00:00 to 24:00") from None


def _minutes(written: str) -> int:
    found = _TIME.fullmatch(written)
    told = int(found[1]) * 60 + int(found[2]) if found else DAY_MINUTES + 1
    if told > DAY_MINUTES:
        raise InputError("give both times of a span, as 07:00")
    return told


def _date(written: str) -> date | None:
    try:
        return filled_in.day(written)
    except InputError:
        return None
