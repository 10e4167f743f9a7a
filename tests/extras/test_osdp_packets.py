"""What a panel may hear of an OSDP line."""

from __future__ import annotations

import random
from binascii import crc_hqx

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.extras.osdp.packets import CRC, CRC_START, FROM_READER, SECURE, SOM, Replies, Reply

POLL = bytes.fromhex("530008000e0215600000")
"""A command with sequence 2; what is behind its control byte plays no part here."""

SEQUENCE = 2
ACK = b"\x40"
CARD = b"\x50\x00\x00\x08\x00\x31"
KEY = b"\x53\x00\x01\x31"


def packet(data: bytes, *, block: bytes = b"", sequence: int = SEQUENCE, address: int = 0) -> bytes:
    """Make a whole reply."""
    control = sequence | CRC | (SECURE if block else 0)
    size = 5 + len(block) + len(data) + 2
    head = bytes((SOM, address | FROM_READER, size & 0xFF, size >> 8, control)) + block + data
    return head + crc_hqx(head, CRC_START).to_bytes(2, "little")


def summed(data: bytes) -> bytes:
    """Make a reply with a checksum of one byte, as old readers do."""
    head = bytes((SOM, FROM_READER, 5 + len(data) + 1, 0, SEQUENCE)) + data
    return head + bytes((-sum(head) & 0xFF,))


SIGNED = packet(b"\x40\x01\x02\x03\x04", block=b"\x02\x16")
ENCRYPTED = packet(b"\x50" + bytes(16) + b"\x01\x02\x03\x04", block=b"\x02\x18")
CHALLENGED = packet(b"\x76" + bytes(32), block=b"\x03\x12\x01")
ESTABLISHED = packet(b"\x78" + bytes(16), block=b"\x03\x14\x01")


def asked(address: int = 0) -> Replies:
    """Return the replies of a line on which a command has just been sent."""
    replies = Replies(address)
    replies.sent(POLL)
    return replies


@pytest.mark.parametrize(
    "good",
    [
        packet(ACK),
        summed(ACK),
        packet(b"\x41\x06"),
        packet(b"\x45" + bytes(12)),
        packet(b"\x46\x09\x01\x01"),
        packet(b"\x79", sequence=0),
        CHALLENGED,
        ESTABLISHED,
        SIGNED,
        ENCRYPTED,
    ],
)
def test_what_an_honest_reader_says_passes_whole_however_it_is_cut(good: bytes) -> None:
    """One reply to a command passes, byte by byte as at once, and nothing of it before its end."""
    at_once, cut = asked(), asked()

    assert at_once.received(good) == good
    assert [cut.received(good[at : at + 1]) for at in range(len(good))][:-1] == [b""] * (
        len(good) - 1
    )
    assert not cut.awaits
    assert at_once.forged == cut.forged == 0


@pytest.mark.parametrize(
    "bad",
    [
        packet(CARD),
        packet(KEY),
        packet(CARD, block=b"\x03\x12\x01"),
        packet(CARD, block=b"\x03\x14\x01"),
        packet(CARD, block=b"\x02\x12"),
        packet(CARD, block=b"\x02\x16"),
        packet(CARD, block=b"\x02\x18"),
        packet(CARD, block=b"\xff\x18"),
        packet(CARD, block=b"\x01\x18"),
        packet(ACK + CARD),
        packet(b"\x40\x01\x02\x03\x04", block=b"\x02\x18"),
        packet(b"", block=b"\x02"),
        packet(b""),
    ],
)
def test_what_should_have_been_encrypted_does_not_pass(bad: bytes) -> None:
    """A card or a key in clear text, or in a block that has no MAC, is dropped and counted.

    Bug (libosdp 3.2.9): a card in a block of the handshake went by without a MAC while the secure
    channel stood, so whoever held the cable could say any card.
    """
    replies = asked()

    assert replies.received(bad) == b""
    assert replies.forged == 1
    assert replies.awaits


def test_a_second_answer_to_one_command_is_dropped_and_counted() -> None:
    """A replayed packet, or a second reader at the same address, is none of the reader's."""
    replies = asked()

    assert replies.received(SIGNED + SIGNED) == SIGNED
    assert replies.forged == 1


def test_a_late_answer_to_a_command_that_was_sent_again_is_no_forgery() -> None:
    """A slow reader answers both; the second is dropped in silence."""
    replies = asked()
    replies.sent(POLL)

    assert replies.received(SIGNED) == SIGNED
    assert replies.received(SIGNED) == b""
    assert replies.forged == 0


def test_an_answer_with_another_sequence_number_is_not_this_commands() -> None:
    """What was meant for an earlier command is dropped, and libosdp asks again."""
    replies = asked()

    assert replies.received(packet(ACK, sequence=1)) == b""
    assert replies.awaits
    assert replies.forged == 0


def test_half_a_packet_does_not_become_part_of_the_next() -> None:
    """What was cut off is forgotten with the next command."""
    replies = asked()

    assert replies.received(ENCRYPTED[:-3]) == b""
    replies.sent(POLL)
    assert replies.received(SIGNED) == SIGNED


def test_a_neighbour_and_our_own_echo_are_not_heard() -> None:
    """Only the reader's own address counts, with the bit of replies."""
    replies = asked(address=5)

    assert replies.received(packet(ACK, address=4)) == b""
    assert replies.received(POLL) == b""
    assert replies.forged == 0
    mine = packet(ACK, address=5)
    assert replies.received(mine) == mine


def test_a_reader_without_secure_channel_is_known() -> None:
    """Its capabilities say so: function 9, level 0, or none."""
    without, with_it = asked(), asked()
    without.received(packet(b"\x46\x04\x01\x01"))
    with_it.received(packet(b"\x46\x04\x01\x01\x09\x01\x01"))

    assert without.lacks_security
    assert not with_it.lacks_security
    assert with_it.seen == {Reply.CAPABILITIES}


@given(
    st.lists(st.binary(max_size=40), max_size=6), st.sampled_from([SIGNED, ENCRYPTED, CHALLENGED])
)
def test_noise_never_hides_a_reply_for_ever_and_never_becomes_one(
    noise: list[bytes], good: bytes
) -> None:
    """Whatever came before, the answer to the next command passes; noise passes no byte."""
    replies = asked()
    for piece in noise:
        assert replies.received(piece) == b""
    replies.sent(POLL)

    assert replies.received(good) == good


@given(
    st.sampled_from([SIGNED, ENCRYPTED, CHALLENGED, ESTABLISHED, packet(b"\x41\x06")]),
    st.integers(),
)
def test_a_flipped_bit_never_passes(good: bytes, seed: int) -> None:
    """The CRC tells; the reader is asked again."""
    spoiled = bytearray(good)
    bit = random.Random(seed).randrange(8 * len(good))  # noqa: S311 - no secret
    spoiled[bit // 8] ^= 1 << bit % 8

    assert asked().received(bytes(spoiled)) == b""
