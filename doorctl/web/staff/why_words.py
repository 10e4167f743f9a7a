"""What each check asks and what each refusal means, in English: for staff, not for the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.web.pages.language import DANISH
from doorctl.web.pages.words import Words

CHECKS: Mapping[str, str] = MappingProxyType(
    {
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
)
"""By the names of the checks in `doorctl.access.policy`."""


@dataclass(frozen=True, slots=True)
class Help:
    """What a refusal means.

    Args:
        means: in a sentence.
        patron: what the patron can do.
        staff: what staff can do.
    """

    means: str
    patron: str
    staff: str


_NOTHING = "Nothing. Ask staff."

_HELP: Mapping[Reason, Help] = MappingProxyType(
    {
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
)

_OF_PASSES: Mapping[Reason, Help] = MappingProxyType(
    {
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
)
"""Where a pass's refusal means something else."""

_ANY = Help("Something is wrong with the system.", _NOTHING, "Tell the technician.")


_FIRST_CARD = Help(
    "Nobody whom the branch waits for has come in yet that day.",
    "Come a little later, or while staff are there.",
    "Open the door from the page, or come in by a pass of staff; then others may come in too.",
)


def help_with(check: str, reason: Reason) -> Help:
    """Return what it means that a check refused with a reason."""
    if check in {"first_card", "pass_first_card"}:
        return _FIRST_CARD
    of_pass = _OF_PASSES.get(reason) if check.startswith("pass_") else None
    return of_pass or _HELP.get(reason, _ANY)


def sentence(words: Words, reason: Reason) -> str:
    """Return a reason in a language, as the door log has it."""
    danish, english = SENTENCES[reason]
    return danish if words.language.code == DANISH else words.say(english)
