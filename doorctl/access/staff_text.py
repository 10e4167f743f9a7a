"""What staff write down about a ban, a pass or a mode: short, printable, nobody's number."""

from __future__ import annotations

from doorctl.access.person_numbers import holds_number
from doorctl.errors import InputError

SHORT_TEXT = 200
"""Longest reason, label, cause or account, in characters."""

PURPOSE_LETTERS = 3
"""Fewest different letters of a purpose, a vowel among them: "sag 12" is one, "uro" too."""

_VOWELS = frozenset("aeiouyæøåäöüé")

LETTER_TEXT = 2000
"""Longest text for the letter to a patron: a page."""


def refuse_text(what: str, text: str, *, longest: int = SHORT_TEXT, optional: bool = False) -> None:
    """Refuse a text that is empty, too long, not printable, or may hold a CPR or card number.

    What may be one, and how dates, times and phone numbers are written, see `person_numbers`.

    Args:
        what: what the text is, for the sentence.
        text: what staff wrote; line breaks are fine.
        longest: in characters.
        optional: whether it may be empty.

    Raises:
        InputError: says what the text is, and never the text itself.
    """
    if not text.strip() and not optional:
        raise InputError(f"the {what} is empty; write one")
    if len(text) > longest:
        raise InputError(f"the {what} is longer than {longest} characters; shorten it")
    if not all(line.isprintable() for line in text.split("\n")):
        raise InputError(f"the {what} holds characters that can't be printed; leave them out")
    if holds_number(text):
        raise InputError(
            f"the {what} holds 8 or more digits in a row, as a CPR or card number has; leave them "
            "out, and write a date as 2026-03-02, a phone number as +45 89 15 45 00"
        )


def refuse_purpose(text: str, what: str = "purpose", *, optional: bool = False) -> None:
    """Refuse what nobody could judge a look or a deed by: "x", "-----"; on pages and in commands.

    Raises:
        InputError: it holds no word of :data:`PURPOSE_LETTERS`; or as `refuse_text`.
    """
    refuse_text(what, text, optional=optional)
    letters = set(filter(str.isalpha, text.lower()))
    if text.strip() and (len(letters) < PURPOSE_LETTERS or letters.isdisjoint(_VOWELS)):
        raise InputError(f"the {what} says too little; write a word or two")
