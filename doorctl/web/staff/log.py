"""The page of the door log: attempts under pseudonyms, with search, reveal, export and stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.panel import CODES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import Finding
from doorctl.accounts.roles import Permission
from doorctl.core.errors import DoorctlError, InputError
from doorctl.core.texts import refuse_purpose
from doorctl.services import visits
from doorctl.store.door_log import Visit
from doorctl.web.forms import Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.log_file import as_csv, as_json
from doorctl.web.staff.log_filter import (
    OUTCOMES,
    REASONS,
    SPANS,
    TONIGHT,
    Choice,
    address,
    days,
    fields_of,
    form_again,
    of_day,
    parse_filter,
    spanned,
)
from doorctl.web.staff.log_rows import NAMES, entries, further_heads, may_link, row
from doorctl.web.staff.timeline import timeline
from doorctl.web.staff.why import aloud, help_with, sentence

PAGE: Final = "/log"
ROWS: Final = 300
ROWS_OF_DAYS: Final = 100
"""Attempts on a page of a busy night or day, and of several, whose sums are wanted first."""
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""


def log_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes of the door log."""
    guarded, form, reveal = frame.guarded, frame.form, partial(_reveal, visits.Reveals())
    return (
        guarded(PAGE, _page, Permission.SEE_LOG),
        guarded(f"{PAGE}/attempt", _attempt, Permission.SEE_LOG),
        form(f"{PAGE}/search", _search, Permission.SEARCH_LOG, _again),
        guarded(f"{PAGE}/reveal", _revealed, Permission.REVEAL),
        form(f"{PAGE}/reveal", reveal, Permission.REVEAL, _revealed),
        form(f"{PAGE}/export", _export, Permission.EXPORT_LOG, _again),
    )


async def _page(request: PageRequest) -> Response:
    try:
        choice = parse_filter(request.queried, request.today, request.words.zone)
    except FieldError as error:
        return await _again(request, request.queried, error)
    before = request.query("before")
    return await _shown(request, choice, before=filled_in.number(before) if before else None)


async def _search(request: PageRequest, form: Form) -> Response:
    with of_field(filled_in.CARD):
        found = await request.call(visits.search, filled_in.card(form), MOST_FOUND + 1)
    return request.page(
        "log_found.html",
        rows=[row(request, visit) for visit in found[:MOST_FOUND]],
        heads=further_heads(request.words),
        more=len(found) > MOST_FOUND,
        hidden=await request.call(visits.hidden),
    )


async def _reveal(reveals: visits.Reveals, request: PageRequest, form: Form) -> Response:
    number = filled_in.number(form.text("attempt"))
    ref = await request.call(visits.reveal, reveals, number, form.text("purpose"))
    return await _revealed(request, form, ref=ref, asks=False)


async def _revealed(
    request: PageRequest,
    form: Form | None = None,
    error: InputError | None = None,
    *,
    ref: str | None = None,
    asks: bool = True,
) -> Response:
    form = form or request.queried
    visit, *_ = await _beside(request, form, same_day=True)
    return request.page(
        "log_reveal.html",
        row=row(request, visit),
        purpose=form.text("purpose"),
        wrong=request.words.refusal(error),
        ref=ref,
        asks=asks,
    )


async def _attempt(request: PageRequest) -> Response:
    links = may_link(request)
    visit, *others = await _beside(request, request.queried, same_day=not links)
    unnoted = False
    if links and others:
        try:
            await request.call(visits.note_seen, visit.attempt)
        except DoorctlError:
            others, unnoted = [], True
    reason = Reason(visit.reason) if visit.reason in REASONS else None
    return request.page(
        "log_attempt.html",
        row=row(request, visit),
        others=[row(request, visit) for visit in others],
        unnoted=unnoted,
        links=links,
        code=CODES.get(reason) if reason else None,
        help=help_with(Finding("", reason)) if reason not in {None, Reason.OK} else None,
        aloud=aloud(reason) if reason not in {None, Reason.OK} else "",
    )


async def _beside(request: PageRequest, form: Form, *, same_day: bool) -> tuple[Visit, ...]:
    number = filled_in.number(form.text("attempt"))
    return await request.call(visits.beside, number, same_day=same_day)


async def _export(request: PageRequest, form: Form) -> Response:
    zone, purpose = request.words.zone, form.text("purpose")
    choice = parse_filter(form, request.today, zone)
    first, last = days(form, choice, request.today)
    with of_field("purpose"):
        refuse_purpose(purpose)
    # Fewer days mend whatever else the door log refuses.
    with of_field("last"):
        wanted = spanned(choice.wanted, first, last, zone)
        found = await request.call(visits.export, wanted, purpose)
    named = f"doorctl-log-{first}-{last}"
    if form.text("format") == "json":
        return request.file(f"{named}.json", as_json(found), "application/json")
    return request.file(f"{named}.csv", as_csv(request.words, found), "text/csv")


async def _again(request: PageRequest, form: Form, error: InputError) -> Response:
    wrong = filled_in.wrongs(request, error, "last")
    try:
        choice = parse_filter(form, request.today, request.words.zone)
    except InputError:
        # No number of another time may stand beside what was asked for.
        choice = Choice(of_day(request.today, request.words.zone))
        return request.page("log.html", 422, **_framed(request, choice, form, wrong))
    return await _shown(request, choice, form=form, wrong=wrong)


async def _shown(
    request: PageRequest,
    choice: Choice,
    before: int | None = None,
    *,
    form: Form | None = None,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    night, newest = choice.span == TONIGHT, before is None
    limit = ROWS if night or len({*choice.days}) == 1 else ROWS_OF_DAYS
    view = await request.call(visits.view, choice.wanted, before=before, limit=limit, night=night)
    choice, hidden = replace(choice, wanted=view.chosen), view.hidden
    # A page that goes up to now follows the door.
    follows = newest and view.chosen.since <= request.now < view.chosen.until
    return request.page(
        "log.html",
        422 if wrong else 200,
        **_framed(request, choice, form, wrong or {})
        | {
            "view": view,
            "hidden": hidden if hidden and hidden.before > view.chosen.since else None,
            "rows": entries(request, view),
            "heads": further_heads(request.words),
            "older": view.visits[-1].attempt if view.more else None,
            "newest": newest,
            "since": str(view.version) if follows else "",
            "timeline": timeline(request.words, view.picture, request.now),
        },
    )


def _framed(
    request: PageRequest, choice: Choice, form: Form | None, wrong: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the page has even where it shows no attempt."""
    chosen, words = fields_of(choice), request.words
    first, last = map(words.short_day, choice.days)
    fields = chosen | {"day": first, "first": first, "last": last}
    if chosen["ends"]:
        fields["ends"] = last
    if choice.span:
        # Empty, so that the form chooses an outcome of this span.
        fields |= {"day": "", "ends": ""}
    return {
        "view": None,
        "since": "",
        "filtered": partial(address, choice),
        "chosen": chosen,
        "fields": fields if form is None else fields | form_again(form),
        "wrong": wrong,
        "reasons": [(why.value, sentence(words, why)) for why in SENTENCES if why is not Reason.OK],
        "names": NAMES,
        "outcomes": OUTCOMES,
        "spans": SPANS,
    }
