"""The page of bans: who may not come in and for how long, and the letter that tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access import ban_terms
from doorctl.access.ban_terms import ONE_DAY, BanState
from doorctl.access.rights import ALL_BRANCHES, USUAL_BAN, Ban
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError
from doorctl.core.staff_text import LETTER_TEXT, SHORT_TEXT
from doorctl.privacy.letters import letter_in
from doorctl.rpc import deeds
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.numbers import Numbers
from doorctl.services.rights import Banned
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import Frame, PageRequest
from doorctl.web.frame.words import Words
from doorctl.web.staff import filled_in

PAGE: Final = "/bans"
DATE, OPEN_END = "date", "open"
HERE, EVERYWHERE = "here", "everywhere"

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "noise": "Noise, or a nuisance to others",
        "smoke": "Smoking, alcohol or drugs",
        "damage": "Damage or theft",
        "violence": "Threats or violence",
        "lent": "The card was lent to somebody else",
        "strangers": "Others were let in who may not come in",
        "stayed": "Stayed after closing time",
        filled_in.OTHER: "Another reason",
    }
)
"""What a ban is for: a form's key and the English text."""

STATES: Mapping[BanState, str] = MappingProxyType(
    {
        BanState.HOLDS: "In force",
        BanState.AHEAD: "Not yet",
        BanState.ENDED: "Over",
        BanState.LIFTED: "Lifted",
        BanState.ELSEWHERE: "Elsewhere",
    }
)


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong in the form, and what was typed except the card."""

    text: str
    form: Form


class BansPages:
    """List, add and lift bans, and print the letter."""

    def __init__(self, frame: Frame, app: App, numbers: Numbers) -> None:
        self._frame = frame
        self._app = app
        self._numbers = numbers

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, see, post = self._frame.guarded, Permission.SEE_BANS, ("POST",)
        return (
            guarded(PAGE, self._page, see),
            guarded(PAGE, self._add, deeds.add_ban.permission, post),
            guarded(f"{PAGE}/{{number}}/lift", self._lift, deeds.lift_ban.permission, post),
            guarded(f"{PAGE}/{{number}}/letter", self._letter, see),
        )

    async def _page(self, request: PageRequest) -> Response:
        return await self._shown(request)

    async def _add(self, request: PageRequest) -> Response:
        form = await request.form()
        try:
            made = await self._added(request, form, self._wanted(form, request.by))
        except InputError as error:
            return await self._shown(
                request, Wrong(request.words.refusal(error), filled_in.shown_again(form))
            )
        return request.done(PAGE, _outcome(made))

    async def _added(self, request: PageRequest, form: Form, ban: Ban) -> tuple[Banned, ...]:
        ref, typed = form.text(filled_in.PATRON_REF), form.text(filled_in.CARD)
        if bool(ref) == bool(typed):
            raise InputError("give the card, or the number in the library system, and not both")
        if ref:
            return (await request.aside(rights.ban_patron, self._app, ref, ban, by=request.by),)
        read_as, numbers = filled_in.taken_as(form), self._numbers
        return await request.aside(
            rights.ban_card, self._app, typed, read_as, ban, numbers=numbers, by=request.by
        )

    def _wanted(self, form: Form, by: str) -> Ban:
        last = filled_in.day(form.text("last"))
        if form.text("end") not in {DATE, OPEN_END}:
            raise InputError("say how long the ban lasts")
        if form.text("end") == DATE and last is None:
            raise InputError("give the last day of the ban, or choose until further notice")
        moment, everywhere = self._app.clock.moment(), form.text("branches") == EVERYWHERE
        return Ban(
            number=0,
            reason=filled_in.reason(form, REASONS, self._frame.house.words_of(None)),
            since=ban_terms.since(filled_in.day(form.text("first")), moment),
            until=ban_terms.until(last if form.text("end") == DATE else None, moment),
            by=by,
            branches=frozenset({ALL_BRANCHES if everywhere else self._app.config.branch.id}),
            # A browser ends lines by CR LF; what is kept is printable.
            note=form.text("note").replace("\r\n", "\n"),
        )

    async def _lift(self, request: PageRequest) -> Response:
        ended = await request.aside(
            rights.lift, self._app, filled_in.row_number(request), by=request.by
        )
        return request.done(PAGE, "still_banned" if ended.others else "lifted")

    async def _letter(self, request: PageRequest) -> Response:
        number = filled_in.row_number(request)
        ban = await request.aside(rights.ban_to_write_of, self._app, number, request.by)
        branch, moment = self._app.config.branch, self._app.clock.moment()
        words_of, texts = self._frame.house.words_of, []
        for code in ("da", "en"):
            reason = _reason_in(words_of(code), ban.reason, kept_in=words_of(None))
            text = letter_in(code, replace(ban, reason=reason), branch, moment)
            texts.append((words_of(code), text.split("\n\n")))
        return request.page("ban_letter.html", number=number, texts=texts, today=request.today)

    async def _shown(self, request: PageRequest, wrong: Wrong | None = None) -> Response:
        bans = await request.aside(rights.every_ban, self._app, by=request.by)
        moment, here = self._app.clock.moment(), self._app.config.branch.id
        context: dict[str, Any] = {
            "bans": [(ban, rights.state_of(ban, moment, here)) for ban in bans],
            "states": STATES,
            "in_force": BanState.HOLDS,
            "can_end": {BanState.HOLDS, BanState.AHEAD, BanState.ELSEWHERE},
            "all_branches": ALL_BRANCHES,
            "moment": timedelta.resolution,
            "form": Form({}) if wrong is None else wrong.form,
            "wrong": "" if wrong is None else wrong.text,
            "reasons": REASONS,
            "readings": filled_in.READINGS,
            "longest": SHORT_TEXT // 2,
            "longest_note": LETTER_TEXT,
            "usual_days": USUAL_BAN.days,
            "last": request.today + USUAL_BAN - ONE_DAY,
            "today": request.today,
        }
        return request.page("bans.html", 200 if wrong is None else 422, **context)


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
