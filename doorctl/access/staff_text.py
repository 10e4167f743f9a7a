"""What staff write down about a ban, a pass or a mode: short, printable, nobody's number."""

from __future__ import annotations

import re

from doorctl.errors import InputError

SHORT_TEXT = 200
"""Longest reason, label, cause or account, in characters."""

LETTER_TEXT = 2000
"""Longest text for the letter to a patron: a page."""

# A CPR or card number with or without its hyphen; a date with a time is none.
_PERSON_NUMBER = re.compile(r"\d{6}[ -]?\d{4}|\d{9,}")


def refuse_text(what: str, text: str, *, longest: int = SHORT_TEXT, optional: bool = False) -> None:
    """Refuse a text that is empty, too long, not printable, or holds a CPR or card number.

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
    if not text.replace("\n", "").isprintable():
        raise InputError(f"the {what} holds characters that can't be printed; leave them out")
    if _PERSON_NUMBER.search(text):
        raise InputError(f"the {what} holds a CPR or card number; leave it out")
