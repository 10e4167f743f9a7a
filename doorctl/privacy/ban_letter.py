"""The letter that tells a patron of a ban, in Danish and in English.

It speaks of the house rules and of the hours without staff only: biblioteksloven § 31 lets a
library exclude from lending, and from nothing else. So a ban is "karantæne", as in the house rules
of Copenhagen's libraries, here and on every page; the law's own word would say too much.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from doorctl.access.rights import Ban
from doorctl.config import Branch
from doorctl.moments import Moment


def letter(ban: Ban, branch: Branch, moment: Moment) -> str:
    """Return the letter; who it is to is written on it by hand, for nobody here knows the name."""
    danish, english = both(ban, branch, moment)
    return f"{danish}\n\n{'-' * 60}\n\n{english}"


def both(ban: Ban, branch: Branch, moment: Moment) -> tuple[str, str]:
    """Return the letter in Danish and in English; an empty line stands between paragraphs."""
    first = letter_day(ban.since, moment)
    last = None if ban.until is None else letter_day(ban.until - timedelta.resolution, moment)
    return _danish(ban, branch, first, last), _english(ban, branch, first, last)


def letter_day(at: datetime, moment: Moment) -> date:
    """Return the local date of an instant."""
    return at.astimezone(moment.local.tzinfo).date()


def _danish(ban: Ban, branch: Branch, first: date, last: date | None) -> str:
    begins = _danish_day(first)
    span = (
        f"fra den {begins} og indtil videre. Vi ser på det igen, når der er gået et år"
        if last is None
        else f"fra den {begins} til og med den {_danish_day(last)}"
    )
    call = f" på {branch.phone}" if branch.phone else ""
    return _joined(
        f"{branch.name}: du kan ikke komme ind, når biblioteket er ubemandet",
        f"Du har fået karantæne: Dit kort lukker ikke døren op {span}.",
        f"Grunden er: {ban.reason}",
        ban.note,
        "Det følger af husets regler og gælder kun de ubemandede timer. Du kan låne som før, "
        "og du er velkommen, når der er personale.",
        f"Har du spørgsmål, eller mener du, at det er forkert, så ring til os{call}. "
        f"Karantænen har nummer {ban.number}.",
    )


def _english(ban: Ban, branch: Branch, first: date, last: date | None) -> str:
    begins = _english_day(first)
    span = (
        f"from {begins} until further notice. We shall look at it again after a year"
        if last is None
        else f"from {begins} until {_english_day(last)}, that day too"
    )
    call = f" on {branch.phone}" if branch.phone else ""
    return _joined(
        f"{branch.name}: you can't come in while the library is unstaffed",
        f"Your card does not open the door {span}.",
        f"The reason is: {ban.reason}",
        ban.note,
        "This follows from the house rules and is about the unstaffed hours only. You can borrow "
        "as before, and you are welcome when staff are there.",
        f"If you have questions, or think that this is wrong, please call us{call}. "
        f"The case has number {ban.number}.",
    )


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))


def _danish_day(day: date) -> str:
    return f"{day.day}.{day.month}.{day.year}"


def _english_day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
