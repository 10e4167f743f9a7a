"""The page of the hours: two weeks as a picture, and a form for each date's own hours."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, Day, Mode, ModeSpan, StoredDay
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.staff_text import SHORT_TEXT
from doorctl.rpc import deeds
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.services.hours import CalendarDay, days, hours_now, refuse_day
from doorctl.web.frame import Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import CAUSES, MODES, Words, minutes

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
            fields[f"{name}-{place}-from"] = minutes(span.starts)
            fields[f"{name}-{place}-to"] = minutes(span.ends)
    return fields


def version(day: CalendarDay) -> str:
    """Return a hash that shows whether a date has changed since a form showed it."""
    text = repr((day.spans, day.given, day.cause.value, day.note, day.by_staff))
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]


def typed(form: Form) -> dict[str, Any]:
    """Return what was filled in, to be shown again."""
    return {name: form.text(name) for name in form.fields}


def wanted_day(day: date, form: Form) -> StoredDay:
    """Return the hours of a date as a form gives them.

    Raises:
        InputError: they make no sense, or the form does not say whether the branch is open.
    """
    return StoredDay(day, _hours(form), form.text("note"))


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


# Days as bands on a scale of 24 hours, for an SVG.

LEFT: Final = 150
WIDTH: Final = 720
ROW: Final = 28
TOP: Final = 28
BAND: Final = 18


@dataclass(frozen=True, slots=True)
class Band:
    """A mode on the scale; lengths in the picture's units."""

    x: float
    width: float
    mode: str
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """One date of the picture."""

    y: int
    name: str
    bands: tuple[Band, ...]
    known: bool
    other: bool
    """Whether its hours are not the usual ones."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole picture.

    `hours` are x and name of each mark of the scale. `now` is x and y of this moment, None where
    today is not shown.
    """

    lines: tuple[Line, ...]
    hours: tuple[tuple[float, str], ...]
    now: tuple[float, int] | None
    width: int
    height: int


def picture(words: Words, shown: Sequence[CalendarDay], now: datetime) -> Picture:
    """Return the picture of some days at a local moment."""
    lines = tuple(_line(words, place, day) for place, day in enumerate(shown))
    today = next(
        (line for line, day in zip(lines, shown, strict=True) if day.day == now.date()), None
    )
    minute = now.hour * 60 + now.minute
    return Picture(
        lines=lines,
        hours=tuple((_x(hour * 60), f"{hour:02}") for hour in range(0, 25, 3)),
        now=None if today is None else (_x(minute), today.y),
        width=LEFT + WIDTH + 20,
        height=TOP + ROW * len(lines) + 8,
    )


def _line(words: Words, place: int, day: CalendarDay) -> Line:
    spans = sorted(day.spans or (), key=lambda span: span.starts)
    bands = tuple(
        Band(
            round(_x(span.starts), 1),
            round(_x(min(span.ends, DAY_MINUTES)) - _x(span.starts), 1),
            span.mode.value,
            words.say(MODES[span.mode]),
        )
        for span in spans
    )
    name = f"{words.weekday(day.day)[:3]} {words.short_day(day.day)}"
    other = day.cause.value in {"exception", "holiday"}
    return Line(TOP + ROW * place, name, bands, day.spans is not None, other)


def _x(minutes: float) -> float:
    return LEFT + WIDTH * minutes / DAY_MINUTES


PAGE: Final = "/calendar"
SHOWN_DAYS: Final = 14
HINTS: Mapping[Mode, str] = MappingProxyType(
    {
        Mode.SELF_SERVICE: "An earlier time under To is one of the next day.",
        Mode.STAFFED: "The door stands unlocked in these hours. They end on the same day, "
        "at 24:00 at the latest.",
    }
)
"""A hint for each mode's times, in English."""


@dataclass(frozen=True, slots=True)
class Row:
    """One date as the page shows it, with each span's mode and times in words."""

    day: CalendarDay
    spans: tuple[tuple[str, str], ...]


class CalendarPages:
    """Show the hours and change those of single dates."""

    def __init__(self, frame: Frame, app: App) -> None:
        self._frame = frame
        self._app = app
        self._changing = threading.Lock()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, day = self._frame.guarded, f"{PAGE}/{{day}}"
        may, post = deeds.set_day.permission, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_CALENDAR),
            guarded(day, self._day, may),
            guarded(day, self._set, may, post),
            guarded(f"{day}/clear", self._clear, may, post),
        )

    async def _page(self, request: PageRequest) -> Response:
        today = request.today
        first = _date(request.query("from")) or today
        shown = await request.aside(days, self._app, first, SHOWN_DAYS)
        return request.page(
            "calendar.html",
            rows=[_row(request, day) for day in shown],
            picture=picture(request.words, shown, request.now),
            today=today,
            earlier=max(today, first - timedelta(days=SHOWN_DAYS)),
            later=first + timedelta(days=SHOWN_DAYS),
            first=first,
            causes=CAUSES,
            saved=await self._saved(request),
        )

    async def _saved(self, request: PageRequest) -> Row | None:
        """Return the date that the address says was changed, if staff have set its hours."""
        day = _date(request.query("day"))
        if day is None:
            return None
        (calendar_day,) = await request.aside(days, self._app, day, 1)
        return _row(request, calendar_day) if calendar_day.by_staff else None

    async def _day(self, request: PageRequest) -> Response:
        day = await self._shown_day(request)
        return self._form(request, day, filled(day))

    async def _set(self, request: PageRequest) -> Response:
        day, form = await self._shown_day(request), await request.form()
        try:
            stored = wanted_day(day.day, form)
            await request.aside(self._save, day.day, form.text(SHOWN), stored, request.by)
        except InputError as error:
            return self._form(
                request, await self._shown_day(request), typed(form), request.words.refusal(error)
            )
        return request.go(f"{PAGE}?done=set&day={day.day}")

    async def _clear(self, request: PageRequest) -> Response:
        day, form = await self._shown_day(request), await request.form()
        try:
            await request.aside(self._save, day.day, form.text(SHOWN), None, request.by)
        except InputError as error:
            now = await self._shown_day(request)
            return self._form(request, now, filled(now), request.words.refusal(error))
        return request.done(PAGE, "cleared")

    def _save(self, day: date, shown: str, hours: StoredDay | None, by: str) -> None:
        """Set a date's hours, or clear them for None, if they still are what the form showed."""
        with self._changing:
            (now,) = days(self._app, day, 1)
            if version(now) != shown:
                raise InputError("somebody else has changed this date; look, and save again")
            if hours is None:
                change(self._app, deeds.clear_day(day), by)
            else:
                refuse_day(hours_now(self._app), hours)
                change(self._app, deeds.set_day(hours), by)

    async def _shown_day(self, request: PageRequest) -> CalendarDay:
        day = _date(request.http.path_params["day"])
        if day is None:
            raise InputError("that is no date")
        (calendar_day,) = await request.aside(days, self._app, day, 1)
        return calendar_day

    def _form(
        self, request: PageRequest, day: CalendarDay, fields: dict[str, Any], wrong: str = ""
    ) -> Response:
        return request.page(
            "calendar_day.html",
            422 if wrong else 200,
            row=_row(request, day),
            shown=version(day),
            fields=fields,
            slots=range(MOST_SPANS),
            kinds=[(name, MODES[mode], HINTS[mode]) for mode, name in KINDS],
            wrong=wrong,
            cause=CAUSES[day.cause],
            longest=SHORT_TEXT,
        )


def _row(request: PageRequest, day: CalendarDay) -> Row:
    spans = sorted(day.spans or (), key=lambda span: span.starts)
    words = request.words
    hours = (words.hours_of_day(span.starts, span.ends) for span in spans)
    modes = (words.say(MODES[span.mode]) for span in spans)
    return Row(day, tuple(zip(modes, hours, strict=True)))


def _date(written: str) -> date | None:
    try:
        return filled_in.day(written)
    except InputError:
        return None
