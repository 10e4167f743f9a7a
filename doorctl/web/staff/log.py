"""The page of the door log: attempts under pseudonyms, and what it takes to see more of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.access.staff_text import SHORT_TEXT, refuse_purpose
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.ports import Visit
from doorctl.web.desks import DayPicture, DoorLog, LogFilter, LogPage
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field
from doorctl.web.staff.log_export import exported
from doorctl.web.staff.log_filter import GRANTED, OUTCOMES, Chosen, chosen
from doorctl.web.staff.log_form import days, fields_of, format_of, spanned, typed
from doorctl.web.staff.log_rows import NAMES, row, state
from doorctl.web.staff.refusals import told
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

FIELDS: Final = ("day", "from", "to", "first", "last", "purpose", filled_in.CARD)
"""Of the page's forms: each may be what is wrong."""

NOTHING_WRONG: Final[Mapping[str, str]] = MappingProxyType({})


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
        every, wanted = asked.request.query_params.getlist, Chosen(asked.today)
        try:
            wanted = chosen(asked.asked, every, asked.today)
        except FieldError as error:
            return await self._wrong(asked, wanted, error, typed(asked.asked, every, wanted))
        return await self._shown(asked, wanted, before=_number(asked.asked("before")))

    async def _search(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            found = await asked.aside(self._found, filled_in.card(form), asked.by)
        except InputError as error:
            wrong = FieldError(filled_in.CARD, str(error))
            return await self._wrong(asked, Chosen(asked.today), wrong)
        rows = [row(asked, one) for one in found[:MOST_FOUND]]
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
            return await self._revealed(
                asked, number, purpose=purpose, wrong=told(asked.words, error)
            )
        return await self._revealed(asked, number, purpose=purpose, ref=ref, asks=False)

    async def _revealed(self, asked: PageRequest, number: int | None, **more: Any) -> Response:
        visit = None if number is None else await asked.aside(self._one, number)
        if visit is None:
            raise InputError("there is no such attempt in the door log")
        blank = {"purpose": "", "wrong": "", "ref": None, "asks": True, "longest": SHORT_TEXT}
        status = 422 if more.get("wrong") else 200
        context = blank | {"row": row(asked, visit)} | more
        return asked.page("log_reveal.html", status, **context)

    def _one(self, number: int) -> Visit | None:
        found = self._desk.after(number - 1, 1)
        return found[0] if found and found[0].attempt == number else None

    async def _export(self, asked: PageRequest) -> Response:
        form = await asked.form()
        wanted = Chosen(asked.today)
        try:
            wanted = chosen(form.text, form.every, asked.today)
            first, last = days(form.text, wanted)
            span = spanned(wanted, first, last, asked.words)
            visits = await asked.aside(self._saved, span, form.text("purpose"), asked.by)
        except FieldError as error:
            fields = typed(form.text, form.every, wanted)
            return await self._wrong(asked, wanted, error, fields)
        name = f"doorctl-log-{first}-{last}"
        return exported(asked.words, visits, format_of(form.text), name)

    def _saved(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        with of_field("purpose"):
            refuse_purpose(purpose)
        # Whatever else the door log refuses, fewer days mend it.
        with of_field("last"):
            return self._desk.export(chosen, purpose, by)

    async def _wrong(
        self,
        asked: PageRequest,
        wanted: Chosen,
        error: FieldError,
        fields: dict[str, Any] | None = None,
    ) -> Response:
        return await self._shown(
            asked, wanted, fields=fields, wrong={error.field: told(asked.words, error)}
        )

    async def _shown(
        self,
        asked: PageRequest,
        wanted: Chosen,
        before: int | None = None,
        *,
        fields: dict[str, Any] | None = None,
        wrong: Mapping[str, str] = NOTHING_WRONG,
    ) -> Response:
        last, page, picture = await asked.aside(self._looked, wanted, before, asked.words)
        return asked.page(
            "log.html",
            422 if wrong else 200,
            wanted=wanted,
            fields=fields or fields_of(wanted),
            wrong=dict.fromkeys(FIELDS, "") | dict(wrong),
            rows=[row(asked, one) for one in page.visits],
            older=page.visits[-1].attempt if page.more else None,
            newest=before is None,
            since=last if before is None and wanted.follows(asked.today) else "",
            timeline=timeline(asked.words, picture, asked.now),
            reasons=_reasons(asked.words),
            today=asked.today,
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
