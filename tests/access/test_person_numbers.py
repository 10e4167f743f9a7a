"""Which texts hold a CPR or card number: each way of writing one, and what is none.

Bug (attack review): `30 00 00 12 34`, `010170.1234` or the same with a long dash passed into
reasons, logs and mails.

Bug (end-to-end test): the journal took the date in a set-aside file's name for a card number.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.core.masked import (
    SHORT_TEXT,
    holds_number,
    refuse_purpose,
    refuse_text,
    without_numbers,
)

NUMBERS = [
    "0101701234",
    "010170-1234",
    "010170 1234",
    "010170.1234",
    "010170\u20131234",
    "010170\u22121234",
    "0101 70 1234",
    "01/01/70-1234",
    "010170,1234",
    "010170, 1234",
    "010170;1234",
    "010170~1234",
    "010170*1234",
    "010170#1234",
    "010170|1234",
    "0101 7 0 '1234",
    "01 01 70 (1234",
    "(010170) [1234",
    "2026-03-02, 010170 (1234",
    "3000001234",
    "3000 001 234",
    "30 00 00 12 34",
    "30000012",
    "\u0660\u0661\u0660\u0661\u0667\u0660\u0661\u0662\u0663\u0664",
    "+45 0101701234",
    "+45 30 00 00 12 34",
    "2026-03-02 1234",
    "2001-01-12 34",
    "2001-13-12",
    "89 15 45 01",
]
PLAIN = [
    "visits.db.damaged-20261125T110745",
    "",
    "room 1234567",
    "1 2 3 4 5 6 7",
    "2026-03-02",
    "2026-03-02 19:04",
    "2026-03-02T19:04:05.123456+01:00",
    "2026-03-02 - 2026-03-05",
    "from 14:30 to 16:45 and 18:30-19:45",
    "call +45 89 15 45 00 or +4589154500",
    "2026-03-02, 14 people, and 2026-03-09, 12:30; 15 people",
    "2026-03-02 (14 people) and 12 (2026-03-03)",
    "2. marts 2026, 14 people, 8900 Randers C",
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
