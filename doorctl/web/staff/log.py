"""The page of the door log: by pseudonym, live, searched by a card, and revealed only on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.web.desks import DoorLog, LogPage
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import Words
from doorctl.web.staff.log_files import as_csv, as_dicts
from doorctl.web.staff.log_filter import Asked, read
from doorctl.web.staff.log_live import LiveLog
from doorctl.web.staff.timeline import timeline

PAGE: Final = "/log"
SHOWN: Final = 50
ASK_AGAIN_MS: Final = 3000
CHECK_EVERY: Final = 3
"""After so many heartbeats or rows it is looked whether the listener is still signed in."""


class LogPages:
    """Show the door log.

    Args:
        frame: around each page.
        desk: the door log.
        live: tells of attempts as they happen.
    """

    def __init__(self, frame: Frame, desk: DoorLog, live: LiveLog) -> None:
        self._frame = frame
        self._desk = desk
        self._live = live

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_LOG),
            guarded(f"{PAGE}/events", self._events, Permission.SEE_LOG),
            guarded(f"{PAGE}/search", self._search, Permission.SEARCH_LOG, post),
            guarded(f"{PAGE}/reveal", self._reveal, Permission.REVEAL, post),
            guarded(f"{PAGE}/export", self._export, Permission.EXPORT_LOG, post),
        )

    async def _page(self, asked: PageRequest) -> Response:
        query = asked.request.query_params
        wanted = read(asked.asked, query.getlist("reason"), asked.today)
        written = asked.asked("before")
        before = int(written) if written.isascii() and written.isdigit() else None
        chosen = wanted.wanted(asked.words)
        found = await asked.aside(self._desk.page, chosen, before=before, limit=SHOWN)
        return await self._shown(asked, wanted, found, older_of=before)

    async def _search(self, asked: PageRequest) -> Response:
        form = await asked.form()
        wanted = read(lambda name: "all" if name == "day" else "", (), asked.today)
        try:
            cards = await asked.aside(self._desk.search, form.text("card"), asked.by)
        except InputError as error:
            empty = LogPage((), more=False)
            return await self._shown(asked, wanted, empty, wrong=("search", str(error)))
        chosen = wanted.wanted(asked.words, cards)
        found = await asked.aside(self._desk.page, chosen, limit=SHOWN)
        return await self._shown(asked, wanted, found, searched=True)

    async def _reveal(self, asked: PageRequest) -> Response:
        form = await asked.form()
        attempt, purpose = form.text("attempt"), form.text("purpose")
        if not (attempt.isascii() and attempt.isdigit() and len(attempt) < SHORT_TEXT):
            raise InputError("choose one of the attempts")
        ref = await asked.aside(self._desk.reveal, int(attempt), purpose, asked.by)
        return asked.page("log_reveal.html", attempt=int(attempt), ref=ref)

    async def _export(self, asked: PageRequest) -> Response:
        form = await asked.form()
        wanted = read(form.text, form.every("reason"), asked.today)
        chosen = wanted.wanted(asked.words)
        found = await asked.aside(self._desk.export, chosen, form.text("purpose"), asked.by)
        kind = "json" if form.text("format") == "json" else "csv"
        headers = {"Content-Disposition": f'attachment; filename="doorctl-log.{kind}"'}
        if kind == "json":
            return JSONResponse(as_dicts(found, asked.words), headers=headers)
        text = as_csv(found, asked.words)
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    async def _events(self, asked: PageRequest) -> Response:
        if self._live.full:
            later = {"Retry-After": "30"}
            return PlainTextResponse("Too many pages are listening.", 503, headers=later)
        last = asked.request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < SHORT_TEXT else None
        return StreamingResponse(self._stream(asked, after), media_type="text/event-stream")

    async def _stream(self, asked: PageRequest, after: int | None) -> AsyncIterator[str]:
        yield f"retry: {ASK_AGAIN_MS}\n\n"
        turns = 0
        async for visits in self._live.follow(after):
            turns += 1
            if turns % CHECK_EVERY == 0 and not await asked.still_may(Permission.SEE_LOG):
                return
            if not visits:
                yield ": still here\n\n"
            for one in visits:
                row = asked.fragment("log_row.html", **_row_context(asked.words), one=one)
                yield f"id: {one.attempt}\ndata: {' '.join(row.split())}\n\n"

    async def _shown(
        self,
        asked: PageRequest,
        wanted: Asked,
        found: LogPage,
        *,
        older_of: int | None = None,
        searched: bool = False,
        wrong: tuple[str, str] | None = None,
    ) -> Response:
        words = asked.words
        drawn = None
        if wanted.day is not None:
            drawn = timeline(words, await asked.aside(self._desk.day, wanted.day))
        live = wanted == read(lambda _name: "", (), asked.today) and older_of is None
        return asked.page(
            "log.html",
            200 if wrong is None else 422,
            **_row_context(words),
            visits=found.visits,
            wanted=wanted,
            older=wanted.address(before=_oldest(found)) if found.more and not searched else "",
            earlier=_day_before(wanted, -1),
            later=_day_before(wanted, 1),
            today=asked.today,
            drawn=drawn,
            live=live,
            searched=searched,
            wrong=wrong,
            reasons=[(one.value, _told(words, one.value)) for one in Reason],
            longest=SHORT_TEXT,
        )


def _row_context(words: Words) -> dict[str, Any]:
    return {"told": lambda reason: _told(words, reason)}


def _told(words: Words, reason: str | None) -> str:
    """Return a reason's sentence; Danish, or English as the catalogue has it."""
    if reason is None:
        return ""
    danish, english = SENTENCES[Reason(reason)]
    return danish if words.language.code == "da" else words.say(english)


def _oldest(found: LogPage) -> int:
    return found.visits[-1].attempt if found.visits else 0


def _day_before(wanted: Asked, days: int) -> str:
    return "" if wanted.day is None else (wanted.day + timedelta(days=days)).isoformat()
