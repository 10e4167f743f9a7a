"""Values that cannot be printed: PINs, card and CPR numbers, keys; and the readings with them.

Texts of staff about a ban, a pass or a mode are short, printable and hold no such number.

``repr``, ``str``, ``format``, a traceback, a log line and a failing assertion show ``***``. The
only access is :meth:`Masked.reveal`, which a reviewer can search for. They can't be pickled.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, NoReturn, TypeVar

from doorctl.core.errors import InputError

SecretT = TypeVar("SecretT", str, bytes)


class Masked(Generic[SecretT]):
    """Hold a secret text or bytes; equal by value (in constant time), never shown."""

    __slots__ = ("_secret",)

    def __init__(self, secret: SecretT) -> None:
        self._secret: SecretT = secret

    def reveal(self) -> SecretT:
        """Return the secret, for the few places that need it."""
        return self._secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(
            _as_bytes(self._secret), _as_bytes(other._secret)
        )

    def __hash__(self) -> int:
        return hash((type(self), self._secret))

    def __reduce__(self) -> NoReturn:
        message = f"{type(self).__name__} must not leave the process"
        raise TypeError(message)


class Pin(Masked[str]):
    """The digits that a patron typed, or that the library system knows."""

    __slots__ = ()


class StretchedKey(Masked[bytes]):
    """Argon2id's 32 bytes for an identifier (design: ``K``), and 32 for each later key."""

    __slots__ = ()


class InstallationKey(Masked[bytes]):
    """The branch's secret bytes; without them a stolen database reveals nothing.

    32 of the first key, and 32 of each that was laid over it since (`doorctl keys rotate`).
    """

    __slots__ = ()


class IdentifierKind(Enum):
    """The kind of number; it is part of what is sealed."""

    CARD = "card"
    CODE = "code"
    CPR = "cpr"


class Identifier(Masked[str]):
    """A normalised plastic-card number or a CPR number of ten digits."""

    __slots__ = ("kind",)

    def __init__(self, kind: IdentifierKind, number: str) -> None:
        super().__init__(f"{kind.value}:{number}")
        self.kind = kind

    def __repr__(self) -> str:
        return f"Identifier({self.kind.value} ***)"

    __str__ = __repr__


def _as_bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret


# The readings of card reader and keypad, which `cards` produces and `access` consumes.


class Shape(Enum):
    """How a frame was unreadable; nothing else of it is ever counted or logged."""

    GARBAGE = "garbage"
    TOO_LONG = "too_long"
    CUT_OFF = "cut_off"
    ONLY_TRACK_1 = "only_track_1"
    BAD_DATE = "bad_date"


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card was read; `identifiers` are its 1 to 3 meanings, best first.

    Ten bare digits are first an exact plastic-card number, then a CPR number.
    """

    identifiers: tuple[Identifier, ...]

    def may_be(self, other: CardRead) -> bool:
        """Tell whether both may be one card, in whatever form: they have a meaning in common."""
        return not set(self.identifiers).isdisjoint(other.identifiers)


@dataclass(frozen=True, slots=True)
class CardUnreadable:
    """Bytes came that are no card."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """One key of the PIN pad: ``0``-``9``, ``#`` (enter) or ``*`` (clear)."""

    key: str = field(repr=False)


Reading = CardRead | CardUnreadable | KeyPressed


# Find possible CPR and card numbers in a text, however they are spaced.
#
# People write 010170-1234, 0101 70 1234, 30 00 00 12 34 or 01 01 70 (1234), so digits count as one
# number across all that is no letter. Eight or more of them are a number, unless all of them are
# dates, times or phone numbers written as below. One of these that a comma or a bracket sets apart
# does not count: "2026-03-02, 14 people" is an ordinary sentence.

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
