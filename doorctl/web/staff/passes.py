"""The page of passes: who comes in beside the register's rules, by a card or by a code."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from datetime import date, timedelta
from secrets import token_urlsafe
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.access.rights import (
    COMPANIONS_LIMIT,
    EVERY_DAY,
    MAX_CODE_DIGITS,
    MIN_CODE_DIGITS,
    MOST_SPANS,
    Pass,
    PassKind,
)
from doorctl.accounts.account import Permission
from doorctl.core.errors import DoorctlError, InputError
from doorctl.core.masked import Pin
from doorctl.core.staff_text import SHORT_TEXT
from doorctl.rpc import deeds
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.services.numbers import Numbers
from doorctl.services.rights import PassState, pass_state
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import WEEKDAYS, Words
from doorctl.web.staff import filled_in

OWN_PIN, NO_PIN = "own", "none"
"""A form's words for a pass with a PIN of its own, and for a pass without a PIN."""

SPAN_FIELDS: Final = ("", *map(str, range(2, MOST_SPANS + 1)))
"""Endings of the field names, one for each time of day."""

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def new_pass(form: Form, today: date, *, by_code: bool) -> Pass:
    """Return the pass that a form asks for, without its number and its own PIN.

    `today` is the first day where the form gives none; `by_code` means a new code and no card.

    Raises:
        InputError: the form makes no sense.
    """
    last = filled_in.day(form.text("last"))
    if last is None:
        raise InputError("give the last day of the pass")
    first, *more = _times(form)
    return Pass(
        number=0,
        kind=_kind(form.text("kind")),
        first_day=filled_in.day(form.text("first")) or today,
        last_day=last,
        weekdays=_weekdays(form),
        from_minute=first.opens,
        to_minute=first.closes,
        outside_hours=form.ticked("outside_hours"),
        needs_pin=not by_code and form.text("pin") != NO_PIN,
        code_digits=_small(form.text("digits"), MIN_CODE_DIGITS) if by_code else None,
        companions_max=_small(form.text("companions"), 0),
        label=form.text("label"),
        more_times=tuple(more),
    )


def _kind(name: str) -> PassKind:
    try:
        return PassKind(name)
    except ValueError:
        raise InputError("choose whom the pass is for") from None


def _weekdays(form: Form) -> frozenset[int]:
    """Return the ticked days; every day where none is ticked."""
    ticked = frozenset(_small(weekday, 0) for weekday in form.every("weekday"))
    return ticked or EVERY_DAY


def _times(form: Form) -> list[Span]:
    """Return the times in a form; an end may be on the next day, and no times mean all day."""
    pairs = [(form.text(f"opens{n}"), form.text(f"closes{n}")) for n in SPAN_FIELDS]
    times = [(_minute(opens), _minute(closes)) for opens, closes in pairs if opens or closes]
    spans = [Span(first, last if last > first else last + DAY_MINUTES) for first, last in times]
    return spans or [Span(0, DAY_MINUTES)]


def _minute(written: str) -> int:
    match = _CLOCK.fullmatch(written)
    if match is None:
        raise InputError("give both times of day, or none for all day")
    return int(match[1]) * 60 + int(match[2])


def _small(written: str, otherwise: int) -> int:
    if not written:
        return otherwise
    if len(written) != 1 or not written.isascii() or not written.isdigit():
        raise InputError("that is no number from 0 to 9")
    return int(written)


KINDS: Mapping[PassKind, str] = MappingProxyType(
    {
        PassKind.ASSOCIATION: "Association",
        PassKind.CLASS: "School class",
        PassKind.CLEANER: "Cleaning",
        PassKind.TECHNICIAN: "Technician",
        PassKind.STAFF: "Staff: opens while it is closed too",
        PassKind.EMERGENCY: "Emergency: always opens",
    }
)
"""What each kind is called in English, in the form's order."""


STATES: Mapping[PassState, str] = MappingProxyType(
    {
        PassState.VALID: "Valid",
        PassState.AHEAD: "Not yet",
        PassState.OVER: "Over",
        PassState.REVOKED: "Revoked",
    }
)


def hours(words: Words, held: Pass) -> str:
    """Return a pass's times for people, such as "17.00-21.00"; empty for all day."""
    if held.times == (Span(0, DAY_MINUTES),):
        return ""
    return ", ".join(words.hours_of_day(span.opens, span.closes) for span in held.times)


PAGE: Final = "/passes"
USUAL_SPAN: Final = timedelta(days=182)
"""The length that a form offers for a pass, so that staff review it twice a year."""

FORMS_KEPT: Final = 1000
"""Forms for codes to remember once they are sent; an older form was closed long ago."""

BY_CARD, BY_CODE = "card", "code"


class PassesPages:
    """List, issue and revoke passes."""

    def __init__(self, frame: Frame, app: App, numbers: Numbers) -> None:
        self._frame = frame
        self._app = app
        self._numbers = numbers
        self._sent: deque[str] = deque(maxlen=FORMS_KEPT)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, post = self._frame.guarded, ("POST",)
        return (
            guarded(PAGE, self._page, Permission.SEE_PASSES),
            guarded(PAGE, self._issue, deeds.issue_pass.permission, post),
            guarded(f"{PAGE}/{{number}}/revoke", self._revoke, deeds.revoke_pass.permission, post),
        )

    async def _page(self, request: PageRequest) -> Response:
        return await self._shown(request, Form({}))

    async def _issue(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            new = new_pass(form, request.today, by_code=form.text("bearer") == BY_CODE)
            if new.code_digits is not None:
                return await self._code_issued(request, new, form.text("once"))
            await self._issue_for_card(request, form, new)
        except InputError as error:
            return await self._shown(request, form, request.words.refusal(error))
        return request.done(PAGE, "issued")

    async def _code_issued(self, request: PageRequest, new: Pass, once: str) -> Response:
        # Shown on the answer itself, which no browser keeps: an address could be called again. A
        # page that is loaded again sends its form again, and must not make another live code.
        if once in self._sent:
            raise InputError("this form was sent before, and its pass stands in the list")
        if once:
            self._sent.append(once)
        try:
            held, code = await request.aside(
                rights.issue_for_code, self._app, new, numbers=self._numbers, by=request.by
            )
        except DoorctlError:
            if once:
                self._sent.remove(once)
            raise
        groups = [code[start : start + 3] for start in range(0, len(code), 3)]
        return request.page(
            "pass_code.html", held=held, groups=groups, hours=hours(request.words, held)
        )

    async def _issue_for_card(self, request: PageRequest, form: Form, new: Pass) -> None:
        pin = Pin(form.text("own_pin")) if form.text("pin") == OWN_PIN else None
        typed, read_as, numbers = filled_in.card(form), filled_in.taken_as(form), self._numbers
        await request.aside(
            rights.issue_for_card,
            self._app,
            typed,
            read_as,
            new,
            pin,
            numbers=numbers,
            by=request.by,
        )

    async def _revoke(self, request: PageRequest) -> Response:
        deed = deeds.revoke_pass(filled_in.row_number(request))
        await request.aside(change, self._app, deed, request.by)
        return request.done(PAGE, "revoked")

    async def _shown(self, request: PageRequest, form: Form, wrong: str = "") -> Response:
        passes = await request.aside(rights.every_pass, self._app, by=request.by)
        context: dict[str, Any] = {
            "passes": [
                (issued, pass_state(issued, request.today), hours(request.words, issued.held))
                for issued in passes
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
            "pin_length": self._app.config.policy.pin_length,
            "code_lengths": range(MIN_CODE_DIGITS, MAX_CODE_DIGITS + 1),
            "companions": range(COMPANIONS_LIMIT + 1),
            "longest": SHORT_TEXT,
            **_days(request.today),
        }
        return request.page("passes.html", 422 if wrong else 200, **context)


def _days(today: date) -> dict[str, date]:
    return {"first": today, "last": today + USUAL_SPAN}
