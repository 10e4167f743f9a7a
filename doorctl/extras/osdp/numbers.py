"""Card bits of an OSDP reader to the text that a card of any other reader sends; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

BYTE_BITS = 8

Number = Literal["text", "hex", "decimal"]
"""What a reader's bits are, by `reader.osdp_number`: ASCII characters, or a number that is
written in hexadecimal or in decimal."""


@dataclass(frozen=True, slots=True)
class Format:
    """A Wiegand format: parity bits first and last, and between them one data field.

    Args:
        data_bits: of facility code and card number together.
        covered_bits: so many of the data bits make the first parity bit even, counted from the
            left, and so many the last odd, counted from the right.
    """

    data_bits: int
    covered_bits: int

    @property
    def bits(self) -> int:
        """How many bits a card of this format sends."""
        return self.data_bits + 2

    @property
    def decimals(self) -> int:
        """How many digits the largest number of this format has."""
        return len(str(2**self.data_bits - 1))

    @property
    def hex_digits(self) -> int:
        """How many hexadecimal digits the largest number of this format has."""
        return -(-self.data_bits // 4)

    def data(self, value: int) -> int | None:
        """Return the data field of a card's bits; None where a parity bit is wrong.

        Args:
            value: all bits, the first one highest.
        """
        data = value >> 1 & (1 << self.data_bits) - 1
        left = data >> self.data_bits - self.covered_bits
        right = data & (1 << self.covered_bits) - 1
        first = value >> self.data_bits + 1
        is_right = left.bit_count() % 2 == first and right.bit_count() % 2 != value & 1
        return data if is_right else None


FORMATS: Mapping[int, Format] = MappingProxyType(
    {
        each.bits: each
        for each in (
            Format(data_bits=24, covered_bits=12),  # H10301: facility 8, card 16
            Format(data_bits=32, covered_bits=16),  # H10306: facility 16, card 16
            Format(data_bits=35, covered_bits=18),  # H10302: card 35; H10304: facility 16, card 19
        )
    }
)
"""Number of bits -> the format. Both of 37 bits have the same parities; the middle bit is in both.

Sources: ooaccess.com/kb/37-bit-fc (masks of H10304), hidglobal.com "Format Guidelines" (H10301,
H10302), and proxmark3's `client/src/wiegand_formats.c` for the parities of all four.
"""

_FRAME_ENDS = b"\r\n\x00"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def card_text(data: bytes, bits: int, number: Number) -> bytes | None:
    """Return what a card says, as the bytes of its frame without the terminator.

    Args:
        data: the card's bits as OSDP sends them: the first is the highest of the first byte. What
            fills up the last byte is not looked at.
        bits: how many there are.
        number: what they are.

    `text`: the bytes as the reader sent them, without CR, LF and NUL at their end.
    `hex`: 26, 34 and 37 bits without their parity bits, in 6, 8 and 9 capital digits; any other
    whole number of bytes, such as a chip's serial number, in two digits each, with no parity.
    `decimal`: 26, 34 and 37 bits alone. The whole data field is one number: the facility code is
    its upper bits and the card number its lower ones, so facility 1 and card 2 of 26 bits are
    1 * 65536 + 2. It has leading zeros up to 8, 10 and 11 digits, the width of the format's
    largest, so that two formats never write the same.

    Ten digits can be a CPR number too, as ten digits of a barcode can: the exact card comes first.

    None: a wrong parity, another length, less than a byte, too few or too many bytes for these
    bits, or a text with a control character inside, which would end the card there.
    """
    if bits < BYTE_BITS or len(data) != -(-bits // BYTE_BITS):
        return None
    whole_bytes = bits % BYTE_BITS == 0
    if number == "text":
        text = data.rstrip(_FRAME_ENDS)
        return text if whole_bytes and text and not _CONTROL.search(text) else None
    if (known := FORMATS.get(bits)) is not None:
        value = known.data(int.from_bytes(data) >> -bits % BYTE_BITS)
        if value is None:
            return None
        if number == "hex":
            return f"{value:0{known.hex_digits}X}".encode()
        return f"{value:0{known.decimals}d}".encode()
    return data.hex().upper().encode() if whole_bytes and number == "hex" else None
