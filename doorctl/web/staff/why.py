"""The page that says why a card is refused, and what the patron or staff can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.panel import CODES
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import Finding
from doorctl.accounts.account import Permission
from doorctl.core.errors import InputError, NotRunningError
from doorctl.core.language import DANISH
from doorctl.core.staff_text import SHORT_TEXT
from doorctl.services import cards
from doorctl.services.cards import Explanation
from doorctl.web.frame import BLANK, Form, Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import MODES, Words

# These texts are in English and for staff, not for patrons at the door.

CHECKS: Mapping[str, str] = {
    "known": "The card is known",
    "throttle": "The card does not have to wait after wrong PINs",
    "pin": "There is a PIN to compare with",
    "restricted": "The person's data may be used",
    "banned": "No ban is in force",
    "blocked": "No block in the library system keeps the patron out",
    "resident": "The patron lives in the municipality",
    "age": "The patron is old enough",
    "expired": "The card is valid and not on hold",
    "hours": "The branch is open to patrons",
    "first_card": "Whom the branch waits for has come in that day",
    "cache_age": "The copy of the patron register is new enough",
    "weak_pin": "The PIN is not too easy to guess",
    "pass_throttle": "The pass does not have to wait after wrong PINs",
    "pass_pin": "There is a PIN to compare with for the pass",
    "pass_restricted": "The pass belongs to nobody whose data are restricted",
    "pass_banned": "No ban is in force against the pass",
    "pass_admits": "The pass opens on this day, at this time and in this mode",
    "pass_first_card": "Whom the branch waits for has come in that day before the pass",
}
"""The question that each check of `doorctl.access.policy` answers, by the check's name."""


@dataclass(frozen=True, slots=True)
class Help:
    """What a refusal means, and what the patron and staff can do."""

    means: str
    patron: str
    staff: str


_NOTHING = "Nothing. Ask staff."

_HELP: Mapping[Reason, Help] = {
    Reason.UNKNOWN_CARD: Help(
        "Neither the patron register here nor a pass knows this card.",
        "Register as a patron, or use the card that is registered. Somebody who has just "
        "registered may have to wait some minutes.",
        "Look the patron up in the library system: is this card on the patron, and is it "
        "active? If it is, try again in a quarter of an hour.",
    ),
    Reason.THROTTLED: Help(
        "The PIN was typed wrong too many times. Even the right one does nothing until the "
        "wait is over.",
        "Wait, or ask staff to unlock the card. Choose a new PIN if this one is forgotten.",
        "Make sure whose card it is, then unlock it below.",
    ),
    Reason.PIN_UNKNOWN: Help(
        "Nobody has told the door this patron's PIN yet. It asks the library system when the "
        "card is used, and could not know it from here.",
        "Try at the door with the right PIN; choose a PIN first if there is none.",
        "See whether the patron has a PIN in the library system, and set one if not.",
    ),
    Reason.WRONG_PIN: Help(
        "The PIN does not fit.",
        "Type the PIN of the library card, or choose a new one.",
        "Help the patron to choose a new PIN in the library system.",
    ),
    Reason.RESTRICTED: Help(
        "The person's data are kept and used for nothing, at the person's own wish or in a "
        "case about their rights.",
        "Ask the municipality's data-protection officer.",
        "Don't try to get round it. The data-protection officer can end the restriction.",
    ),
    Reason.BANNED: Help(
        "The library has banned the patron from the hours without staff, for a while.",
        "Come while staff are there. Call if you think that it is wrong.",
        "See the ban and its letter on the page of bans. Whoever may can lift it there.",
    ),
    Reason.BLOCKED: Help(
        "The library system blocks the patron for a reason that keeps them out here.",
        "Put the matter in order with the library, such as a lost or invalid card.",
        "See the block in the library system. Once it is lifted there, it takes some minutes "
        "until the door knows.",
    ),
    Reason.NOT_RESIDENT: Help(
        "The library system says that the patron lives in another municipality.",
        "Come while staff are there. Whoever has moved here tells the library.",
        "Correct the municipality in the library system if it is wrong.",
    ),
    Reason.UNDER_AGE: Help(
        "The patron is younger than the branch's age limit for the hours without staff.",
        "Come together with a grown-up who has a card, or while staff are there.",
        "Nothing. The door lets the patron in by itself from the birthday on.",
    ),
    Reason.EXPIRED: Help(
        "The card has run out, is not active, or is on hold in the library system.",
        "Have the card renewed, or the hold ended.",
        "See the card's dates and status in the library system.",
    ),
    Reason.CLOSED: Help(
        "The branch is closed then, or closes so soon that nobody new comes in.",
        "Come in the opening hours.",
        "See the hours in the calendar, and whether a mode was set by hand.",
    ),
    Reason.NOT_PERMITTED: Help(
        "The pass opens on other days or at other times.",
        "Come in the hours of the pass.",
        "See the pass's days and hours, and issue another if they are wrong.",
    ),
    Reason.CACHE_TOO_OLD: Help(
        "The library system has sent no changes for so long that the door does not trust its "
        "own copy any more. This is nobody's own fault, and everybody's lot.",
        _NOTHING,
        "Tell the technician at once: the register has to be sent again.",
    ),
    Reason.CLOCK_UNTRUSTED: Help(
        "The door does not know what time it is, so it can't judge a date or the hours.",
        _NOTHING,
        "Tell the technician at once: the clock has to be set.",
    ),
    Reason.WEAK_PIN: Help(
        "The PIN is one that people try first, such as 1234 or a birthday.",
        "Choose another PIN in the library system.",
        "Help the patron to choose a new PIN.",
    ),
}

_OF_PASSES: Mapping[Reason, Help] = {
    Reason.EXPIRED: Help(
        "The pass's last day is over.",
        "Ask for a new pass.",
        "Revoke the pass and issue a new one, if there is still a right to it.",
    ),
    Reason.CLOSED: Help(
        "A pass of this kind opens nothing while the branch is closed.",
        "Come in the opening hours.",
        "Issue a pass that opens outside opening hours, if that is meant.",
    ),
    Reason.PIN_UNKNOWN: Help(
        "The pass uses the PIN of the register, and there is none for this card.",
        "Ask staff for a PIN.",
        "Revoke the pass and issue one with a PIN of its own.",
    ),
}
"""Refusals that mean something else for a pass."""

_ANY = Help("Something is wrong with the system.", _NOTHING, "Tell the technician.")


_FIRST_CARD = Help(
    "Nobody whom the branch waits for has come in yet that day.",
    "Come a little later, or while staff are there.",
    "Open the door from the page, or come in by a pass of staff; then others may come in too.",
)


def help_with(finding: Finding) -> Help | None:
    """Return the help for a check that refused; None for one that passed."""
    check, reason = finding.check, finding.refused_with
    if reason is None:
        return None
    if check in {"first_card", "pass_first_card"}:
        return _FIRST_CARD
    of_pass = _OF_PASSES.get(reason) if check.startswith(PASS_CHECKS) else None
    return of_pass or _HELP.get(reason, _ANY)


def sentence(words: Words, reason: Reason) -> str:
    """Return the door log's sentence for a reason, in the page's language."""
    danish, english = SENTENCES[reason]
    return danish if words.language.code == DANISH else words.say(english)


PAGE: Final = "/why"
PASS_CHECKS: Final = "pass_"  # noqa: S105 -- how their names begin
THROTTLES: Final = frozenset({"throttle", "pass_throttle"})

REASONS: Mapping[str, str] = {
    "asks": "The patron asks at the desk",
    "calls": "The patron calls",
    "test": "A card is tried out",
    filled_in.OTHER: "Another reason",
}
"""Why staff look: a form's key and the English text; the first is the usual reason."""


def why_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that explain a card, and forget its wrong PINs."""
    may = Permission.EXPLAIN
    return (
        frame.guarded(PAGE, _shown, may),
        frame.form(PAGE, _explain, may, _shown),
        frame.form(f"{PAGE}/unlock", _unlock, may, _locked),
    )


async def _explain(request: PageRequest, form: Form) -> Response:
    why = filled_in.reason(form, REASONS, request.house.words_of(None))
    at = filled_in.moment(form.text("at"))
    typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
    try:
        answer = await request.do(cards.explain, typed, at, why, taken_as=taken_as)
    except NotRunningError:
        # Only the door process has the key that finds a card.
        return await _shown(request, form, status=503, codes=_codes(request.words))
    return await _shown(request, form, answer=answer, **_context(request.words, answer))


async def _unlock(request: PageRequest, form: Form) -> Response:
    typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
    await request.do(cards.unlock, typed, taken_as=taken_as)
    return request.done(PAGE, "unlocked")


async def _shown(
    request: PageRequest, form: Form = BLANK, error: InputError | None = None, **context: Any
) -> Response:
    blank = {
        "form": form,
        "answer": None,
        "wrong": request.words.refusal(error),
        "unlocking": False,
        "codes": {},
        "reasons": REASONS,
        "readings": filled_in.READINGS,
        "longest": SHORT_TEXT // 2,
    }
    return request.page("why.html", **(blank | context))


async def _locked(request: PageRequest, _form: Form, error: InputError) -> Response:
    return await _shown(request, error=error, unlocking=True)


def _codes(words: Words) -> dict[int, list[str]]:
    """Return what each code on the door's screen may mean."""
    meanings: dict[int, list[str]] = {}
    for reason, code in CODES.items():
        meanings.setdefault(code, []).append(sentence(words, reason))
    return meanings


def _context(words: Words, answer: Explanation) -> dict[str, Any]:
    findings = answer.findings
    refused = (finding for finding in findings if finding.refused_with is answer.reason)
    own = [finding for finding in findings if not finding.check.startswith(PASS_CHECKS)]
    of_pass = [finding for finding in findings if finding.check.startswith(PASS_CHECKS)]
    return {
        "sentence": sentence(words, answer.reason),
        "help": next(map(help_with, refused), None),
        "help_with": help_with,
        "questions": CHECKS,
        "tables": {
            "What the register and the house rules say": own,
            "What the pass says": of_pass,
        },
        "mode": MODES[answer.now.mode],
        "unlocking": any(
            finding.check in THROTTLES and finding.refused_with is not None for finding in findings
        ),
    }
