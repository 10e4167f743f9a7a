"""What a refused sign-in and a refused new password are told with, in English."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from doorctl.errors import InputError, SignInWaitsError
from doorctl.web.pages.words import Words
from doorctl.web.staff.refusals import by_pattern

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "wrong": "The name and the password do not fit.",
        "any": "The name, the password or the code does not fit.",
        "code": "The code is not the one that the app shows now. Check the telephone's clock.",
        "clock": "The clock of the branch is in doubt, so no second factor can be set up now.",
        "both": "The password that you have now or the code is another one.",
        "old": "The password that you have now is another one.",
        "twice": "The two new passwords differ.",
        "elsewhere": "There is no password of this branch's to change.",
    }
)
"""Which part of a sign-in was wrong is never said."""

MINUTE_S: Final = 60

IN_SECONDS_S: Final = 120
"""A shorter wait is told in seconds."""

NOT_TAKEN: Final = (
    (
        r"a password has at least (?P<n>\d+) characters",
        "The new password has fewer than {n} characters. Some words in a row are easy to keep.",
    ),
    (
        r"a password has at most (?P<n>\d+) characters",
        "The new password has more than {n} characters.",
    ),
    (
        r"the password holds characters that can't be typed",
        "The new password holds characters that can't be typed everywhere.",
    ),
    (
        r"the password must not be the login",
        "The new password is the name that you sign in with, or made of it.",
    ),
    (
        r"the password is one of those that are tried first",
        "The new password is one of those that are tried first. Choose another one.",
    ),
    (
        r"the new password is the old one",
        "The new password is the old one. Choose another one.",
    ),
)
"""Refusals of a new password, and what they are on the page."""


def not_taken(words: Words, error: InputError) -> str:
    """Return why a new password is not taken, in a language."""
    return by_pattern(words, str(error), NOT_TAKEN)


def waits(words: Words, error: SignInWaitsError) -> str:
    """Return how long to wait, in a language: seconds, or minutes that are rounded up."""
    if error.wait_s < IN_SECONDS_S:
        return words.count(
            "Too many have failed. Wait {n} second, and try again.",
            "Too many have failed. Wait {n} seconds, and try again.",
            error.wait_s,
        )
    return words.count(
        "Too many have failed. Wait {n} minute, and try again.",
        "Too many have failed. Wait {n} minutes, and try again.",
        -(-error.wait_s // MINUTE_S),
    )
