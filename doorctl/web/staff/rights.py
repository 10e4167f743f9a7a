"""The pages of bans and of passes: who may not come in, and who comes in beside the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, ONE_DAY, Span
from doorctl.access.rights import (
    ALL_BRANCHES,
    COMPANIONS_LIMIT,
    EVERY_DAY,
    MAX_CODE_DIGITS,
    MIN_CODE_DIGITS,
    MOST_SPANS,
    USUAL_BAN,
    Ban,
    BanState,
    Pass,
    PassKind,
    ban_since,
    ban_until,
)
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.masked import Pin
from doorctl.core.staff_text import LETTER_TEXT, SHORT_TEXT
from doorctl.privacy.letters import letter_in
from doorctl.rpc import deeds
from doorctl.services import rights
from doorctl.services.branch import change
from doorctl.services.rights import Banned, PassState, pass_state
from doorctl.web.frame import BLANK, Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import WEEKDAYS, Words

BANS: Final = "/bans"
DATE, OPEN_END = "date", "open"
HERE, EVERYWHERE = "here", "everywhere"

REASONS: Mapping[str, str] = {
    "noise": "Noise, or a nuisance to others",
    "smoke": "Smoking, alcohol or drugs",
    "damage": "Damage or theft",
    "violence": "Threats or violence",
    "lent": "The card was lent to somebody else",
    "strangers": "Others were let in who may not come in",
    "stayed": "Stayed after closing time",
    filled_in.OTHER: "Another reason",
}
"""What a ban is for: a form's key and the English text."""

BAN_STATES: Mapping[BanState, str] = {
    BanState.HOLDS: "In force",
    BanState.AHEAD: "Not yet",
    BanState.ENDED: "Over",
    BanState.LIFTED: "Lifted",
    BanState.ELSEWHERE: "Elsewhere",
}


def bans_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that list, add and lift bans, and print the letter."""
    guarded, see, post = frame.guarded, Permission.SEE_BANS, ("POST",)
    return (
        guarded(BANS, _bans, see),
        frame.form(BANS, filled_in.once(_add_ban), deeds.add_ban.permission, _bans),
        guarded(f"{BANS}/{{number}}/lift", _lift_ban, deeds.lift_ban.permission, post),
        guarded(f"{BANS}/{{number}}/letter", _letter, see),
    )


async def _add_ban(request: PageRequest, form: Form) -> Response:
    ban = _wanted_ban(request, form)
    return request.done(BANS, _outcome(await request.do(rights.ban, filled_in.named(form), ban)))


def _wanted_ban(request: PageRequest, form: Form) -> Ban:
    last = filled_in.day(form.text("last"))
    if form.text("end") not in {DATE, OPEN_END}:
        raise InputError("say how long the ban lasts")
    if form.text("end") == DATE and last is None:
        raise InputError("give the last day of the ban, or choose until further notice")
    app, everywhere = request.app, form.text("branches") == EVERYWHERE
    moment = app.clock.moment()
    return Ban(
        number=0,
        reason=filled_in.reason(form, REASONS, request.house.words_of(None)),
        since=ban_since(filled_in.day(form.text("first")), moment),
        until=ban_until(last if form.text("end") == DATE else None, moment),
        by=app.by,
        branches=frozenset({ALL_BRANCHES if everywhere else app.config.branch.id}),
        # A browser ends lines by CR LF; what is kept is printable.
        note=form.text("note").replace("\r\n", "\n"),
    )


async def _lift_ban(request: PageRequest) -> Response:
    ended = await request.do(rights.lift, filled_in.row_number(request))
    return request.done(BANS, "still_banned" if ended.others else "lifted")


async def _letter(request: PageRequest) -> Response:
    number = filled_in.row_number(request)
    ban = await request.do(rights.ban_to_write_of, number)
    branch, moment = request.app.config.branch, request.app.clock.moment()
    words_of, texts = request.house.words_of, []
    for code in ("da", "en"):
        reason = _reason_in(words_of(code), ban.reason, kept_in=words_of(None))
        text = letter_in(code, replace(ban, reason=reason), branch, moment)
        texts.append((words_of(code), text.split("\n\n")))
    return request.page("ban_letter.html", number=number, texts=texts, today=request.today)


async def _bans(
    request: PageRequest, form: Form = BLANK, error: InputError | None = None
) -> Response:
    bans = await request.do(rights.every_ban)
    moment, here = request.app.clock.moment(), request.app.config.branch.id
    return request.page(
        "bans.html",
        bans=[(ban, rights.state_of(ban, moment, here)) for ban in bans],
        states=BAN_STATES,
        in_force=BanState.HOLDS,
        can_end={BanState.HOLDS, BanState.AHEAD, BanState.ELSEWHERE},
        all_branches=ALL_BRANCHES,
        moment=timedelta.resolution,
        form=filled_in.shown_again(form),
        wrong=request.words.refusal(error),
        reasons=REASONS,
        readings=filled_in.READINGS,
        longest=SHORT_TEXT // 2,
        longest_note=LETTER_TEXT,
        usual_days=USUAL_BAN.days,
        last=request.today + USUAL_BAN - ONE_DAY,
        today=request.today,
    )


def _reason_in(words: Words, reason: str, kept_in: Words) -> str:
    """Return a ban's reason in another language; a reason that is not listed stays as it is."""
    listed, colon, own = reason.partition(": ")
    known = {kept_in.say(text): text for text in REASONS.values()}
    return f"{words.say(known[listed])}{colon}{own}" if listed in known else reason


def _outcome(made: tuple[Banned, ...]) -> str:
    if any(not banned.known for banned in made):
        return "not_yet"
    if any(not banned.whole_patron for banned in made):
        return "card_alone"
    return "added" if all(banned.follows for banned in made) else "this_card"


# The page of passes: who comes in beside the register's rules, by a card or by a code.

OWN_PIN, NO_PIN = "own", "none"
"""A form's words for a pass with a PIN of its own, and for a pass without a PIN."""

SPAN_FIELDS: Final = ("", *map(str, range(2, MOST_SPANS + 1)))
"""Endings of the field names, one for each time of day."""

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def new_pass(form: Form, today: date, *, by_code: bool) -> Pass:
    """Return the pass that a form asks for, without its number and its own PIN.

    `today` is the first day where the form gives none; `by_code` means a new code and no card.
    Raises InputError where the form makes no sense.
    """
    last = filled_in.day(form.text("last"))
    if last is None:
        raise InputError("give the last day of the pass")
    first, *more = _times(form)
    return Pass(
        number=0,
        kind=filled_in.member(PassKind, form.text("kind"), "choose whom the pass is for"),
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


KINDS: Mapping[PassKind, str] = {
    PassKind.ASSOCIATION: "Association",
    PassKind.CLASS: "School class",
    PassKind.CLEANER: "Cleaning",
    PassKind.TECHNICIAN: "Technician",
    PassKind.STAFF: "Staff: opens while it is closed too",
    PassKind.EMERGENCY: "Emergency: always opens",
}
"""What each kind is called in English, in the form's order."""


PASS_STATES: Mapping[PassState, str] = {
    PassState.VALID: "Valid",
    PassState.AHEAD: "Not yet",
    PassState.OVER: "Over",
    PassState.REVOKED: "Revoked",
}


def hours(words: Words, held: Pass) -> str:
    """Return a pass's times for people, such as "17.00-21.00"; empty for all day."""
    if held.times == (Span(0, DAY_MINUTES),):
        return ""
    return ", ".join(words.hours_of_day(span.opens, span.closes) for span in held.times)


PASSES: Final = "/passes"
USUAL_SPAN: Final = timedelta(days=182)
"""The length that a form offers for a pass, so that staff review it twice a year."""

BY_CARD, BY_CODE = "card", "code"


class PassesPages:
    """List, issue and revoke passes."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._codes: filled_in.Kept[tuple[Pass, str]] = filled_in.Kept()

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, post, may = self._frame.guarded, ("POST",), deeds.issue_pass.permission
        revoke = f"{PASSES}/{{number}}/revoke"
        return (
            guarded(PASSES, self._shown, Permission.SEE_PASSES),
            self._frame.form(PASSES, filled_in.once(self._issue), may, self._shown),
            guarded(f"{PASSES}/slip/{{token}}", self._slip, may),
            guarded(revoke, self._revoke, deeds.revoke_pass.permission, post),
        )

    async def _issue(self, request: PageRequest, form: Form) -> Response:
        new = new_pass(form, request.today, by_code=form.text("bearer") == BY_CODE)
        if new.code_digits is not None:
            made = await request.do(rights.issue_for_code, new)
            return request.go(f"{PASSES}/slip/{self._codes.keep(request, made)}")
        pin = Pin(form.text("own_pin")) if form.text("pin") == OWN_PIN else None
        typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
        await request.do(rights.issue_for_card, typed, taken_as, new, pin)
        return request.done(PASSES, "issued")

    async def _slip(self, request: PageRequest) -> Response:
        made = self._codes.take(request, str(request.http.path_params["token"]))
        if made is None:
            return request.done(PASSES, "shown")
        (held, code), words_of = made, request.house.words_of
        texts = [(words, hours(words, held)) for words in map(words_of, ("da", "en"))]
        groups = [code[start : start + 3] for start in range(0, len(code), 3)]
        return request.page("pass_code.html", held=held, groups=groups, texts=texts)

    async def _revoke(self, request: PageRequest) -> Response:
        await request.do(change, deeds.revoke_pass(filled_in.row_number(request)))
        return request.done(PASSES, "revoked")

    async def _shown(
        self, request: PageRequest, form: Form = BLANK, error: InputError | None = None
    ) -> Response:
        words = request.words
        passes = await request.do(rights.every_pass)
        return request.page(
            "passes.html",
            passes=[
                (issued, pass_state(issued, request.today), hours(words, issued.held))
                for issued in passes
            ],
            kinds=KINDS,
            states=PASS_STATES,
            valid=PassState.VALID,
            can_end={PassState.VALID, PassState.AHEAD},
            form=form,
            codes=request.app.config.policy.code_entry,
            wrong=words.refusal(error),
            weekdays=WEEKDAYS,
            every_day=EVERY_DAY,
            span_fields=SPAN_FIELDS,
            readings=filled_in.READINGS,
            pin_length=request.app.config.policy.pin_length,
            code_lengths=range(MIN_CODE_DIGITS, MAX_CODE_DIGITS + 1),
            companions=range(COMPANIONS_LIMIT + 1),
            longest=SHORT_TEXT,
            first=request.today,
            last=request.today + USUAL_SPAN,
        )
