"""The page that helps a patron: why a card is refused, what a code means, what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.access.panel import CODES, OURS
from doorctl.access.patron import SENTENCES, Reason
from doorctl.access.policy import Finding
from doorctl.access.wall_time import ONE_DAY
from doorctl.accounts.roles import Permission
from doorctl.core.errors import InputError, NotRunningError
from doorctl.core.language import DANISH
from doorctl.core.texts import SHORT_TEXT
from doorctl.services import cards
from doorctl.services.cards import Explanation
from doorctl.store.door_log import Visit
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in
from doorctl.web.words import MODES, Words

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
    "tags": "The patron has what the branch requires, such as a signed agreement",
    "hours": "The branch is open to patrons",
    "first_card": "Whom the branch waits for has come in that day",
    "cache_age": "The copy of the patron register is new enough",
    "weak_pin": "The PIN is not too easy to guess",
    "pass_throttle": "The pass does not have to wait after wrong PINs",
    "pass_pin": "There is a PIN to compare with for the pass",
    "pass_restricted": "The data of the pass's holder are not restricted",
    "pass_banned": "No ban is in force against the pass",
    "pass_admits": "The pass opens on this day, at this time and in this mode",
    "pass_first_card": "Whom the branch waits for has come in that day before the pass",
}
"""The question that each check of `doorctl.access.policy` answers, by the check's name."""


@dataclass(frozen=True, slots=True)
class Help:
    """What a refusal means, and what the patron and staff can do.

    `aloud` is what to say to the patron, where it says more than the reason's code.
    """

    means: str
    patron: str
    staff: str
    aloud: str = ""


_NOTHING = "Nothing. Ask staff."

_HELP: Mapping[Reason, Help] = {
    Reason.UNKNOWN_CARD: Help(
        "Neither the patron register here nor a pass knows this card.",
        "Register as a patron, or use the card that is registered. Somebody who has just "
        "registered may have to wait some minutes.",
        "Look the patron up in the library system: is this card on the patron, and is it "
        "active? If it is, try again in a quarter of an hour.",
        "The door does not know the card yet. If you have just registered, try again in a "
        "quarter of an hour.",
    ),
    Reason.THROTTLED: Help(
        "The PIN was typed wrong too many times. Even the right one does nothing until the "
        "wait is over.",
        "Wait, use another card of your own, or ask staff to unlock the card. Choose a new PIN if "
        "this one is forgotten.",
        "Make sure whose card it is, then unlock it under “Help a patron”. That frees every card "
        "of the patron's, so have a lost one blocked first.",
        "The PIN was typed wrong too many times. Wait a little, or let us unlock the card now.",
    ),
    Reason.PIN_UNKNOWN: Help(
        "Nobody has told the door this patron's PIN yet. It asks the library system when the "
        "card is used, and could not know it from here.",
        "Try at the door with the right PIN; choose a PIN first if there is none.",
        "See whether the patron has a PIN in the library system, and set one if not.",
        "The door does not know your PIN yet. Choose one with us, then try again.",
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
        "See the ban and its letter on the page of bans. Staff with that right can lift it there.",
        "You are banned from the hours without staff for a while. You are welcome while staff "
        "are there.",
    ),
    Reason.BLOCKED: Help(
        "The library system blocks the patron for a reason that keeps them out here.",
        "Put the matter in order with the library, such as a lost or invalid card.",
        "See the block in the library system. Once it is lifted there, it takes some minutes "
        "until the door knows.",
    ),
    Reason.NOT_RESIDENT: Help(
        "The library system says that the patron lives in another municipality.",
        "Come while staff are there. If you have moved here, tell the library.",
        "Correct the municipality in the library system if it is wrong.",
        "The hours without staff are for those who live in the municipality. You are welcome "
        "while staff are there.",
    ),
    Reason.UNDER_AGE: Help(
        "The patron is younger than the branch's age limit for the hours without staff.",
        "Come together with a grown-up who has a card, or while staff are there.",
        "Nothing. The door lets the patron in by itself from the birthday on.",
        "You are too young to come in alone. Come with a grown-up who has a card, or while staff "
        "are there.",
    ),
    Reason.NOT_INTRODUCED: Help(
        "The branch requires something that the library system does not have of the patron, such "
        "as a signed agreement or an introduction.",
        "Come while staff are there, to sign the agreement or be shown round.",
        "Note it on the patron in the library system, by the tag that policy.require_tags names. "
        "It takes some minutes until the door knows.",
        "Before you can come in by yourself there is an agreement to sign or an introduction to "
        "have. We can do that now.",
    ),
    Reason.EXPIRED: Help(
        "The card has run out, is not active, or is on hold in the library system.",
        "Have the card renewed, or the hold ended.",
        "See the card's dates and status in the library system.",
        "Your card has run out or is on hold. We can put that in order together.",
    ),
    Reason.CLOSED: Help(
        "The branch is closed then, or closes so soon that nobody new comes in.",
        "Come in the opening hours.",
        "See the hours in the calendar, and whether a mode was set by hand.",
        "The library is closed then. Come in the opening hours.",
    ),
    Reason.NOT_PERMITTED: Help(
        "The pass opens on other days or at other times.",
        "Come in the hours of the pass.",
        "See the pass's days and hours, and issue another if they are wrong.",
        "Your pass opens on other days or at other times.",
    ),
    Reason.CACHE_TOO_OLD: Help(
        "The library system has sent no changes for so long that the door does not trust its "
        "own copy any more. It is the same for every patron, and not the patron's "
        "fault.",
        _NOTHING,
        "Tell the technician at once: the register has to be sent again.",
    ),
    Reason.CLOCK_UNTRUSTED: Help(
        "The door does not know what time it is, so it can't judge a date or the hours.",
        _NOTHING,
        "Tell the technician at once: the clock has to be set.",
    ),
    Reason.CARD_UNREADABLE: Help(
        "The reader could not read the card.",
        "Turn the card, wipe it, or use another one.",
        "Try the card here. Give the patron a new one if it is worn out.",
    ),
    Reason.PIN_TIMEOUT: Help(
        "The card was read, but the PIN was not typed in time.",
        "Swipe the card again and type the PIN right after it.",
        "Ask whether the PIN is forgotten, and help to choose a new one in the library system.",
        "The door waited for your PIN. Swipe the card again and type the PIN right after it.",
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

CODE_HELP: Mapping[int, Help] = {
    1: Help(
        "Card and PIN did not fit together, or too many tries were wrong. The door says no more.",
        "The card and the PIN did not fit together. Try again with both; after several wrong ones "
        "you have to wait some minutes.",
        "Ask for the number on the card and look it up here. Help with a new PIN if it is "
        "forgotten.",
    ),
    2: Help(
        "The reader could not read the card.",
        "The reader could not read your card. Turn it, wipe it, or use another card.",
        "Try the card here. Give the patron a new one if it is worn out.",
    ),
    3: Help(
        "The fault is the door's: its clock, its copy of the register, or something broken.",
        "The fault is ours, not yours. We are seeing to it.",
        "See whether an alarm stands, and call the technician.",
    ),
    4: Help(
        "Something on the patron's account is in the way: a block, a ban, a card that has run out, "
        "or data that must not be used.",
        "There is something on your account to put in order. Come or call while staff are there.",
        "Look the card up here: it says which of them it is.",
    ),
    5: Help(
        "A rule of the house is in the way: where the patron lives, the age limit, an agreement "
        "that is missing, or the hours of a pass.",
        "You can't come in by yourself at that time. You are welcome while staff are there.",
        "Look the card up here: it says which rule it is.",
    ),
    6: Help(
        "The PIN is too easy to guess.",
        "Your PIN is too easy to guess. Choose another one, or let us help you with it.",
        "Help the patron to choose a new PIN in the library system.",
    ),
}
"""What each code on the door's screen means; `patron` is a sentence to say to the patron."""

_ANY = Help("Something is wrong with the system.", _NOTHING, "Tell the technician.")

_FIRST_CARD = Help(
    "The person whom the branch waits for has not come in yet that day.",
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


def aloud(reason: Reason) -> str:
    """Return a sentence in English to say to a patron who is refused for a reason."""
    return _HELP.get(reason, _ANY).aloud or CODE_HELP[CODES.get(reason, OURS)].patron


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
    attempt, taken_as = form.text("attempt"), filled_in.taken_as(form)
    typed = filled_in.number(attempt) if attempt else filled_in.card(form)
    code = {str(code): code for code in CODE_HELP}.get(str(typed))
    if code and not attempt:
        return await _shown(request, form, code=code)
    why = filled_in.reason(form, REASONS, request.frame.words_of(None))
    at = filled_in.moment(form, "at", request.today)
    try:
        answer = await request.call(cards.explain, typed, at, why, taken_as=taken_as)
    except NotRunningError:
        # Only the door process has the key that finds a card.
        return await _shown(request, form, status=503, silent=True)
    ending = filled_in.ending(typed) if isinstance(typed, str) else ""
    return await _shown(request, form, ending=ending, **_context(request, answer))


async def _unlock(request: PageRequest, form: Form) -> Response:
    typed, taken_as = filled_in.card(form), filled_in.taken_as(form)
    await request.call(cards.unlock, typed, taken_as=taken_as)
    return request.done(PAGE, "unlocked")


async def _shown(
    request: PageRequest, form: Form = BLANK, error: InputError | None = None, **context: Any
) -> Response:
    blank = {
        "form": form,
        "answer": None,
        "wrong": filled_in.wrongs(request, error, filled_in.CARD),
        "unlocking": False,
        "code": None,
        "attempt": form.text("attempt") or request.query("attempt"),
        "codes": CODE_HELP,
        "silent": False,
        "reasons": [(key, request.words.say(text)) for key, text in REASONS.items()],
        "longest": SHORT_TEXT // 2,
    }
    return request.page("why.html", **(blank | context))


async def _locked(request: PageRequest, _form: Form, error: InputError) -> Response:
    return await _shown(request, error=error, unlocking=True)


def _context(request: PageRequest, answer: Explanation) -> dict[str, Any]:
    words, findings = request.words, answer.findings
    failed = [one for one in findings if one.refused_with is not None]
    verdict = [one for one in failed if one.refused_with is answer.reason][:1]
    # A pass is enough by itself: beside one that opens, and beside a refusal, its checks count.
    standing = [] if answer.granted else [one for one in failed if one not in verdict]
    return {
        "answer": answer,
        "sentence": sentence(words, answer.reason),
        "aloud": aloud(answer.reason),
        "number": CODES.get(answer.reason),
        "help": next(map(help_with, verdict), None),
        "help_with": help_with,
        "questions": CHECKS,
        "standing": standing,
        "others": [one for one in findings if one not in (*verdict, *standing)],
        "attempts": [_attempt(words, visit) for visit in answer.attempts],
        "days": {request.today: "today", request.today - ONE_DAY: "yesterday"},
        "mode": MODES[answer.now.mode],
        "unlocking": any(one.check in THROTTLES for one in failed),
    }


def _attempt(words: Words, visit: Visit) -> tuple[Visit, str, int | None]:
    if visit.reason is None:
        return visit, words.say("Not decided"), None
    reason = Reason(visit.reason)
    text = words.say("Came in") if reason is Reason.OK else sentence(words, reason).rstrip(".")
    return visit, text, CODES.get(reason)
