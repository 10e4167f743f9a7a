"""An OSDP line: whatever comes by it, libosdp hears whole replies, one to a command, or nothing.

An input is what comes after a command with the sequence number 2.
"""

from __future__ import annotations

from doorctl.extras.osdp.packets import (
    CRC,
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
SEEDS = (
    bytes.fromhex("538008000640") + b"\x00\x00",
    bytes.fromhex("538007000240e4"),
    bytes.fromhex("53800e000e0216400102030400"),
    bytes.fromhex("538010000e031201500000080031ffff"),
    bytes.fromhex("ff538007000240e4538007000240e4"),
)
WORDS = (b"\x53\x80", b"\xff\x53", b"\x02\x16", b"\x02\x18", b"\x03\x12\x01", b"\x03\x14\x01",
         b"\x50\x00\x00", b"\x53\x00\x01", b"\x76", b"\x40")  # fmt: skip
LONGEST = 600

UNSIGNED = {reply.value for reply in Reply}


def check(data: bytes) -> None:
    """Check it at once and cut in two: the same passes."""
    passed = _passed(data)
    for cut in {1, len(data) // 2, max(0, len(data) - 1)}:
        assert _passed(data[:cut], data[cut:]) == passed, "it depends on how bytes are cut"
    if passed:
        _check_packet(passed, data)


def _passed(*pieces: bytes) -> bytes:
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
