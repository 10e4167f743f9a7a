"""An OSDP line: whatever comes by it, libosdp hears whole replies, one to a command, or nothing.

An input is what comes after a command with the sequence number 2.
"""

from __future__ import annotations

from binascii import crc_hqx

from doorctl.extras.osdp.packets import (
    CRC,
    CRC_START,
    FROM_READER,
    HEADER_BYTES,
    MOST_BYTES,
    SECURE,
    SEQUENCE,
    SOM,
    Replies,
    Reply,
)

COMMAND = bytes.fromhex("530008000e0215600000")
CARD_TOLD = b"\x50\x00\x00\x08\x00\x31"


def whole(data: bytes, block: bytes = b"") -> bytes:
    """Make a reply with the right CRC, to a command with the sequence number 2."""
    control = COMMAND[4] & SEQUENCE | CRC | (SECURE if block else 0)
    size = HEADER_BYTES + len(block) + len(data) + 2
    head = bytes((SOM, FROM_READER, size & 0xFF, size >> 8, control)) + block + data
    return head + crc_hqx(head, CRC_START).to_bytes(2, "little")


GOOD = (
    bytes.fromhex("538007000240e4"),
    whole(b"\x40\x01\x02\x03\x04", b"\x02\x16"),
    whole(b"\x50" + bytes(16) + b"\x01\x02\x03\x04", b"\x02\x18"),
    whole(b"\x76" + bytes(32), b"\x03\x12\x01"),
    whole(b"\x78" + bytes(16), b"\x03\x14\x01"),
)
"""Replies that pass."""

SEEDS = (
    *GOOD,
    whole(CARD_TOLD),
    whole(CARD_TOLD, b"\x03\x12\x01"),
    whole(CARD_TOLD, b"\x03\x14\x01"),
    whole(CARD_TOLD, b"\x02\x16"),
    b"\xff" + 2 * GOOD[0],
)
WORDS = (b"\x53\x80", b"\xff\x53", b"\x02\x16", b"\x02\x18", b"\x03\x12\x01", b"\x03\x14\x01",
         b"\x50\x00\x00", b"\x53\x00\x01", b"\x76", b"\x40")  # fmt: skip
LONGEST = 600

UNSIGNED = {reply.value for reply in Reply}


def check(data: bytes) -> None:
    """Check it as it is and with the right CRC behind it, at once and cut in two."""
    _check(data)
    _check(data + crc_hqx(data, CRC_START).to_bytes(2, "little"))


def _check(data: bytes) -> None:
    found = passed(data)
    for cut in {1, len(data) // 2, max(0, len(data) - 1)}:
        assert passed(data[:cut], data[cut:]) == found, "it depends on how bytes are cut"
    if found:
        _check_packet(found, data)


def passed(*pieces: bytes) -> bytes:
    """Return what passes of an answer that comes in pieces."""
    replies = Replies(0)
    replies.sent(COMMAND)
    return b"".join(map(replies.received, pieces))


def _check_packet(packet: bytes, data: bytes) -> None:
    control, inside = packet[4], packet[HEADER_BYTES:]
    assert packet in data, "it was made up"
    assert packet[:2] == bytes((SOM, FROM_READER))
    assert len(packet) == packet[2] | packet[3] << 8 <= MOST_BYTES, "it is not one whole packet"
    if not control & SECURE:
        assert inside[0] in UNSIGNED, "what should have been encrypted has passed"
    elif inside[1] in (0x12, 0x14):
        assert inside[3] in (0x76, 0x78), "a card without a MAC has passed"
    else:
        assert inside[1] in (0x16, 0x18)
    assert control & SEQUENCE == COMMAND[4] & SEQUENCE or inside[0] == Reply.BUSY.value
    assert control & CRC or sum(packet) & 0xFF == 0
