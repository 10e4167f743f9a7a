"""Which texts hold a CPR or card number: each way of writing one, and what is none.

Bug (attack review): `30 00 00 12 34`, `010170.1234` or the same with a long dash passed into
reasons, logs and mails.

Bug (end-to-end test): the journal took the date in a set-aside file's name for a card number.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.core.masked import (
    Identifier,
    IdentifierKind,
    InstallationKey,
    Masked,
    Pin,
    StretchedKey,
)
from doorctl.core.readings import CardRead, KeyPressed
from doorctl.core.texts import (
    SHORT_TEXT,
    holds_number,
    refuse_purpose,
    refuse_text,
    without_numbers,
)

CARD = Identifier(IdentifierKind.CARD, "3000001234")
CPR = Identifier(IdentifierKind.CPR, "0101701234")
KEY_BYTES = b"an installation key of 32 bytes."

SECRETS: tuple[tuple[Masked[str] | Masked[bytes], str], ...] = (
    (Pin("4711"), "4711"),
    (CARD, "3000001234"),
    (CPR, "0101701234"),
    (StretchedKey(KEY_BYTES), "installation key of"),
    (InstallationKey(KEY_BYTES), "installation key of"),
)

Hidden = Masked[str] | Masked[bytes]


@dataclass(frozen=True)
class Holder:
    """Any value of ours that carries a secret."""

    secret: Hidden


SHOWINGS: dict[str, Callable[[Hidden], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "format with a width": lambda secret: format(secret, ">40"),
    "f-string": lambda secret: f"{secret} {secret!s} {secret!r} {secret!a} {secret:x<30}",
    "percent": lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031 - what is tested
    "str.format": lambda secret: "{} {!r} {:>9}".format(secret, secret, secret),  # noqa: UP032 - as above
    "in a list": lambda secret: str([secret]),
    "in a dict": lambda secret: str({"pin": secret}) + str({secret: 1}),
    "in a dataclass": lambda secret: repr(Holder(secret)) + str(replace(Holder(secret))),
    "pretty": lambda secret: pprint.pformat([secret]),
    "an exception": lambda secret: str(ValueError(secret)) + repr(ValueError("bad", secret)),
}


@pytest.mark.parametrize("way", SHOWINGS)
@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_no_way_of_showing_shows_it(secret: Hidden, shown: str, way: str) -> None:
    """However a secret is turned to text, stars are what comes out."""
    text = SHOWINGS[way](secret)

    assert shown not in text
    assert "***" in text


@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_a_traceback_with_all_its_locals_shows_stars(secret: Hidden, shown: str) -> None:
    """Even a debugger's traceback that prints every local variable shows no secret."""

    def fail(held: Hidden) -> None:
        raise ValueError(held)

    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        fail(secret)

    locals_of = [
        frame
        for frame in traceback.TracebackException.from_exception(
            caught.value, capture_locals=True
        ).stack
        if frame.name == "fail"
    ]
    text = "".join(traceback.format_exception(caught.value)) + str(locals_of[0].locals)
    assert shown not in text
    assert "***" in text


@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_a_log_line_shows_stars(
    secret: Hidden, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The standard library's logging, which any dependency may use, shows no secret."""
    logging.getLogger("anybody").warning("seen %s and %r", secret, secret)

    assert shown not in caplog.text
    assert "***" in caplog.text


LEAVINGS: dict[str, Callable[[Hidden], object]] = {
    "pickle": pickle.dumps,
    "oldest pickle": lambda secret: pickle.dumps(secret, protocol=0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda secret: asdict(Holder(secret)),
    "json": json.dumps,
    "vars": vars,
}


@pytest.mark.parametrize("way", LEAVINGS)
@pytest.mark.parametrize(("secret", "shown"), SECRETS)
def test_no_way_out_of_the_process(secret: Hidden, shown: str, way: str) -> None:
    """Pickling, copying and serialising fail, and the error shows nothing either."""
    with pytest.raises(TypeError) as caught:
        LEAVINGS[way](secret)

    assert shown not in str(caught.value)


@pytest.mark.parametrize(
    "kind", [Pin, lambda text: Identifier(IdentifierKind.CARD, text)], ids=["pin", "card"]
)
@given(one=st.text("0123456789"), other=st.text("0123456789"))
def test_equal_by_value(kind: Callable[[str], Masked[str]], one: str, other: str) -> None:
    """Two secrets are equal, and hash alike, if and only if they are the same text."""
    assert (kind(one) == kind(other)) == (one == other)
    assert (len({kind(one), kind(other)}) == 1) == (one == other)


@given(st.text(max_size=5), st.text(max_size=5))
def test_any_text_can_be_compared(one: str, other: str) -> None:
    """Letters outside ASCII compare like any others."""
    assert (Pin(one) == Pin(other)) == (one == other)


def test_another_kind_is_another_secret() -> None:
    """The same value is not the same secret where it means something else."""
    number = "0101701234"

    assert Pin(number) != number
    assert Pin("card:1") != Identifier(IdentifierKind.CARD, "1")
    assert Identifier(IdentifierKind.CARD, number) != Identifier(IdentifierKind.CPR, number)
    assert StretchedKey(KEY_BYTES) != InstallationKey(KEY_BYTES)
    assert StretchedKey(KEY_BYTES) == StretchedKey(bytes(KEY_BYTES))


def test_reveal_is_the_way_in() -> None:
    """What went in comes out of `reveal`, an identifier with the kind that is sealed with it."""
    assert Pin("0042").reveal() == "0042"
    assert StretchedKey(KEY_BYTES).reveal() == KEY_BYTES
    assert CARD.reveal() == "card:3000001234"
    assert CPR.reveal() == "cpr:0101701234"
    assert (CPR.kind, CARD.kind) == (IdentifierKind.CPR, IdentifierKind.CARD)


def test_an_identifier_says_what_kind_it_is() -> None:
    """Staff may see whether it was a card or a CPR number, and no more."""
    assert repr(CPR) == str(CPR) == "Identifier(cpr ***)"
    assert repr(Pin("4711")) == "Pin(***)"


def test_readings_show_no_digit() -> None:
    """What the reader and the keypad said can be printed without saying what it was."""
    assert "3000001234" not in repr(CardRead((CARD,)))
    assert repr(KeyPressed("4")) == "KeyPressed()"


NUMBERS = [
    *("0101701234", "010170-1234", "010170 1234", "010170.1234", "010170\u20131234"),
    *("010170\u22121234", "0101 70 1234", "01/01/70-1234", "010170,1234", "010170, 1234"),
    *("010170;1234", "010170~1234", "010170*1234", "010170#1234", "010170|1234", "0101 7 0 '1234"),
    *("01 01 70 (1234", "(010170) [1234", "2026-03-02, 010170 (1234", "3000001234", "3000 001 234"),
    *("30 00 00 12 34", "30000012"),
    "\u0660\u0661\u0660\u0661\u0667\u0660\u0661\u0662\u0663\u0664",
    *("+45 0101701234", "+45 30 00 00 12 34", "2026-03-02 1234", "2001-01-12 34", "2001-13-12"),
    "89 15 45 01",
]
PLAIN = [
    *("visits.db.damaged-20261125T110745", "", "room 1234567", "1 2 3 4 5 6 7", "2026-03-02"),
    *("2026-03-02 19:04", "2026-03-02T19:04:05.123456+01:00", "2026-03-02 - 2026-03-05"),
    *("from 14:30 to 16:45 and 18:30-19:45", "call +45 89 15 45 00 or +4589154500"),
    "2026-03-02, 14 people, and 2026-03-09, 12:30; 15 people",
    *("2026-03-02 (14 people) and 12 (2026-03-03)", "2. marts 2026, 14 people, 8900 Randers C"),
]
DIGITS = st.text("0123456789", min_size=9, max_size=15)
GAPS = st.text(
    " .,;:()[]~*#|+=!?&%'.-_/\u00a0\u200b\u2010\u2011\u2012\u2013\u2014\u2212", max_size=3
)
WORDS = st.text(st.characters(categories=["L", "P", "S", "Z"]), max_size=20)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_way_of_writing_a_number_is_found(number: str) -> None:
    """As people type them, alone or among words; staff are told what to do, not what it was."""
    for around in ("{}", "card {}, smoked", "x{}x", "3 times {} smoked"):
        text = around.format(number)

        assert holds_number(text), text
        assert number not in without_numbers(text, "x")
        with pytest.raises(InputError, match="leave them out, and write a date as") as caught:
            refuse_text("reason", text)
        assert number not in str(caught.value)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_number_stays(text: str) -> None:
    """Dates, times and phone numbers in their plain form, and anything of few digits."""
    assert not holds_number(text)
    assert without_numbers(text, "x") == text
    refuse_text("reason", text, optional=True)


def test_a_text_as_long_as_may_be_is_taken() -> None:
    """Not a character more; lines may end in it, and nothing else that can't be seen."""
    refuse_text("reason", "x" * SHORT_TEXT)
    refuse_text("letter", "Kære låner\n\nDu er velkommen igen.\n")
    with pytest.raises(InputError, match="longer than 200"):
        refuse_text("reason", "x" * (SHORT_TEXT + 1))
    with pytest.raises(InputError, match="can't be printed"):
        refuse_text("letter", "Kære låner\r\n")


@given(digits=DIGITS, data=st.data(), before=WORDS, after=WORDS)
def test_gaps_hide_no_number(digits: str, data: st.DataObject, before: str, after: str) -> None:
    """Nine digits or more, with blanks, dots and dashes anywhere between, never pass."""
    gaps = data.draw(st.lists(GAPS, min_size=len(digits) - 1, max_size=len(digits) - 1))
    written = "".join(a + b for a, b in zip(digits, [*gaps, ""], strict=True))
    text = before + written + after

    assert holds_number(text)
    assert not holds_number(without_numbers(text, "…"))
    assert written not in without_numbers(text, "…")


@given(st.text())
def test_what_was_cleaned_is_clean(text: str) -> None:
    """Cleaning leaves nothing to be found and changes no text that holds nothing."""
    clean = without_numbers(text, "…")

    assert not holds_number(clean)
    assert holds_number(text) or clean == text


@given(st.lists(st.sampled_from(["2026-03-02", "14:30", "+45 89154500"]), min_size=1), DIGITS)
def test_plain_ones_in_a_row_hide_no_number(plain: list[str], digits: str) -> None:
    """Any number of dates, times and phone numbers passes; with a number among them it does not."""
    assert not holds_number(" ".join(plain))
    assert holds_number(" ".join([*plain, digits]))


@pytest.mark.parametrize(
    "text", ["sag 12", "brand", "ABC12", " brand ", "uro", "Røg", "støj", "x" * 197 + "abc"]
)
def test_a_purpose_is_a_word_or_two(text: str) -> None:
    """A case's number is enough."""
    refuse_purpose(text)


@pytest.mark.parametrize(
    "text", ["", "x", "xxxxx", "-----", "12345", "  brn  ", "rndf", "abab1", "aAbB1", "x" * 201]
)
def test_what_says_nothing_is_no_purpose(text: str) -> None:
    """Nobody could judge a look at somebody by it; the sentence names what it is.

    Bug (outside look): a purpose of one letter was taken for a look at somebody.
    """
    with pytest.raises(InputError, match=r"^the reason "):
        refuse_purpose(text, "reason")
    with pytest.raises(InputError, match=r"^the purpose "):
        refuse_purpose(text)


def test_too_little_is_said_so() -> None:
    """With what to do."""
    with pytest.raises(InputError) as refused:
        refuse_purpose("x")

    assert str(refused.value) == "the purpose says too little; write a word or two"


def test_where_none_is_asked_for_one_that_says_nothing_is_refused_all_the_same() -> None:
    """Left out, it says nothing of nobody; a letter there would look like a reason."""
    refuse_purpose("", optional=True)
    with pytest.raises(InputError, match="says too little"):
        refuse_purpose("x", optional=True)
