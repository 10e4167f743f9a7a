"""Card bits of an OSDP reader to the text of a card: formats, parities, and what is refused."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.cards.identify import identify
from doorctl.core.readings import CardRead
from doorctl.extras.osdp.numbers import FORMATS, Number, card_text

NUMBERS: tuple[Number, ...] = get_args(Number)

numbers = st.sampled_from(NUMBERS)
WIEGAND: tuple[Number, ...] = ("hex", "decimal")


def packed(bits: str) -> bytes:
    """Return bits as OSDP sends them: from the left, the last byte filled up with noughts."""
    length = -(-len(bits) // 8)
    return int(bits.ljust(8 * length, "0"), 2).to_bytes(length)


def said(bits: str, number: Number) -> bytes | None:
    """Return what a card of these bits says; blanks show where its fields are."""
    bits = bits.replace(" ", "")
    return card_text(packed(bits), len(bits), number)


H10301 = "1 00000001 0000000000000010 0"
H10306 = "1 0000000000000001 0000000000000010 0"
H10302 = "0 00000000000000000000000000000000011 1"
H10304 = "1 0000000000000001 0000000000000000010 0"


@pytest.mark.parametrize(
    ("bits", "number", "text"),
    [
        (H10301, "decimal", b"00065538"),
        (H10301, "hex", b"010002"),
        # 2006ec0c86 in proxmark3's documents: facility 118, card 1603.
        (f"{0x2EC0C86:026b}", "decimal", b"%08d" % (118 * 65536 + 1603)),
        ("0 11111111 1111111111111111 1", "decimal", b"16777215"),
        ("0 00000000 0000000000000000 1", "decimal", b"00000000"),
        (H10306, "decimal", b"0000065538"),
        (H10306, "hex", b"00010002"),
        ("0 1111111111111111 1111111111111111 1", "decimal", b"4294967295"),
        (H10302, "decimal", b"00000000003"),
        (H10302, "hex", b"000000003"),
        (H10304, "decimal", b"00000524290"),
        (H10304, "hex", b"000080002"),
        ("0 11111111111111111111111111111111111 1", "decimal", b"34359738367"),
        ("0 11111111111111111111111111111111111 1", "hex", b"7FFFFFFFF"),
    ],
)
def test_a_number_of_a_known_format_is_its_data_field(
    bits: str, number: Number, text: bytes
) -> None:
    """Facility code above, card number below, as wide as the format's largest; no parity in it."""
    assert said(bits, number) == text


@pytest.mark.parametrize(
    ("data", "bits", "number", "text"),
    [
        (b"3000001234", 80, "text", b"3000001234"),
        (b"3000001234\r\n", 96, "text", b"3000001234"),
        (b"3000001234\x00\x00", 96, "text", b"3000001234"),
        (b" 0101701234", 88, "text", b" 0101701234"),
        (b"\xe6\xf8\xe5", 24, "text", b"\xe6\xf8\xe5"),
        (b"3000\r1234", 72, "text", None),
        (b"\x023000001234\x03", 96, "text", None),
        (b"30000\x7f1234", 80, "text", None),
        (b"\x0030000001234", 88, "text", None),
        (b"\r\n", 16, "text", None),
        (b"3000001234", 79, "text", None),
        (b"0000", 26, "text", None),
        (b"\x04\xa2\x2b\xc1", 32, "hex", b"04A22BC1"),
        (b"\x04\xa2\x2b\xc1\x5f\x61\x80", 56, "hex", b"04A22BC15F6180"),
        (b"\x00", 8, "hex", b"00"),
        (b"\x04\xa2\x2b\xc1", 31, "hex", None),
        (b"\x04\xa2\x2b\xc1\x5f", 35, "hex", None),
        (b"\x04\xa2\x2b\xc1", 32, "decimal", None),
        (b"\x04\xa2\x2b\xc1\x5f", 36, "decimal", None),
    ],
)
def test_what_is_of_no_known_format(
    data: bytes, bits: int, number: Number, text: bytes | None
) -> None:
    """Characters stay as they came, whole bytes are a hexadecimal number, the rest is nothing."""
    assert card_text(data, bits, number) == text


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (b"", 0),
        (b"", 26),
        (b"1234", -32),
        (b"1234", 0),
        (packed(H10301.replace(" ", ""))[:3], 26),
        (packed(H10301.replace(" ", "")) + b"\0", 26),
        (b"12345", 32),
        (b"12345", 48),
    ],
)
def test_bytes_that_are_not_those_bits_are_unreadable(
    data: bytes, bits: int, number: Number
) -> None:
    """A count that does not fit the bytes is doubt, and doubt refuses."""
    assert card_text(data, bits, number) is None


def encoded(bits: int, number: int) -> str:
    """Return the bits of a card, counted out one by one from the masks of the format's makers."""
    covered = {26: 12, 34: 16, 37: 18}[bits]
    data = f"{number:0{bits - 2}b}"
    first, last = data[:covered].count("1") % 2, 1 - data[-covered:].count("1") % 2
    return f"{first}{data}{last}"


@st.composite
def cards(draw: st.DrawFn) -> tuple[int, int]:
    """Draw a format's number of bits, and a number that it can hold."""
    bits = draw(st.sampled_from(sorted(FORMATS)))
    return bits, draw(st.integers(0, 2 ** (bits - 2) - 1))


@given(cards())
def test_what_a_card_holds_is_read_back(card: tuple[int, int]) -> None:
    """Every number of every format comes back, in decimal and in hexadecimal, and is a card."""
    bits, number = card
    decimal, hexadecimal = (
        said(encoded(bits, number), "decimal"),
        said(encoded(bits, number), "hex"),
    )

    assert decimal is not None
    assert hexadecimal is not None
    assert (int(decimal), int(hexadecimal, 16)) == (number, number)
    assert isinstance(identify(decimal), CardRead)
    assert isinstance(identify(hexadecimal), CardRead)


@given(cards(), cards(), st.sampled_from(WIEGAND))
def test_two_cards_never_say_the_same(
    first: tuple[int, int], second: tuple[int, int], number: Number
) -> None:
    """Also of two formats: the width is each format's own."""
    texts = {said(encoded(*card), number) for card in (first, second)}

    assert len(texts) == len({first, second})


@given(cards(), st.data())
def test_a_flipped_bit_is_unreadable(card: tuple[int, int], drawn: st.DataObject) -> None:
    """Any one bit, and of those bits of 37 that both parities cover too."""
    right = encoded(*card)
    at = drawn.draw(st.integers(0, len(right) - 1))
    wrong = right[:at] + ("0" if right[at] == "1" else "1") + right[at + 1 :]

    assert [said(wrong, number) for number in WIEGAND] == [None, None]


@given(cards(), st.integers(0, 255), st.sampled_from(WIEGAND))
def test_what_fills_up_the_last_byte_means_nothing(
    card: tuple[int, int], filling: int, number: Number
) -> None:
    """Readers fill it with what they like; the count says which bits are the card's."""
    bits = encoded(*card)
    data = packed(bits)
    filled = data[:-1] + bytes([data[-1] | filling & 0xFF >> (len(bits) % 8)])

    assert card_text(filled, len(bits), number) == said(bits, number)


@given(st.binary(max_size=40), st.integers(-8, 400), numbers)
def test_any_bits_are_a_text_of_one_frame_or_nothing(
    data: bytes, bits: int, number: Number
) -> None:
    """Nothing that ends a frame, or begins another, is in what comes out; and it never fails."""
    text = card_text(data, bits, number)

    assert text is None or (text and not set(text) & {*range(0x20), 0x7F})
    assert text is None or number == "text" or text.isalnum()
