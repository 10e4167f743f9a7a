"""The page of incident holds: what the purge spares, for which case, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.privacy.hold import LONGEST, LONGEST_TEXT, HoldAsked
from doorctl.services import holding
from doorctl.services.app import App
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.log import Row, row

PAGE: Final = "/holds"
AROUND: Final = timedelta(minutes=15)
"""A form offers to hold so much time before and after an attempt."""

USUAL_DAYS: Final = 60
ONE_DAY: Final = timedelta(days=1)
MINUTE: Final = "%Y-%m-%dT%H:%M"

ROWS: Final = 200
"""Attempts on one page; a hold of a busy month has more than ten thousand."""

NO_HOLD: Final = "There is no hold of that number."


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a hold's attempts, oldest first; `page` counts from 1.

    `first` is the place of the first row, from 1, among all `every` attempts.
    """

    rows: tuple[Row, ...]
    page: int
    first: int
    every: int
    is_last: bool


class HoldPages:
    """Show holds, add and lift them, and show a hold's attempts."""

    def __init__(self, frame: Frame, app: App) -> None:
        self._frame = frame
        self._app = app

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, may, post = self._frame.guarded, Permission.HOLD, ("POST",)
        return (
            guarded(PAGE, self._page, may),
            guarded(PAGE, self._add, may, post),
            guarded(f"{PAGE}/{{number}}", self._visits, may),
            guarded(f"{PAGE}/{{number}}/lift", self._lift, may, post),
        )

    async def _page(self, request: PageRequest) -> Response:
        try:
            around = filled_in.moment(request.query("around"))
        except InputError:
            around = None
        return await self._shown(request, _offered(request.now, around))

    async def _add(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            wanted = _wanted(form, request.words, request.by)
            await request.aside(holding.add, self._app, wanted)
        except InputError as error:
            wrong = request.words.refusal(error)
            return await self._shown(request, _typed(form), wrong=wrong)
        return request.done(PAGE, "added")

    async def _lift(self, request: PageRequest) -> Response:
        try:
            await request.aside(holding.lift, self._app, filled_in.row_number(request), request.by)
        except InputError:
            return await self._none(request)
        return request.done(PAGE, "lifted")

    async def _visits(self, request: PageRequest) -> Response:
        try:
            number = filled_in.row_number(request)
            held = await request.aside(self._held, request, number)
        except InputError:
            return await self._none(request)
        return request.page("holds_visits.html", number=number, held=held)

    def _held(self, request: PageRequest, number: int) -> Part:
        visits = holding.show(self._app, number, request.by).visits
        pages = max(1, -(-len(visits) // ROWS))
        page = min(_page_number(request.query("page")), pages)
        begins = (page - 1) * ROWS
        rows = tuple(row(request, visit) for visit in visits[begins : begins + ROWS])
        return Part(rows, page, begins + 1, len(visits), is_last=page == pages)

    async def _none(self, request: PageRequest) -> Response:
        """Return the page with the message that there is no such hold."""
        fields = _offered(request.now, None)
        return await self._shown(request, fields, absent=request.words.say(NO_HOLD))

    async def _shown(
        self, request: PageRequest, fields: Mapping[str, str], wrong: str = "", absent: str = ""
    ) -> Response:
        holds, moment = await request.aside(holding.stored, self._app)
        return request.page(
            "holds.html",
            422 if wrong or absent else 200,
            holds=[(hold, hold.in_force(moment)) for hold in holds],
            fields=fields,
            wrong=wrong,
            absent=absent,
            longest=LONGEST_TEXT,
            latest=request.today + LONGEST - ONE_DAY,
            today=request.today,
            moment=timedelta(microseconds=1),
        )


def _offered(now: datetime, around: datetime | None) -> dict[str, Any]:
    """Return the form's first values: the window around an attempt, if any, and the usual end."""
    local = now.replace(tzinfo=None)
    ends = None if around is None else min(around + AROUND, local)
    return {
        "from": "" if around is None else f"{around - AROUND:{MINUTE}}",
        "to": "" if ends is None else f"{ends:{MINUTE}}",
        "case": "",
        "reason": "",
        "until": (local + timedelta(days=USUAL_DAYS)).date().isoformat(),
    }


def _page_number(written: str) -> int:
    """Return the page number in an address; 1 where it makes no sense."""
    known = written.isascii() and written.isdigit() and len(written) <= filled_in.MOST_DIGITS
    return max(1, int(written)) if known else 1


def _typed(form: Form) -> dict[str, str]:
    return {name: form.text(name) for name in ("from", "to", "case", "reason", "until")}


def _wanted(form: Form, words: Words, by: str) -> HoldAsked:
    starts, ends = filled_in.moment(form.text("from")), filled_in.moment(form.text("to"))
    last = filled_in.day(form.text("until"))
    if starts is None or ends is None:
        raise InputError("say from when and to when attempts are to be held")
    if last is None:
        raise InputError("say which day is the hold's last")
    return HoldAsked(
        since=starts.replace(tzinfo=words.zone),
        to=ends.replace(tzinfo=words.zone),
        case=form.text("case"),
        reason=form.text("reason"),
        until=datetime.combine(last + ONE_DAY, time(), words.zone),
        by=by,
    )
