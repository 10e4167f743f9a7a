"""The page of passes: who comes in beside the register's rules, by a card or by a code."""

from __future__ import annotations

from collections import deque
from datetime import date, timedelta
from secrets import token_urlsafe
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.rights import COMPANIONS_LIMIT, EVERY_DAY, Pass
from doorctl.access.staff_text import SHORT_TEXT
from doorctl.accounts.roles import Permission
from doorctl.errors import DoorctlError, InputError
from doorctl.masked import Pin
from doorctl.ports import PassEntry
from doorctl.web.desks import PassesDesk
from doorctl.web.pages.forms import Form
from doorctl.web.pages.frame import Frame, PageRequest
from doorctl.web.pages.words import WEEKDAYS
from doorctl.web.staff import filled_in
from doorctl.web.staff.passes_form import OWN_PIN, SPAN_FIELDS, new_pass
from doorctl.web.staff.passes_words import KINDS, STATES, PassState, hours, state
from doorctl.web.staff.refusals import told

PAGE: Final = "/passes"
USUAL_SPAN: Final = timedelta(days=182)
"""How long a pass is offered to last: it is looked at again twice a year."""

FORMS_KEPT: Final = 1000
"""Forms for codes that were sent; an older one was closed long ago."""

BY_CARD, BY_CODE = "card", "code"


class PassesPages:
    """List, issue and revoke passes.

    Args:
        frame: around each page.
        desk: the passes.
    """

    def __init__(self, frame: Frame, desk: PassesDesk) -> None:
        self._frame = frame
        self._desk = desk
        self._sent: deque[str] = deque(maxlen=FORMS_KEPT)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return them."""
        guarded, see, change = self._frame.guarded, Permission.SEE_PASSES, Permission.CHANGE_PASSES
        return (
            guarded(PAGE, self._page, see),
            guarded(PAGE, self._issue, change, ("POST",)),
            guarded(f"{PAGE}/{{number}}/revoke", self._revoke, change, ("POST",)),
        )

    async def _page(self, asked: PageRequest) -> Response:
        return await self._shown(asked, Form({}))

    async def _issue(self, asked: PageRequest) -> Response:
        form = await asked.form()
        try:
            new = new_pass(form, asked.today, by_code=form.text("bearer") == BY_CODE)
            if new.code_digits is not None:
                return await self._code_issued(asked, new, form.text("once"))
            await self._issue_for_card(asked, form, new)
        except InputError as error:
            return await self._shown(asked, form, told(asked.words, error))
        return asked.done(PAGE, "issued")

    async def _code_issued(self, asked: PageRequest, new: Pass, once: str) -> Response:
        # Shown on the answer itself, which no browser keeps: an address could be called again. A
        # page that is loaded again sends its form again, and must not make another live code.
        if once in self._sent:
            raise InputError("this form was sent before, and its pass stands in the list")
        if once:
            self._sent.append(once)
        try:
            held, code = await asked.aside(self._desk.issue_for_code, new, asked.by)
        except DoorctlError:
            if once:
                self._sent.remove(once)
            raise
        groups = [code[start : start + 3] for start in range(0, len(code), 3)]
        return asked.page(
            "pass_code.html", held=held, groups=groups, hours=hours(asked.words, held)
        )

    async def _issue_for_card(self, asked: PageRequest, form: Form, new: Pass) -> None:
        pin = Pin(form.text("own_pin")) if form.text("pin") == OWN_PIN else None
        typed, read_as = filled_in.card(form), filled_in.taken_as(form)
        await asked.aside(self._desk.issue_for_card, typed, read_as, new, pin, asked.by)

    async def _revoke(self, asked: PageRequest) -> Response:
        await asked.aside(self._desk.revoke, filled_in.row_number(asked), asked.by)
        return asked.done(PAGE, "revoked")

    async def _shown(self, asked: PageRequest, form: Form, wrong: str = "") -> Response:
        passes, pin_length = await asked.aside(self._looked, asked.by)
        context: dict[str, Any] = {
            "passes": [
                (one, state(one, asked.today), hours(asked.words, one.held)) for one in passes
            ],
            "kinds": KINDS,
            "states": STATES,
            "valid": PassState.VALID,
            "can_end": {PassState.VALID, PassState.AHEAD},
            "form": form,
            "once": token_urlsafe(9),
            "wrong": wrong,
            "weekdays": WEEKDAYS,
            "every_day": EVERY_DAY,
            "span_fields": SPAN_FIELDS,
            "readings": filled_in.READINGS,
            "pin_length": pin_length,
            "code_lengths": range(MIN_CODE_DIGITS, MAX_CODE_DIGITS + 1),
            "companions": range(COMPANIONS_LIMIT + 1),
            "longest": SHORT_TEXT,
            **_days(asked.today),
        }
        return asked.page("passes.html", 422 if wrong else 200, **context)

    def _looked(self, by: str) -> tuple[tuple[PassEntry, ...], int]:
        return self._desk.every(by), self._desk.pin_length()


def _days(today: date) -> dict[str, date]:
    return {"first": today, "last": today + USUAL_SPAN}
