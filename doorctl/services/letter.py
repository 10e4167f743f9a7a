"""The letter that tells a patron of a ban, in Danish and in English.

It speaks of the house rules and of the hours without staff only: biblioteksloven § 31 lets a
library exclude from lending, and from nothing else. So a ban is "karantæne", as in the house
rules of Copenhagen's libraries, here and on every page; the law's own word would say too much.
"""

from __future__ import annotations

from doorctl.access.rights import Ban
from doorctl.config.tables import Branch
from doorctl.core.moments import Moment

PARAGRAPHS = (
    "{branch}: you can't come in while the library is unstaffed",
    "Your card does not open the door {span}.",
    "The reason is: {reason}",
    "{note}",
    (
        "This follows from the house rules and is about the unstaffed hours only. You can borrow "
        "as before, and you are welcome when staff are there."
    ),
    "{call}{number}",
    (
        "If you disagree, you can complain to the head of the library. Write or call; a complaint "
        "needs no particular form."
    ),
)


def letter(ban: Ban, branch: Branch, moment: Moment) -> str:
    """Return the letter; staff write the addressee on it by hand: no name is known here."""
    danish, english = (letter_in(language, ban, branch, moment) for language in ("da", "en"))
    return f"{danish}\n\n{'-' * 60}\n\n{english}"


def letter_in(language: str, ban: Ban, branch: Branch, moment: Moment) -> str:
    """Return the letter in ``da`` or ``en``; an empty line stands between paragraphs.

    A ban that is not stored yet has no number in it.
    """
    from doorctl.core.language import own  # commands do without

    form = "{0.day}.{0.month}.{0.year}" if language == "da" else "{0.day} {0:%B %Y}"
    say, (first, last) = own(language).words.gettext, ban.days(moment)
    span = "from {first} until {last}, that day too"
    if last is None:
        span = "from {first} until further notice. We shall look at it again after a year"
    on = " on {phone}" if branch.phone else ""
    number = f" {say('The case has number {n}.')}" if ban.number else ""
    told = {
        "branch": branch.name,
        "span": say(span).format(first=form.format(first), last=last and form.format(last)),
        "reason": ban.reason,
        "note": ban.note,
        "call": say(f"If you have questions, please call us{on}.").format(phone=branch.phone),
        "number": number.format(n=ban.number),
    }
    return "\n\n".join(filter(None, (say(text).format(**told) for text in PARAGRAPHS)))
