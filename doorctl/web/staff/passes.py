"""The page of passes: who comes in outside the rules for patrons, by a card or by a code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.rights import COMPANIONS_LIMIT, EVERY_DAY, MOST_SPANS, Pass, PassKind
from doorctl.access.wall_time import ONE_DAY
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError
from doorctl.core.masked import Pin
from doorctl.core.texts import refuse_text
from doorctl.services import deeds, rights
from doorctl.services.branch import change
from doorctl.services.rights import PassState, pass_state
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.staff.bans import BY_CARD, BY_CODE, NO_PIN, OWN_PIN
from doorctl.web.words import Words

SPAN_FIELDS: Final = ("", *map(str, range(2, MOST_SPANS + 1)))
"""Endings of the field names, one for each time of day."""


def new_pass(form: Form, today: date, faults: filled_in.Faults, *, by_code: bool) -> Pass:
    """Return the pass that a form asks for, without its number and its own PIN.

    `today` is the first day where the form gives none; `by_code` means a new code and no card.
    Raises FieldError or FormError where the form makes no sense, with the `faults` found before.
    """
    first_day, last, kind, times = today, None, None, [Span(0, DAY_MINUTES)]
    with faults.of_field("label"):
        refuse_text("label", form.text("label"))
    with faults.of_field("opens"):
        times = _times(form)
    with faults.of_field("kind"):
        kind = filled_in.member(PassKind, form.text("kind"), "choose whom the pass is for")
    with faults.of_field("first"):
        first_day = filled_in.day(form, "first", today) or today
    with faults.of_field("last"):
        last = filled_in.day(form, "last", first_day)
        if last is None:
            raise InputError("give the last day of the pass")
    faults.refuse()
    first, *more = times
    with filled_in.of_field("last"):
        return Pass(
            number=0,
            kind=kind,
            first_day=first_day,
            last_day=last,
            weekdays=frozenset(_small(day, 0) for day in form.every("weekday")) or EVERY_DAY,
            from_minute=first.opens,
            to_minute=first.closes,
            outside_hours=form.ticked("outside_hours"),
            needs_pin=not by_code and form.text("pin") != NO_PIN,
            code_digits=_small(form.text("digits"), MIN_CODE_DIGITS) if by_code else None,
            companions_max=_small(form.text("companions"), 0),
            label=form.text("label"),
            more_times=tuple(more),
        )


def _times(form: Form) -> list[Span]:
    """Return the times in a form; an end may be on the next day, and no times mean all day."""
    spans = []
    for n in SPAN_FIELDS:
        first, last = (filled_in.minute(form, f"{end}{n}") for end in ("opens", "closes"))
        if first is not None and last is not None:
            spans.append(Span(first, last if last > first else last + DAY_MINUTES))
        elif first is not None or last is not None:
            raise InputError("give both times of day, or none for all day")
    return spans or [Span(0, DAY_MINUTES)]


def _small(written: str, otherwise: int) -> int:
    return filled_in.member(int, written or str(otherwise), "that is no number from 0 to 9")


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

DAYS_AND_TIMES: Final = frozenset({"weekday", "times", "outside_hours"})

ALL_ASKED: Final = DAYS_AND_TIMES | {"first", "companions"}
"""What the form asks about a pass beside its purpose, its holder and its last day."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A usual pass: its kind, what it asks, for how many days it is, and what stands there."""

    name: str
    kind: PassKind
    asks: frozenset[str]
    days: int = 182
    filled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_WORKDAYS: Final = {"weekday": tuple("01234")}

PRESETS: Mapping[str, Preset] = {
    "cleaning": Preset(
        "Cleaning", PassKind.CLEANER, DAYS_AND_TIMES, filled=_WORKDAYS | {"outside_hours": ("yes",)}
    ),
    "craftsman": Preset(
        "Craftsman today",
        PassKind.TECHNICIAN,
        frozenset({"times", "outside_hours"}),
        days=1,
        filled={"outside_hours": ("yes",)},
    ),
    "association": Preset("Association", PassKind.ASSOCIATION, ALL_ASKED),
    "class": Preset("School class", PassKind.CLASS, ALL_ASKED, filled=_WORKDAYS),
    "staff": Preset("Staff", PassKind.STAFF, frozenset({"first"})),
    "emergency": Preset("Emergency", PassKind.EMERGENCY, frozenset()),
}
"""By a word in the address; the usual length has staff review a pass twice a year."""


@dataclass(frozen=True, slots=True)
class PassDraft:
    """A pass before staff have looked at it once more; `key` is its card's, None for a code."""

    held: Pass
    key: bytes | None
    form: Form


class PassesPages:
    """List, issue, change and revoke passes: a preset, its fields, a page to check, a slip."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._drafts: filled_in.Kept[PassDraft] = filled_in.Kept(PASSES)
        self._slips: filled_in.Kept[tuple[Pass, str]] = filled_in.Kept(PASSES)

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, post, may = self._frame.guarded, ("POST",), deeds.issue_pass.permission
        revoke, check = deeds.revoke_pass.permission, f"{PASSES}/check/{{token}}"
        return (
            guarded(PASSES, self._shown, Permission.SEE_PASSES),
            self._frame.form(PASSES, self._filled_in, may, self._shown),
            guarded(check, self._drafts.seen(self._check), may),
            self._frame.form(check, self._drafts.taken(self._confirmed), may, self._shown),
            guarded(f"{PASSES}/slip/{{token}}", self._slip, may),
            guarded(f"{PASSES}/{{number}}", self._one, may),
            guarded(f"{PASSES}/{{number}}/revoke", self._revoke, revoke, post),
        )

    async def _filled_in(self, request: PageRequest, form: Form) -> Response:
        if form.text("number"):
            number = filled_in.number(form.text("number"))
            draft = await self._changed(request, form, number)
        else:
            draft = await self._new(request, form)
        return request.go(f"{PASSES}/check/{self._drafts.keep(request, draft)}")

    async def _new(self, request: PageRequest, form: Form) -> PassDraft:
        by_code, faults, typed = form.text("bearer") == BY_CODE, filled_in.Faults(), ""
        pin = None if by_code or form.text("pin") != OWN_PIN else Pin(form.text("own_pin"))
        with faults.of_field("bearer"):
            if by_code:
                rights.refuse_codes(request.app)
        with faults.of_field(filled_in.CARD):
            typed = "" if by_code else filled_in.card(form)
        with faults.of_field("own_pin"):
            if pin is not None:
                rights.refuse_pin(pin, request.app.config.policy.pin_length)
        new = new_pass(form, request.today, faults, by_code=by_code)
        kept = filled_in.shown_again(form)
        if by_code:
            return PassDraft(new, None, kept)
        new, key = await request.call(rights.for_card, typed, filled_in.taken_as(form), new, pin)
        return PassDraft(new, key, kept)

    async def _changed(self, request: PageRequest, form: Form, number: int) -> PassDraft:
        old = await request.call(rights.pass_to_change, number)
        new = new_pass(form, old.first_day, filled_in.Faults(), by_code=False)
        stays = {name: getattr(old, name) for name in ("kind", "needs_pin", "pin_check")}
        with filled_in.of_field("last"):
            held = replace(new, number=number, code_digits=old.code_digits, **stays)
        return PassDraft(held, None, form)

    async def _check(self, request: PageRequest, draft: PassDraft) -> Response:
        shown = hours(request.words, draft.held)
        context = self._form_of(request, draft.form, draft.held.number)
        return request.page("pass_check.html", **context, draft=draft, hours=shown)

    async def _confirmed(self, request: PageRequest, draft: PassDraft) -> Response:
        if draft.held.number:
            await request.call(change, deeds.change_pass(draft.held))
            return request.done(PASSES, "changed")
        if draft.key is None:
            made = await request.call(rights.issue_for_code, draft.held)
        else:
            made = await request.call(change, deeds.issue_pass(draft.held, draft.key)), ""
        by_card = f"?by={BY_CARD}" if draft.key else ""
        return request.go(f"{PASSES}/slip/{self._slips.keep(request, made)}{by_card}")

    async def _slip(self, request: PageRequest) -> Response:
        made = self._slips.see(request)
        if made is None:
            return request.done(PASSES, "listed" if request.query("by") else "shown")
        (held, code), words_of = made, request.frame.words_of
        if code:
            self._slips.take(request)
        texts = [(words, hours(words, held)) for words in map(words_of, ("da", "en"))]
        groups = [code[start : start + 3] for start in range(0, len(code), 3)]
        return request.page("pass_code.html", held=held, groups=groups, texts=texts)

    async def _one(self, request: PageRequest) -> Response:
        number = filled_in.row_number(request)
        held = await request.call(rights.pass_to_change, number)
        return await self._shown(request, _filled(request.words, held), number=number)

    async def _revoke(self, request: PageRequest) -> Response:
        await request.call(change, deeds.revoke_pass(filled_in.row_number(request)))
        return request.done(PASSES, "revoked")

    async def _shown(
        self,
        request: PageRequest,
        form: Form = BLANK,
        error: InputError | None = None,
        number: int = 0,
    ) -> Response:
        words = request.words
        if form.text("number").isdecimal():
            number = filled_in.number(form.text("number"))
        passes = await request.call(rights.every_pass)
        return request.page(
            "passes.html",
            **self._form_of(request, form, number, error),
            passes=[
                (issued, pass_state(issued, request.today), hours(words, issued.held))
                for issued in passes
            ],
            states=PASS_STATES,
            valid=PassState.VALID,
            can_end={PassState.VALID, PassState.AHEAD},
        )

    def _form_of(
        self, request: PageRequest, form: Form, number: int, error: InputError | None = None
    ) -> dict[str, Any]:
        chosen = form.text("preset") or request.query("preset")
        preset, words, policy = PRESETS.get(chosen), request.words, request.app.config.policy
        if preset and not form.fields:
            last = words.short_day(request.today + (preset.days - 1) * ONE_DAY)
            form = Form({**preset.filled, "kind": (preset.kind.value,), "last": (last,)})
        return {
            "form": form,
            "number": number,
            "presets": PRESETS,
            "chosen": chosen,
            "asks": ALL_ASKED if preset is None else preset.asks,
            "asked": bool(preset or form.fields),
            "wrong": filled_in.wrongs(request, error, filled_in.CARD),
            "kinds": KINDS,
            "span_fields": SPAN_FIELDS,
            "codes": policy.code_entry,
            "pin_length": policy.pin_length,
            "code_lengths": range(MIN_CODE_DIGITS, MAX_CODE_DIGITS + 1),
            "companions": range(COMPANIONS_LIMIT + 1),
        }


def _filled(words: Words, held: Pass) -> Form:
    """Return the fields of a form by which :func:`new_pass` makes a pass again."""
    fields = {
        "kind": (held.kind.value,),
        "label": (held.label,),
        "first": (words.short_day(held.first_day),),
        "last": (words.short_day(held.last_day),),
        "weekday": tuple(map(str, sorted(held.weekdays))),
        "companions": (f"{held.companions_max}",),
    }
    if held.outside_hours:
        fields["outside_hours"] = ("yes",)
    if held.times != (Span(0, DAY_MINUTES),):
        for ending, span in zip(SPAN_FIELDS, held.times, strict=False):
            fields[f"opens{ending}"] = (words.time_of_day(span.opens),)
            fields[f"closes{ending}"] = (words.time_of_day(span.closes),)
    return Form(fields)
