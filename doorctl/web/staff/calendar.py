"""The page of the hours: two weeks as a picture, and a form for each date's own hours."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, Day, Mode, ModeSpan, StoredDay
from doorctl.accounts.account import Permission
from doorctl.config.hours import clock
from doorctl.core.errors import InputError
from doorctl.core.staff_text import SHORT_TEXT
from doorctl.rpc import deeds
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.services.hours import CalendarDay, days, hours_now, refuse_day
from doorctl.web.frame import Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import CAUSES, MODES

MOST_SPANS: Final = 4
"""Spans of each kind in a form; no branch opens and closes more often in a day."""

KINDS: Final = ((Mode.SELF_SERVICE, "self"), (Mode.STAFFED, "staffed"))
OPEN, CLOSED = "hours", "closed"
"""A form's words for a date with hours, and for a date without."""

SHOWN: Final = "shown"
"""The field that says which :func:`version` of the date the form showed."""

VERSION_DIGITS: Final = 16

_TIME: Final = re.compile(r"([01]?[0-9]|2[0-4])[:.]([0-5][0-9])")


def filled(day: CalendarDay) -> dict[str, Any]:
    """Return a date's hours as the form's fields."""
    fields: dict[str, Any] = {"open": OPEN if day.spans else CLOSED, "note": day.note}
    for mode, name in KINDS:
        spans = [span for span in day.given if day.spans is not None and span.mode is mode]
        for place, span in enumerate(spans[:MOST_SPANS]):
            fields[f"{name}-{place}-from"] = clock(span.starts)
            fields[f"{name}-{place}-to"] = clock(span.ends)
    return fields


def version(day: CalendarDay) -> str:
    """Return a hash that shows whether a date has changed since a form showed it."""
    text = repr((day.spans, day.given, day.cause.value, day.note, day.by_staff))
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]


def _hours(form: Form) -> Day:
    chosen = form.text("open")
    if chosen == CLOSED:
        return ()
    if chosen != OPEN:
        raise InputError("choose whether the branch is closed or open on this date")
    spans = tuple(_spans(form))
    if not spans:
        raise InputError("give at least one span of hours, or choose closed all day")
    return spans


def _spans(form: Form) -> Iterator[ModeSpan]:
    for mode, name in KINDS:
        for place in range(MOST_SPANS):
            starts, ends = form.text(f"{name}-{place}-from"), form.text(f"{name}-{place}-to")
            if starts or ends:
                yield _span(mode, _minutes(starts), _minutes(ends))


def _span(mode: Mode, starts: int, ends: int) -> ModeSpan:
    # 00:00 ends a day as 24:00 does, but 00:00 to 00:00 is no span.
    until_midnight = ends == 0 < starts
    if mode is Mode.STAFFED and ends <= starts and not until_midnight:
        raise InputError(
            "staffed hours end on the same day, after they begin: the door stands unlocked in them"
        )
    # Hours that end at or before they begin end on the next day.
    if ends <= starts:
        ends += DAY_MINUTES
    try:
        return ModeSpan(mode, starts, ends)
    except ValueError:
        raise InputError("a time of day is 00:00 to 24:00") from None


def _minutes(written: str) -> int:
    match = _TIME.fullmatch(written)
    minute = int(match[1]) * 60 + int(match[2]) if match else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        raise InputError("give both times of a span, as 07:00")
    return minute


PAGE: Final = "/calendar"
SHOWN_DAYS: Final = 14
HINTS: Mapping[Mode, str] = {
    Mode.SELF_SERVICE: "An earlier time under To is one of the next day.",
    Mode.STAFFED: "The door stands unlocked in these hours. They end on the same day, "
    "at 24:00 at the latest.",
}
"""A hint for each mode's times, in English."""


class CalendarPages:
    """Show the hours and change those of single dates."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._changing = threading.Lock()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, day = self._frame.guarded, f"{PAGE}/{{day}}"
        form, may = self._frame.form, deeds.set_day.permission
        return (
            guarded(PAGE, self._page, Permission.SEE_CALENDAR),
            guarded(day, self._day, may),
            form(day, self._set, may, self._day),
            form(f"{day}/clear", self._clear, may, self._not_cleared),
        )

    async def _page(self, request: PageRequest) -> Response:
        today = request.today
        first = _date(request.query("from")) or today
        shown = await request.do(days, first, SHOWN_DAYS)
        return request.page(
            "calendar.html",
            days=shown,
            modes=MODES,
            now=request.now,
            today=today,
            earlier=max(today, first - timedelta(days=SHOWN_DAYS)),
            later=first + timedelta(days=SHOWN_DAYS),
            first=first,
            causes=CAUSES,
            saved=await self._saved(request),
        )

    async def _saved(self, request: PageRequest) -> CalendarDay | None:
        """Return the date that the address says was changed, if staff have set its hours."""
        day = _date(request.query("day"))
        if day is None:
            return None
        (calendar_day,) = await request.do(days, day, 1)
        return calendar_day if calendar_day.by_staff else None

    async def _set(self, request: PageRequest, form: Form) -> Response:
        day = _shown_day(request)
        stored = StoredDay(day, _hours(form), form.text("note"))
        await request.do(self._save, day, form.text(SHOWN), stored)
        return request.go(f"{PAGE}?done=set&day={day}")

    async def _clear(self, request: PageRequest, form: Form) -> Response:
        day = _shown_day(request)
        await request.do(self._save, day, form.text(SHOWN), None)
        return request.done(PAGE, "cleared")

    async def _not_cleared(self, request: PageRequest, _form: Form, error: InputError) -> Response:
        return await self._day(request, error=error)

    def _save(self, app: App, day: date, shown: str, hours: StoredDay | None) -> None:
        """Set a date's hours, or clear them for None, if they still are what the form showed."""
        with self._changing:
            (now,) = days(app, day, 1)
            if version(now) != shown:
                raise InputError("somebody else has changed this date; look, and save again")
            if hours is None:
                change(app, deeds.clear_day(day))
            else:
                refuse_day(hours_now(app), hours)
                change(app, deeds.set_day(hours))

    async def _day(
        self, request: PageRequest, form: Form | None = None, error: InputError | None = None
    ) -> Response:
        (day,) = await request.do(days, _shown_day(request), 1)
        return request.page(
            "calendar_day.html",
            day=day,
            modes=MODES,
            shown=version(day),
            fields=filled(day) if form is None else {name: form.text(name) for name in form.fields},
            slots=range(MOST_SPANS),
            kinds=[(name, MODES[mode], HINTS[mode]) for mode, name in KINDS],
            wrong=request.words.refusal(error),
            cause=CAUSES[day.cause],
            longest=SHORT_TEXT,
        )


def _shown_day(request: PageRequest) -> date:
    day = _date(request.http.path_params["day"])
    if day is None:
        raise InputError("that is no date")
    return day


def _date(written: str) -> date | None:
    try:
        return filled_in.day(written)
    except InputError:
        return None
