"""What staff write down about a ban, a pass or a mode: short, printable, nobody's number."""

from __future__ import annotations

from doorctl.access.person_numbers import holds_number
from doorctl.errors import InputError

SHORT_TEXT = 200
"""Longest reason, label, cause or account, in characters."""

PURPOSE_TEXT, PURPOSE_LETTERS = 5, 3
"""Shortest purpose in characters, and its fewest different letters: "sag 12" is one."""

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


def refuse_purpose(text: str, what: str = "purpose") -> None:
    """Refuse what no reader of the audit log could judge a look at somebody by: "x", "-----".

    Raises:
        InputError: it is shorter than :data:`PURPOSE_TEXT`, or hardly a word; or as `refuse_text`.
    """
    refuse_text(what, text)
    letters = set(filter(str.isalpha, text.lower()))
    if len(text.strip()) < PURPOSE_TEXT or len(letters) < PURPOSE_LETTERS:
        raise InputError(f"the {what} says too little; write a word or two")
