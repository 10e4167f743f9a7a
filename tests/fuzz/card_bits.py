"""The card bits of an OSDP reader: whatever it says, nothing but one card of these bits comes out.

An input is the number of bits, in one byte, and the bytes that they are in.
"""

from __future__ import annotations

from typing import get_args

from doorctl.cards.reader import CardReader
from doorctl.core.readings import CardRead, CardUnreadable, Reading
from doorctl.extras.osdp.numbers import Number, card_text
from doorctl.extras.osdp.probing import ANYBODY, answering

SEEDS = (
    bytes([26]) + bytes.fromhex("80800100"),
    bytes([34]) + bytes.fromhex("8000800100"),
    bytes([37]) + bytes.fromhex("0000000038"),
    bytes([80]) + b"3000001234",
    bytes([88]) + b"3000001234\r",
    bytes([32]) + bytes.fromhex("04a22bc1"),
    bytes.fromhex("538514000445bebafe0101afbeaddeaddead01b9"),
)
WORDS = (b"\x1a", b"\x22", b"\x25", b"\r", b"\n", b"\x00", b"\x02", b"\x03", b"\xff", b"0101701234",
         b"\x53\x85", b";", b"?")  # fmt: skip
LONGEST = 40

COVERED = {26: 12, 34: 16, 37: 18}
"""Bits of a format -> how many of its data bits each of its parity bits covers."""


def check(data: bytes) -> None:
    """Check one card, read in each way; and the same bytes as an answer to a probe."""
    address = answering(data)
    assert address is None or 0 <= address <= ANYBODY
    if not data:
        return
    bits, card = data[0], data[1:]
    for number in get_args(Number):
        text = card_text(card, bits, number)
        assert text == counted(card, bits, number), "it is read otherwise than bit by bit"
        if text is not None:
            _check_line(text, number)


def counted(card: bytes, bits: int, number: Number) -> bytes | None:
    """Return what the bits come to when they are looked at one by one."""
    written = "".join(f"{byte:08b}" for byte in card)
    if bits < 8 or not 0 <= len(written) - bits < 8:
        return None
    if number == "text":
        text = card.rstrip(b"\r\n\x00")
        controls = any(byte < 0x20 or byte == 0x7F for byte in text)
        return text if text and len(written) == bits and not controls else None
    if (covered := COVERED.get(bits)) is None:
        is_whole = number == "hex" and len(written) == bits
        return card.hex().upper().encode() if is_whole else None
    first, field, last = written[0], written[1 : bits - 1], written[bits - 1]
    if (first + field[:covered]).count("1") % 2 or not (field[-covered:] + last).count("1") % 2:
        return None
    widths = {"hex": {26: "06X", 34: "08X", 37: "09X"}, "decimal": {26: "08", 34: "010", 37: "011"}}
    return format(int(field, 2), widths[number][bits]).encode()


def _check_line(text: bytes, number: Number) -> None:
    """Check that the card's frame is one card at most, and nothing is left for the next one."""
    reader = CardReader(carries_keys=False)
    reader.receive(text + b"\r", 0.0)
    readings: list[Reading] = []
    while (reading := reader.next_reading(awaiting_pin=False)) is not None:
        readings.append(reading)
    assert len(readings) <= 1
    assert reader.deadline_s is None or not readings, "half of it waits for more"
    if number != "text" and readings and isinstance(readings[0], CardRead):
        assert readings[0].identifiers[0].reveal().endswith(text.decode())
    elif number == "decimal":
        assert not any(isinstance(reading, CardUnreadable) for reading in readings)
