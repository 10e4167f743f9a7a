"""The pages of the calendar: a month in which staff choose dates and change their hours."""

from __future__ import annotations

import hashlib
import re
import threading
from calendar import monthrange
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, Day, Mode, ModeSpan, StoredDay, StoredWeek
from doorctl.access.wall_time import ONE_DAY
from doorctl.accounts.roles import Permission
from doorctl.core.dates import read_day, read_minute
from doorctl.core.errors import InputError
from doorctl.core.language import DANISH, ENGLISH
from doorctl.core.texts import refuse_text
from doorctl.lookup.app import App
from doorctl.services import deeds
from doorctl.services.branch import change
from doorctl.services.hours import (
    CalendarDay,
    days,
    hours_now,
    refuse_day,
    usual_sunday,
    usual_week,
    week_of,
)
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff.filled_in import FieldError, Kept, of_field
from doorctl.web.words import CAUSES, MODES, WEEKDAYS, Words

PAGE: Final = "/calendar"
WEEK: Final = f"{PAGE}/week"
MOST_DAYS: Final = 42
"""Dates on a page: six weeks, for a month that begins on a Sunday."""

KINDS: Final = ((Mode.SELF_SERVICE, "self"), (Mode.STAFFED, "staffed"))
OPEN, CLOSED, SUNDAY, USUAL = "hours", "closed", "sunday", "usual"
"""A form's words for what the chosen dates are to be."""

HINTS: Mapping[Mode, str] = {
    Mode.SELF_SERVICE: "An earlier end is one of the next day.",
    Mode.STAFFED: "The door stands unlocked in these hours. They end on the same day, "
    "at 24:00 at the latest.",
}
"""A hint for each mode's times, in English."""

SHOWN_KINDS: Final = tuple((name, MODES[mode], HINTS[mode]) for mode, name in KINDS)

VERSION_DIGITS: Final = 16

WeekDraft = tuple[StoredWeek, StoredWeek | None]
"""A usual week before it is set, and the week that counted when it was drafted."""

_MONTH: Final = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_APART: Final = re.compile(r"[,;+]|\bog\b|\band\b")
_TO: Final = re.compile(r"[-\N{EN DASH}]|\btil\b|\bto\b")


def filled(day: CalendarDay, words: Words) -> dict[str, str]:
    """Return a date's hours as the form's fields."""
    known = () if day.spans is None else day.given
    typed = {name: _typed(known, mode, words) for mode, name in KINDS}
    return {"open": OPEN if day.spans else CLOSED, "note": day.note, **typed}


def _typed(spans: Day, mode: Mode, words: Words) -> str:
    """Return a day's hours of a mode as staff type them."""
    return ", ".join(
        f"{words.time_of_day(span.starts)}-{words.time_of_day(span.ends)}"
        for span in spans
        if span.mode is mode
    )


def version(day: CalendarDay) -> str:
    """Return a hash that shows whether a date has changed since a form showed it."""
    text = repr((day.spans, day.given, day.cause.value, day.note, day.by_staff))
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]


def _wanted(app: App, form: Form) -> Day | None:
    """Return the hours that a form gives the chosen dates; None for the usual ones."""
    chosen = form.text("open")
    if chosen in {CLOSED, USUAL}:
        return () if chosen == CLOSED else None
    if chosen == SUNDAY:
        sunday = usual_sunday(app.config.opening, hours_now(app).calendar)
        if sunday is not None:
            return sunday
    if chosen != OPEN:
        raise FieldError("open", "choose what is to be on the dates")
    spans: list[ModeSpan] = []
    for mode, name in KINDS:
        with of_field(name):
            spans += _spans(mode, form.text(name))
    if not spans:
        raise FieldError(KINDS[0][1], "give at least one span of hours, or choose closed all day")
    return tuple(spans)


def _spans(mode: Mode, typed: str) -> Iterator[ModeSpan]:
    for text in filter(str.strip, _APART.split(typed.lower())):
        ends = _TO.split(text)
        if len(ends) != 2:  # noqa: PLR2004 - from and to
            raise InputError("write hours as 7-10, and several as 7-10, 18-22")
        yield _span(mode, *map(read_minute, ends))


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


class CalendarPages:
    """Show a month's hours, and change those of the dates that are chosen in it.

    Also the usual week; before one is set, it is shown once more beside the one that stood then.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._changing = threading.Lock()
        self._drafts: Kept[WeekDraft] = Kept(PAGE)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, may = self._frame.guarded, deeds.set_day.permission
        of_week, check = deeds.set_week.permission, f"{WEEK}/{{token}}"
        return (
            guarded(PAGE, self._month, Permission.SEE_CALENDAR),
            self._frame.form(PAGE, self._save, may, self._month),
            guarded(WEEK, self._week, of_week),
            self._frame.form(WEEK, self._week_typed, of_week, self._week),
            guarded(check, self._drafts.seen(self._week_check), of_week),
            self._frame.form(check, self._drafts.taken(self._week_set), of_week, self._week),
            guarded(f"{PAGE}/poster", _poster, Permission.SEE_CALENDAR),
            guarded(f"{PAGE}/{{day}}", self._day, may),
        )

    async def _day(self, request: PageRequest) -> Response:
        """Return the month with one date chosen, and the form with its hours."""
        with suppress(InputError):
            chosen = read_day(str(request.http.path_params["day"]))
            return await self._month(request, chosen=chosen)
        raise InputError("that is no date")

    async def _month(
        self,
        request: PageRequest,
        form: Form | None = None,
        error: InputError | None = None,
        chosen: date | None = None,
    ) -> Response:
        asked = request.query("month") if form is None else form.text("month")
        first = (chosen or _first(asked) or request.today).replace(day=1)
        begins = first - timedelta(days=first.weekday())
        shown = await request.call(days, begins, MOST_DAYS)
        now, opening = await request.call(hours_now), request.app.config.opening
        changed = request.queried.every("day")
        weeks = [shown[at : at + 7] for at in range(0, MOST_DAYS, 7)]
        fields, ticked = {"open": "", "note": "", "self": "", "staffed": ""}, {str(chosen)}
        if form is not None:
            fields = {name: form.text(name) for name in fields}
            ticked = {value.partition(" ")[0] for value in form.every("date")}
        elif chosen is not None:
            (day,) = (day for day in shown if day.day == chosen)
            fields = filled(day, request.words)
        return request.page(
            "calendar.html",
            weeks=[week for week in weeks if (week[0].day.replace(day=1)) <= first],
            first=first,
            earlier=(first - ONE_DAY).replace(day=1),
            later=(first + timedelta(days=31)).replace(day=1),
            ticked=ticked,
            fields=fields,
            wrong=_wrong(request.words, error),
            changed=[day for day in shown if day.by_staff and str(day.day) in changed],
            sunday=usual_sunday(opening, now.calendar),
            by_staff=opening.source == "staff",
            lacks_week=now.lacks_week,
            version=version,
            kinds=SHOWN_KINDS,
            causes=CAUSES,
        )

    async def _save(self, request: PageRequest, form: Form) -> Response:
        parted = (value.partition(" ") for value in form.every("date"))
        shown = {read_day(day): seen for day, _, seen in parted}
        if not shown:
            raise InputError("choose one date or more")
        await request.call(self._change, shown, form)
        done = "cleared" if form.text("open") == USUAL else "set"
        month, dates = _first(form.text("month")) or min(shown), sorted(shown)
        named = "".join(f"&day={day}" for day in dates)
        return request.go(f"{PAGE}?month={month:%Y-%m}&done={done}{named}")

    def _change(self, app: App, shown: Mapping[date, str], form: Form) -> None:
        """Change all the dates, if each still is what the form showed of it, or none."""
        first, *others = sorted(shown)
        count = (max(shown) - first).days + 1
        spans, note = _wanted(app, form), form.text("note")
        with of_field("note"):
            refuse_text("note for {day}", note, optional=True, day=first)
        if count > MOST_DAYS:
            raise InputError("choose dates of one month")
        with self._changing:
            for day in days(app, first, count):
                if day.day in shown and version(day) != shown[day.day]:
                    raise InputError("somebody else has changed this date; look, and save again")
            if spans is None:
                change(app, deeds.clear_day(first, tuple(others)))
                return
            stored = tuple(StoredDay(day, spans, note) for day in sorted(shown))
            refuse_day(hours_now(app), *stored)
            change(app, deeds.set_day(stored[0], stored[1:]))

    async def _week(
        self, request: PageRequest, form: Form | None = None, error: InputError | None = None
    ) -> Response:
        _, week = await request.call(usual_week)
        fields = {
            f"{name}{at}": _typed(day, mode, request.words)
            for at, day in enumerate(week.days)
            for mode, name in KINDS
        }
        if form is not None and "self0" in form.fields:
            fields = {name: form.text(name) for name in fields}
        return request.page(
            "calendar_week.html",
            draft=None,
            fields=fields,
            wrong=_wrong(request.words, error, "week"),
            kinds=SHOWN_KINDS,
        )

    async def _week_typed(self, request: PageRequest, form: Form) -> Response:
        before, _ = await request.call(usual_week)
        spans: list[list[ModeSpan]] = [[] for _ in WEEKDAYS]
        for at, mode, name in ((at, *kind) for at in range(len(WEEKDAYS)) for kind in KINDS):
            with of_field(f"{name}{at}"):
                spans[at] += _spans(mode, form.text(f"{name}{at}"))
        week = week_of(spans)
        if week == before:
            raise InputError("that is the usual week already")
        return request.go(f"{WEEK}/{self._drafts.keep(request, (week, before))}")

    async def _week_check(self, request: PageRequest, draft: WeekDraft) -> Response:
        week, before = draft
        known = before.days if before else (None,) * len(WEEKDAYS)
        rows = zip(WEEKDAYS, known, week.days, strict=True)
        return request.page(
            "calendar_week.html",
            draft=draft,
            changed=[row for row in rows if row[1] != row[2]],
            now=await request.call(hours_now),
            then=await request.call(hours_now, week),
            own=[day for day in await request.call(days, request.today, MOST_DAYS) if day.by_staff],
        )

    async def _week_set(self, request: PageRequest, draft: WeekDraft) -> Response:
        await request.call(change, deeds.set_week(*draft))
        return request.done(PAGE, "week")


async def _poster(request: PageRequest) -> Response:
    first = _first(request.query("month")) or request.today.replace(day=1)
    shown = await request.call(days, first, monthrange(first.year, first.month)[1])
    usual, other = usual_and_other(shown)
    both = [request.frame.words_of(code) for code in (DANISH, ENGLISH)]
    # Staff say whether the reader takes phones.
    phones = request.query("phones") != "no"
    return request.page(
        "calendar_poster.html", first=first, usual=usual, other=other, both=both, phones=phones
    )


def usual_and_other(
    shown: Sequence[CalendarDay],
) -> tuple[list[tuple[date, date, Day]], list[CalendarDay]]:
    """Return a week's most common hours, and the dates of a month with others.

    The hours are of runs of weekdays that are alike: a date of the first, one of the last, hours.
    """
    known = [day for day in shown if day.spans is not None]
    by_weekday: list[list[CalendarDay]] = [[], [], [], [], [], [], []]
    for day in known:
        by_weekday[day.day.weekday()].append(day)
    week = [
        (alike[0].day, Counter(day.spans or () for day in alike).most_common(1)[0][0])
        for alike in filter(None, by_weekday)
    ]
    usual = {day.weekday(): spans for day, spans in week}
    runs = [list(run) for _, run in groupby(week, key=itemgetter(1))]
    return (
        [(run[0][0], run[-1][0], run[0][1]) for run in runs],
        [day for day in known if day.spans != usual[day.day.weekday()]],
    )


def _wrong(words: Words, error: InputError | None, otherwise: str = "date") -> dict[str, str]:
    """Return the sentence of what is wrong by its field; a clash of hours is theirs."""
    if error is None:
        return {}
    clash = str(error.values.get("key", ""))
    field = "staffed" if "staffed" in clash else "self" if clash else otherwise
    if clash.startswith("week."):
        field += str(WEEKDAYS.index(clash.rpartition(".")[2].capitalize()))
    return {getattr(error, "field", field): words.refusal(error)}


def _first(month: str) -> date | None:
    return date.fromisoformat(f"{month}-01") if _MONTH.fullmatch(month) else None
