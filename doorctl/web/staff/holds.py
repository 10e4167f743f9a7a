"""The page of incident holds: what the purge spares for a case, and until when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.roles import Permission
from doorctl.errors import InputError
from doorctl.privacy.hold import LONGEST, LONGEST_TEXT, HoldAsked
from doorctl.web.desks import HoldDesk
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import Words

PAGE: Final = "/holds"
ONE_DAY: Final = timedelta(days=1)


class HoldPages:
    """Show holds, add and lift them.

    Args:
        frame: around each page.
        desk: the holds.
    """

    def __init__(self, frame: Frame, desk: HoldDesk) -> None:
        self._frame = frame
        self._desk = desk

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, may, post = self._frame.guarded, Permission.HOLD, ("POST",)
        return (
            guarded(PAGE, self._page, may),
            guarded(PAGE, self._add, may, post),
            guarded(f"{PAGE}/lift", self._lift, may, post),
            guarded(f"{PAGE}/{{number:int}}", self._visits, may),
        )

    async def _page(self, asked: PageRequest) -> Response:
        return await self._shown(asked)

    async def _add(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            await asked.aside(self._desk.add, _asked(form, asked.words, asked.by))
        except InputError as error:
            return await self._shown(asked, str(error), form)
        return asked.done(PAGE, "added")

    async def _lift(self, asked: PageRequest) -> Response:
        form = await asked.form()
        written = form.text("number")
        if not (written.isascii() and written.isdigit() and len(written) < LONGEST_TEXT):
            raise InputError("choose one of the holds")
        await asked.aside(self._desk.lift, int(written), asked.by)
        return asked.done(PAGE, "lifted")

    async def _visits(self, asked: PageRequest) -> Response:
        number = int(asked.request.path_params["number"])
        visits = await asked.aside(self._desk.visits, number, asked.by)
        return asked.page("hold_visits.html", number=number, visits=visits)

    async def _shown(
        self, asked: PageRequest, wrong: str = "", form: Form | None = None
    ) -> Response:
        return asked.page(
            "holds.html",
            422 if wrong else 200,
            holds=await asked.aside(self._desk.every),
            wrong=wrong,
            form=form or Form({}),
            longest=LONGEST_TEXT,
            latest=asked.today + LONGEST,
        )


def _asked(form: Form, words: Words, by: str) -> HoldAsked:
    until = _date(form.text("until"))
    return HoldAsked(
        since=_moment(form.text("since"), words),
        to=_moment(form.text("to"), words),
        case=form.text("case"),
        reason=form.text("reason"),
        # The day that is named belongs to it.
        until=datetime.combine(until + ONE_DAY, time(), words.zone).astimezone(UTC),
        by=by,
    )


def _moment(written: str, words: Words) -> datetime:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=words.zone).astimezone(UTC)
    except ValueError:
        raise InputError("give the day and time at which the window begins and ends") from None


def _date(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise InputError("give the last day of the hold") from None
