"""Phones and barcodes by a scanner that types: every form that an imager sends, in both layouts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.numbers import PLASTIC
from doorctl.core.readings import CardRead, Reading
from doorctl.extras.usb.keys import KeyedText
from doorctl.extras.usb.layouts import LAYOUTS
from doorctl.extras.usb.records import InputEvent
from tests.cards.imagers import OUTPUTS, Output
from tests.cards.samples import readings_of
from tests.fakes.cards import plastic
from tests.fakes.keyboard import typed

OTHER = {"danish": "us", "us": "danish"}


def read(text: str, layout: str, set_to: str) -> list[Reading]:
    """Return what the door reads by a layout of what a scanner types that is set to another."""
    keyed = KeyedText(LAYOUTS[layout], is_keypad=False)
    keys = typed(text, set_to)
    return readings_of(b"".join(keyed.take(InputEvent(*event)) for event in keys))


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_what_an_imager_types_reads_as_down_a_serial_line(output: Output, layout: str) -> None:
    """Each form of the one table, whatever the keys behind its characters."""
    assert read(f"{output.text}\r", layout, layout) == [output.read]
    assert read(f"{output.text}\r" * 3, layout, layout) == [output.read] * 3


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_a_wrong_layout_never_makes_another_card(output: Output, layout: str) -> None:
    """The scanner is set to the other one: the card reads, or nothing does.

    Bug (the reader cases, typed): a Danish scanner's AIM mark lost its bracket on the US layout;
    what was left began another number.
    """
    (seen,) = read(f"{output.text}\r", layout, OTHER[layout])

    assert seen == output.read or not isinstance(seen, CardRead)


@given(st.from_regex(PLASTIC, fullmatch=True), st.sampled_from(list(LAYOUTS)))
def test_a_number_is_itself_or_nothing(number: str, layout: str) -> None:
    """In its layout each number of a card is itself first; in the other it is that, or no card."""
    (right,), (wrong,) = (read(f"{number}\r", layout, to) for to in (layout, OTHER[layout]))

    assert isinstance(right, CardRead)
    assert right.identifiers[0] == plastic(number)
    assert wrong == right or not isinstance(wrong, CardRead)
