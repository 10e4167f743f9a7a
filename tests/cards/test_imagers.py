"""Phones and barcodes: every form that an imager sends down a serial line, and converters."""

from __future__ import annotations

import pytest

from doorctl.core.readings import CardRead, CardUnreadable
from tests.cards.imagers import OUTPUTS, Output
from tests.cards.samples import CUT_OFF, byte_by_byte, readings_of
from tests.fakes.cards import plastic


@pytest.mark.parametrize("suffix", ["\r", "\r\n", "\n"], ids=repr)
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_what_an_imager_sends_is_the_card(output: Output, suffix: str) -> None:
    """Whatever the code, the mark in front and the suffix; whole, and byte by byte.

    Bug (mission review): a CPR number with a blank was unreadable; so was, until this table, a
    padded number behind an AIM prefix.
    """
    sent = (output.text + suffix).encode("latin-1")

    assert readings_of(sent) == [output.read]
    assert readings_of(*byte_by_byte(sent)) == [output.read]


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_without_a_suffix_the_line_has_to_fall_silent(output: Output) -> None:
    """A card is a card then too; what is none counts as cut off."""
    none = isinstance(output.read, CardUnreadable)

    assert readings_of(output.text.encode("latin-1")) == [CUT_OFF if none else output.read]


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_a_phone_that_is_held_there_reads_the_same_each_time(output: Output) -> None:
    """A repeated code is the same reading again; what to do about it is the attempt's."""
    sent = f"{output.text}\r".encode("latin-1")

    assert readings_of(sent * 3) == [output.read] * 3


@pytest.mark.parametrize("sent", ["0F1A2B", "0f1a2b", "0000123478", "01A2B3C4D", "123-45678"])
@pytest.mark.parametrize("suffix", ["\r", "\r\n"], ids=repr)
def test_what_a_wiegand_converter_sends_is_the_cards_number(sent: str, suffix: str) -> None:
    """Hexadecimal or decimal, as its maker likes: the exact text stands in the register.

    Of a site's code and a number too, with a hyphen between them.
    """
    assert readings_of(f"{sent}{suffix}".encode()) == [CardRead((plastic(sent),))]
