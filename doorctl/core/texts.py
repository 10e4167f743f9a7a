"""Texts that staff write: none may hold a CPR or card number, however it is spaced.

People write 010170-1234, 0101 70 1234, 30 00 00 12 34 or 01 01 70 (1234), so digits count as one
number across all that is no letter. Eight or more of them are a number, unless all of them are
dates, times or phone numbers written as below. One of these that a comma or a bracket sets apart
does not count: "2026-03-02, 14 people" is an ordinary sentence.
"""

from __future__ import annotations

import re

from doorctl.core.errors import InputError

MOST_DIGITS = 7
"""A card number has eight or more, a CPR number ten; a year or a room's number has fewer."""


# Blanks, marks, and each dash and invisible joint that a keyboard or a program sets.
_GAP = r"[\W_]"

_TIME = r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?(?:\+[0-2][0-9]:[0-5][0-9])?"

_DATE = rf"(?:19|20)[0-9]{{2}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:T{_TIME})?"


# As our own files are named, so that an alarm can name one: 20261125T110745.
_STAMP = r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])T[0-2][0-9](?:[0-5][0-9]){2}"


# After +45 a Danish phone number is eight digits, the first from 2 to 9.
_PHONE = r"\+45 ?[2-9](?: ?[0-9]){7}"

_PLAIN = rf"(?:{_STAMP}|{_DATE}|{_TIME}|{_PHONE})"

_RUN = re.compile(r"\+?\d(?:[\W_T]*\d)*")

_APART = re.compile(r"[,;!?]\s+|\s*[()\[\]]+\s*")

_ALL_PLAIN = re.compile(rf"{_PLAIN}(?:{_GAP}+{_PLAIN})*")


def holds_number(text: str) -> bool:
    """Tell whether a text may hold a CPR or card number."""
    return any(_is_number(run) for run in _RUN.finditer(text))


def without_numbers(text: str, mark: str) -> str:
    """Return a text with `mark` in place of each such number."""
    return _RUN.sub(lambda run: mark if _is_number(run) else run[0], text)


def _is_number(run: re.Match[str]) -> bool:
    parts: list[str] = _APART.split(run[0])
    counted = (part for part in parts if _ALL_PLAIN.fullmatch(part) is None)
    return sum(character.isdecimal() for part in counted for character in part) > MOST_DIGITS


SHORT_TEXT = 200
"""Longest reason, label, cause or account, in characters."""

PURPOSE_LETTERS = 3
"""Fewest different letters of a purpose, a vowel among them: "sag 12" is one, "uro" too."""

_VOWELS = frozenset("aeiouyæøåäöüé")

LETTER_TEXT = 2000
"""Longest text for the letter to a patron: a page."""


def refuse_text(
    what: str, text: str, *, longest: int = SHORT_TEXT, optional: bool = False, **values: object
) -> None:
    """Raise InputError for a text that is empty, too long, not printable, or may hold a number.

    Line breaks are fine. `what` names the text in the message, by `values` if it has places for
    them; `longest` is in characters, and an `optional` text may be empty. It is never quoted.
    """
    if not text.strip() and not optional:
        raise InputError(f"the {what} is empty; write one", **values)
    if len(text) > longest:
        raise InputError(f"the {what} is longer than {longest} characters; shorten it", **values)
    if not all(line.isprintable() for line in text.split("\n")):
        raise InputError(
            f"the {what} holds characters that can't be printed; leave them out", **values
        )
    if holds_number(text):
        raise InputError(
            f"the {what} holds 8 or more digits in a row, as a CPR or card number has; leave them "
            "out, and write a date as 2026-03-02, a phone number as +45 89 15 45 00",
            **values,
        )


def refuse_purpose(text: str, what: str = "purpose", *, optional: bool = False) -> None:
    """Raise InputError for a purpose without a word of :data:`PURPOSE_LETTERS`, or as above."""
    refuse_text(what, text, optional=optional)
    letters = set(filter(str.isalpha, text.lower()))
    if text.strip() and (len(letters) < PURPOSE_LETTERS or letters.isdisjoint(_VOWELS)):
        raise InputError(f"the {what} says too little; write a word or two")
