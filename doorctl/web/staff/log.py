"""The page of the door log: attempts under pseudonyms, and what it takes to see more of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.ports import Visit
from doorctl.web.desks import DayPicture, DoorLog, LogFilter, LogPage
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.log_export import FORMATS, exported
from doorctl.web.staff.log_filter import GRANTED, OUTCOMES, Chosen, chosen
from doorctl.web.staff.log_rows import NAMES, row, state
from doorctl.web.staff.timeline import timeline
from doorctl.web.staff.why_words import sentence

PAGE: Final = "/log"
ROWS: Final = 50
MOST_FOUND: Final = 200
"""Attempts of one card that are shown: a month of many visits a day."""

MOST_DIGITS: Final = 18
"""Of an attempt number: a few billion are more than a door lives to see."""
FIXED: Mapping[str, Any] = MappingProxyType(
    {"names": NAMES, "outcomes": OUTCOMES, "one_day": timedelta(days=1), "longest": SHORT_TEXT}
)
"""What the template names and no page changes."""


class LogPages:
    """Show the door log.

    Args:
        frame: around each page.
        desk: the door log.
    """

    def __init__(self, frame: Frame, desk: DoorLog) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_LOG),
            guarded(f"{PAGE}/search", self._search, Permission.SEARCH_LOG, post),
            guarded(f"{PAGE}/reveal", self._ask_purpose, Permission.REVEAL),
            guarded(f"{PAGE}/reveal", self._reveal, Permission.REVEAL, post),
            guarded(f"{PAGE}/export", self._export, Permission.EXPORT_LOG, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        try:
            wanted = chosen(asked.asked, asked.request.query_params.getlist, asked.today)
        except InputError as error:
            return await self._shown(asked, Chosen(asked.today), wrong=str(error))
        return await self._shown(asked, wanted, before=_number(asked.asked("before")))

    async def _search(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            typed = filled_in.card(form)
            found = await asked.aside(self._found, typed, asked.by)
        except InputError as error:
            told = filled_in.told(error)
            return await self._shown(asked, Chosen(asked.today), search_wrong=told)
        rows = [row(asked.words, one) for one in found[:MOST_FOUND]]
        return asked.page("log_found.html", rows=rows, more=len(found) > MOST_FOUND)

    def _found(self, typed: str, by: str) -> tuple[Visit, ...]:
        keys = self._desk.search(typed, by)
        return self._desk.page(LogFilter(cards=keys), limit=MOST_FOUND + 1).visits

    async def _ask_purpose(self, asked: PageRequest) -> Response:
        return await self._revealed(asked, _number(asked.asked("attempt")))

    async def _reveal(self, asked: PageRequest) -> Response:
        form = await asked.form()
        number, purpose = _number(form.text("attempt")), form.text("purpose")
        if number is None:
            raise InputError("there is no such attempt in the door log")
        try:
            ref = await asked.aside(self._desk.reveal, number, purpose, asked.by)
        except InputError as error:
            return await self._revealed(asked, number, purpose=purpose, wrong=str(error))
        return await self._revealed(asked, number, purpose=purpose, ref=ref, asks=False)

    async def _revealed(self, asked: PageRequest, number: int | None, **more: Any) -> Response:
        visit = None if number is None else await asked.aside(self._one, number)
        if visit is None:
            raise InputError("there is no such attempt in the door log")
        blank = {"purpose": "", "wrong": "", "ref": None, "asks": True, "longest": SHORT_TEXT}
        status = 422 if more.get("wrong") else 200
        context = blank | {"row": row(asked.words, visit)} | more
        return asked.page("log_reveal.html", status, **context)

    def _one(self, number: int) -> Visit | None:
        found = self._desk.after(number - 1, 1)
        return found[0] if found and found[0].attempt == number else None

    async def _export(self, asked: PageRequest) -> Response:
        form = await asked.form()
        wanted = Chosen(asked.today)
        try:
            wanted = chosen(form.text, form.every, asked.today)
            first, last = _days(form, wanted)
            spanned = _spanned(wanted, first, last, asked.words)
            visits = await asked.aside(self._desk.export, spanned, form.text("purpose"), asked.by)
        except InputError as error:
            return await self._shown(
                asked, wanted, export_wrong=str(error), purpose=form.text("purpose")
            )
        form_of = form.text("format")
        name = f"doorctl-log-{first}-{last}"
        return exported(asked.words, visits, form_of if form_of in FORMATS else FORMATS[0], name)

    async def _shown(
        self, asked: PageRequest, wanted: Chosen, before: int | None = None, **told: str
    ) -> Response:
        last, page, picture = await asked.aside(self._looked, wanted, before, asked.words)
        status = 422 if any(told.values()) else 200
        blank = {"wrong": "", "search_wrong": "", "export_wrong": "", "purpose": ""}
        return asked.page(
            "log.html",
            status,
            wanted=wanted,
            rows=[row(asked.words, one) for one in page.visits],
            older=page.visits[-1].attempt if page.more else None,
            newest=before is None,
            since=last if before is None and wanted.follows(asked.today) else "",
            timeline=timeline(asked.words, picture, asked.now),
            reasons=_reasons(asked.words),
            today=asked.today,
            **(blank | told),
            **FIXED,
        )

    def _looked(
        self, wanted: Chosen, before: int | None, words: Words
    ) -> tuple[str, LogPage, DayPicture]:
        # Asked for first: what is written meanwhile is told twice, and never not at all.
        number = self._desk.last()
        last = self._one(number)
        page = self._desk.page(wanted.wanted(words), before=before, limit=ROWS)
        since = f"{number}-{GRANTED if last is None else state(last)}"
        return since, page, self._desk.day(wanted.day)


def _number(written: str) -> int | None:
    if not written.isascii() or not written.isdigit() or len(written) > MOST_DIGITS:
        return None
    return int(written)


def _reasons(words: Words) -> list[tuple[str, str]]:
    return [(one.value, sentence(words, one)) for one in SENTENCES if one is not Reason.OK]


def _days(form: Form, wanted: Chosen) -> tuple[date, date]:
    first = filled_in.day(form.text("first")) or wanted.day
    last = filled_in.day(form.text("last")) or first
    if last < first:
        raise InputError("the last day is before the first")
    return first, last


def _spanned(wanted: Chosen, first: date, last: date, words: Words) -> LogFilter:
    """Return what is wanted of some days; the times of the day are of a single one."""
    if first == last:
        return replace(wanted, day=first).wanted(words)
    begins = replace(wanted, day=first, starts=None, ends=None).wanted(words)
    ends = replace(wanted, day=last, starts=None, ends=None).wanted(words)
    return replace(begins, until=ends.until)
