"""The page of the hours: two weeks as a picture, and each date to be given hours of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import Mode
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.ports import StoredDay
from doorctl.web.desks import CalendarDay, CalendarDesk
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.mode_words import CAUSES, MODES
from doorctl.web.staff import filled_in
from doorctl.web.staff.calendar_form import (
    KINDS,
    MOST_SPANS,
    SHOWN,
    asked_for,
    filled,
    typed,
    version,
)
from doorctl.web.staff.calendar_picture import picture
from doorctl.web.staff.refusals import told
from doorctl.web.times_of_day import hours_of_day

PAGE: Final = "/calendar"
SHOWN_DAYS: Final = 14
HINTS: Mapping[Mode, str] = MappingProxyType(
    {
        Mode.SELF_SERVICE: "An earlier time under To is one of the next day.",
        Mode.STAFFED: "The door stands unlocked in these hours. They end on the same day, "
        "at 24:00 at the latest.",
    }
)
"""What times of each mode mean, in English."""


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
        self._changing = threading.Lock()

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
            saved=await self._saved(asked),
        )

    async def _saved(self, asked: PageRequest) -> Row | None:
        """Return the date that the address says was changed, if staff have said its hours."""
        day = _date(asked.asked("day"))
        if day is None:
            return None
        (found,) = await asked.aside(self._desk.days, day, 1)
        return _row(asked, found) if found.by_staff else None

    async def _day(self, asked: PageRequest) -> Response:
        day = await self._found(asked)
        return self._form(asked, day, filled(day))

    async def _set(self, asked: PageRequest) -> Response:
        day, form = await self._found(asked), await asked.form()
        try:
            stored = asked_for(day.day, form)
            await asked.aside(self._said, day.day, form.text(SHOWN), stored, asked.by)
        except InputError as error:
            return self._form(
                asked, await self._found(asked), typed(form), told(asked.words, error)
            )
        return asked.go(f"{PAGE}?done=set&day={day.day}")

    async def _clear(self, asked: PageRequest) -> Response:
        day, form = await self._found(asked), await asked.form()
        try:
            await asked.aside(self._said, day.day, form.text(SHOWN), None, asked.by)
        except InputError as error:
            now = await self._found(asked)
            return self._form(asked, now, filled(now), told(asked.words, error))
        return asked.done(PAGE, "cleared")

    def _said(self, day: date, shown: str, said: StoredDay | None, by: str) -> None:
        """Set or clear a date if it still is what the form showed."""
        with self._changing:
            (now,) = self._desk.days(day, 1)
            if version(now) != shown:
                raise InputError("somebody else has changed this date; look, and save again")
            if said is None:
                self._desk.clear_day(day, by)
            else:
                self._desk.set_day(said, by)

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
            shown=version(day),
            fields=fields,
            slots=range(MOST_SPANS),
            kinds=[(name, MODES[mode], HINTS[mode]) for mode, name in KINDS],
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


def _date(written: str) -> date | None:
    try:
        return filled_in.day(written)
    except InputError:
        return None
