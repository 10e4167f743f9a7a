"""The page of bans: who may not come in, why and until when, with the letter about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.ban_dates import BanState, ban_since, ban_state, ban_until
from doorctl.access.rights import ALL_BRANCHES, USUAL_BAN, Ban
from doorctl.access.wall_time import ONE_DAY
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.core.texts import LETTER_TEXT, SHORT_TEXT, refuse_text
from doorctl.services import deeds, letter, rights
from doorctl.services.branch import change
from doorctl.services.rights import Reach
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import Words

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

LENGTHS: Final = (14, 30, USUAL_BAN.days)
"""Days of a ban that have a button of their own."""

BAN_STATES: Mapping[BanState, str] = {
    BanState.HOLDS: "In force",
    BanState.AHEAD: "Not yet",
    BanState.ENDED: "Over",
    BanState.LIFTED: "Lifted",
    BanState.ELSEWHERE: "Elsewhere",
}


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom a ban is to be of, in words that hold no number but its end; or a ban to change."""

    shown: str
    cards: tuple[rights.Card, ...] = ()
    number: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A ban before staff have looked at it once more, with the form that it was made of."""

    whom: Whom
    ban: Ban
    form: Form


class BansPages:
    """List, add, change and lift bans, and print the letter.

    Who is banned, why and for how long stand on one form; a page to check comes before the deed.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._whom: filled_in.Kept[Whom] = filled_in.Kept(BANS)
        self._drafts: filled_in.Kept[Draft] = filled_in.Kept(BANS)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, see, post = self._frame.guarded, Permission.SEE_BANS, ("POST",)
        may, check = deeds.add_ban.permission, f"{BANS}/check/{{token}}"
        return (
            guarded(BANS, self._shown, see),
            self._frame.form(BANS, self._filled_in, may, self._shown),
            guarded(check, self._drafts.seen(self._check), may),
            self._frame.form(check, self._drafts.taken(self._confirmed), may, self._shown),
            guarded(f"{BANS}/{{number}}", self._one, may),
            guarded(f"{BANS}/{{number}}/lift", self._lift, deeds.lift_ban.permission, post),
            guarded(f"{BANS}/{{number}}/letter", self._letter, see),
        )

    async def _filled_in(self, request: PageRequest, form: Form) -> Response:
        faults, whom = filled_in.Faults(), Whom("")
        with faults.of_field(filled_in.CARD):
            whom = await self._named(request, form)
        if whom.shown and not form.text(filled_in.REASON) and not form.text("days"):
            # Enter after the card, as a reader types it: the next questions come.
            return await self._shown(request, form, whom=whom)
        try:
            ban = await self._wanted(request, form, faults, whom.number)
        except InputError as error:
            return await self._shown(request, form, error, whom if whom.shown else None)
        token = self._drafts.keep(request, Draft(whom, ban, filled_in.shown_again(form)))
        return request.go(f"{BANS}/check/{token}")

    async def _named(self, request: PageRequest, form: Form) -> Whom:
        """Return whom a form names: by a card, by numbers, or as it was swiped before."""
        kept = self._whom.see(request, form.text("whom"))
        if kept is not None:
            return kept
        attempt, say = form.text("attempt"), request.words.say
        with filled_in.of_field(filled_in.CARD):
            if attempt:
                cards = await request.call(rights.whose, filled_in.number(attempt))
                return Whom(say("the person of attempt {number}", number=attempt), cards)
            named = filled_in.named(form)
            cards = await request.call(rights.whose, named)
        if named.typed is None:
            return Whom(say("patron {number}", number=named.patron_ref), cards)
        return Whom(say("number ending in {digits}", digits=filled_in.ending(named.typed)), cards)

    async def _wanted(
        self, request: PageRequest, form: Form, faults: filled_in.Faults, number: int
    ) -> Ban:
        """Return the ban that a form asks for, or ban `number` as it is to be; not yet stored."""
        app, everywhere = request.app, form.text("branches") == EVERYWHERE
        moment, reason, first, until = app.clock.moment(), "", None, None
        with faults.of_field(filled_in.REASON):
            reason = filled_in.reason(form, REASONS, request.frame.words_of(None))
        with faults.of_field("first"):
            first = filled_in.day(form, "first", request.today)
        # A browser ends lines by CR LF; what is kept is printable.
        note = form.text("note").replace("\r\n", "\n")
        with faults.of_field("note"):
            refuse_text("letter", note, longest=LETTER_TEXT, optional=True)
        with faults.of_field("last"):
            until = ban_until(_last(form, first or request.today), moment)
        faults.refuse()
        branches = frozenset({ALL_BRANCHES if everywhere else app.config.branch.id})
        with filled_in.of_field("last"):
            if not number:
                since = ban_since(first, moment)
                return Ban(0, reason, since, until, app.by, branches, note)
            old = await request.call(rights.ban_to_write_of, number, "number")
            return replace(old, reason=reason, until=until, branches=branches, note=note)

    async def _check(self, request: PageRequest, draft: Draft) -> Response:
        return request.page(
            "ban_check.html",
            **self._form_of(request, draft.form, draft.whom),
            draft=draft,
            texts=_letters(request, draft.ban),
            everywhere=ALL_BRANCHES in draft.ban.branches,
            days=draft.ban.days(request.app.clock.moment()),
        )

    async def _confirmed(self, request: PageRequest, draft: Draft) -> Response:
        if draft.whom.number:
            await request.call(change, deeds.change_ban(draft.ban))
            return request.done(BANS, "changed")
        made = {reach for _, reach in await request.call(rights.ban, draft.whom.cards, draft.ban)}
        return request.done(BANS, next(reach for reach in Reach if reach in made).value)

    async def _one(self, request: PageRequest) -> Response:
        number, words = filled_in.row_number(request), request.frame.words_of(None)
        ban = await request.call(rights.ban_to_write_of, number, "number")
        _, last = ban.days(request.app.clock.moment())
        whom = Whom(request.words.say("ban {number}", number=number), number=number)
        form = {
            **filled_in.reason_again(ban.reason, REASONS, words),
            "last": (request.words.short_day(last) if last else "",),
            "branches": (EVERYWHERE if ALL_BRANCHES in ban.branches else HERE,),
            "note": (ban.note,),
        }
        return await self._shown(request, Form(form), whom=whom)

    async def _lift(self, request: PageRequest) -> Response:
        others = await request.call(rights.lift, filled_in.row_number(request))
        return request.done(BANS, "still_banned" if others else "lifted")

    async def _letter(self, request: PageRequest) -> Response:
        number = filled_in.row_number(request)
        ban = await request.call(rights.ban_to_write_of, number)
        texts = _letters(request, ban)
        return request.page("ban_letter.html", number=number, texts=texts)

    async def _shown(
        self,
        request: PageRequest,
        form: Form = BLANK,
        error: InputError | None = None,
        whom: Whom | None = None,
    ) -> Response:
        if whom is None and request.query("attempt"):
            whom = await self._named(request, request.queried)
        bans = await request.call(rights.every_ban)
        moment, here = request.app.clock.moment(), request.app.config.branch.id
        return request.page(
            "bans.html",
            **self._form_of(request, form, whom, error),
            bans=[(it, ban_state(it, moment, here), it.held.days(moment)) for it in bans],
            states=BAN_STATES,
            in_force=BanState.HOLDS,
            can_end={BanState.HOLDS, BanState.AHEAD, BanState.ELSEWHERE},
            all_branches=ALL_BRANCHES,
            own_branch=here,
        )

    def _form_of(
        self, request: PageRequest, form: Form, whom: Whom | None, error: InputError | None = None
    ) -> dict[str, Any]:
        words, today = request.words, request.today
        return {
            "form": filled_in.shown_again(form),
            "whom": whom,
            "whom_token": "" if whom is None else self._whom.keep(request, whom),
            "wrong": filled_in.wrongs(request, error, filled_in.CARD),
            "reasons": REASONS,
            "longest": SHORT_TEXT // 2,
            "lengths": [(n, words.long_day(today + (n - 1) * ONE_DAY)) for n in LENGTHS],
        }


def _last(form: Form, first: date) -> date | None:
    """Return the last day that a form asks for; None for no end."""
    chosen = form.text("days")
    if chosen == OPEN_END:
        return None
    if chosen in map(str, LENGTHS):
        return first + (int(chosen) - 1) * ONE_DAY
    last = filled_in.day(form, "last", first)
    if chosen != DATE or last is None:
        raise InputError("say how long the ban lasts")
    return last


def _letters(request: PageRequest, ban: Ban) -> list[tuple[Words, list[str]]]:
    """Return the paragraphs of the Danish and of the English letter, with each one's words."""
    branch, moment = request.app.config.branch, request.app.clock.moment()
    words_of, texts = request.frame.words_of, []
    for code in ("da", "en"):
        reason = _reason_in(words_of(code), ban.reason, kept_in=words_of(None))
        text = letter.letter_in(code, replace(ban, reason=reason), branch, moment)
        texts.append((words_of(code), text.split("\n\n")))
    return texts


def _reason_in(words: Words, reason: str, kept_in: Words) -> str:
    """Return a ban's reason in another language; a reason that is not listed stays as it is."""
    listed, colon, own = reason.partition(": ")
    known = {kept_in.say(text): text for text in REASONS.values()}
    return f"{words.say(known[listed])}{colon}{own}" if listed in known else reason


OWN_PIN, NO_PIN = "own", "none"
"""A form's words for a pass with a PIN of its own, and for a pass without a PIN."""

BY_CARD, BY_CODE = "card", "code"
