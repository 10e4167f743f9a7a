"""The page of incident holds: what the purge spares, for which case, and until when."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.wall_time import ONE_DAY
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.privacy.holds import LONGEST_TEXT, Hold
from doorctl.services import holds as service
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.log_rows import row
from doorctl.web.words import Words

HOLDS: Final = "/holds"

AROUND: Final = timedelta(minutes=15)
"""A form offers to hold so much time before and after an attempt."""

USUAL_DAYS: Final = 60

HOLD_ROWS: Final = 200
"""Attempts on one page; a hold of a busy month has more than ten thousand."""


def hold_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that show holds, add and lift them, and show a hold's attempts."""
    guarded, may, post = frame.guarded, Permission.HOLD, ("POST",)
    return (
        guarded(HOLDS, _holds, may),
        frame.form(HOLDS, filled_in.once(_add_hold), may, _holds),
        guarded(f"{HOLDS}/{{number}}", _visits, may),
        guarded(f"{HOLDS}/{{number}}/lift", _lift_hold, may, post),
    )


async def _add_hold(request: PageRequest, form: Form) -> Response:
    await request.call(service.add_hold, _wanted(form, request.words, request.today, request.by))
    return request.done(HOLDS, "added")


async def _lift_hold(request: PageRequest) -> Response:
    await request.call(service.lift_hold, filled_in.row_number(request))
    return request.done(HOLDS, "lifted")


async def _visits(request: PageRequest) -> Response:
    """Show one page of a hold's attempts, oldest first, and where it is among all."""
    number = filled_in.row_number(request)
    visits = (await request.call(service.show_hold, number)).visits
    pages = max(1, -(-len(visits) // HOLD_ROWS))
    page = 1
    with suppress(InputError):
        page = min(max(1, filled_in.number(request.query("page"))), pages)
    begins = (page - 1) * HOLD_ROWS
    return request.page(
        "holds_visits.html",
        number=number,
        rows=[row(request, visit) for visit in visits[begins : begins + HOLD_ROWS]],
        page=page,
        first=begins + 1,
        every=len(visits),
        is_last=page == pages,
    )


async def _holds(
    request: PageRequest, form: Form | None = None, error: InputError | None = None
) -> Response:
    holds, moment = await request.call(service.stored_holds)
    return request.page(
        "holds.html",
        holds=[(hold, hold.in_force(moment)) for hold in holds],
        form=form or _offered(request),
        wrong=request.words.refusal(error),
        longest=LONGEST_TEXT,
        moment=timedelta(microseconds=1),
    )


def _offered(request: PageRequest) -> Form:
    """Return the form's first values: the window around an attempt, if any, and the usual end."""
    words, starts, ends = request.words, "", ""
    with suppress(InputError):
        if around := filled_in.moment(request.queried, "around", request.today):
            at = around.replace(tzinfo=words.zone)
            starts, ends = words.moment(at - AROUND), words.moment(min(at + AROUND, request.now))
    until = words.short_day(request.today + timedelta(days=USUAL_DAYS))
    return Form({"from": (starts,), "to": (ends,), "until": (until,)})


def _wanted(form: Form, words: Words, today: date, by: str) -> Hold:
    starts, ends = (filled_in.moment(form, end, today, past=True) for end in ("from", "to"))
    last = filled_in.day(form, "until", today)
    if starts is None or ends is None:
        raise InputError("say from when and to when attempts are to be held")
    if last is None:
        raise InputError("say which day is the hold's last")
    return Hold(
        since=starts.replace(tzinfo=words.zone),
        to=ends.replace(tzinfo=words.zone),
        case=form.text("case"),
        reason=form.text("reason"),
        until=datetime.combine(last + ONE_DAY, time(), words.zone),
        by=by,
    )
