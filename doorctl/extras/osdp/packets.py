"""What a panel may hear of an OSDP line: whole replies, each expected; no I/O.

libosdp 3.2.9 checks too little of what comes by the cable:

- a card or a key in a block of the handshake's kind (SCS_12, SCS_14) goes by without a MAC while
  the secure channel stands, so an attacker at the cable could say any card;
- one wrong bit, or a second answer to one command, ends the channel for 300 s.

So it is given no byte that has not passed here. What it gets beside the handshake is encrypted
(SCS_18) or has nothing to say (SCS_16), and it verifies the MAC of both.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from enum import Enum

SOM = 0x53
"""The first byte of a packet: then address, length in two bytes, control, data, CRC or checksum."""

HEADER_BYTES = 5
LEAST_BYTES = HEADER_BYTES + 2
MOST_BYTES = 256
"""libosdp's buffer."""

FROM_READER = 0x80
"""This bit of the address is set in replies, and clear in commands."""

SEQUENCE, CRC, SECURE = 0x03, 0x04, 0x08
"""The bits of the control byte."""

CRC_START = 0x1D0F
POLL = 0x60
"""The command that asks whether anything has happened."""

COMMUNICATION_SECURITY = 9
"""Of a reader's capabilities, each three bytes: this one, its level, its number of items."""


class Reply(Enum):
    """A reply that may come in clear text."""

    ACK = 0x40
    NAK = 0x41
    ID = 0x45
    CAPABILITIES = 0x46
    CHALLENGED = 0x76
    ESTABLISHED = 0x78
    BUSY = 0x79


CLEAR_BYTES = {Reply.ACK: 0, Reply.NAK: 1, Reply.ID: 12, Reply.BUSY: 0}
"""So many bytes follow each that comes without a security block; of capabilities any number."""

HANDSHAKE = {0x12: (Reply.CHALLENGED, 32), 0x14: (Reply.ESTABLISHED, 16)}
"""Kind of a security block -> the one reply that may come in it, and how many bytes follow."""

SIGNED, ENCRYPTED = 0x16, 0x18
"""Kinds of block of the channel itself: both with a MAC, one without data, one with."""

BLOCK_LENGTH = {0x12: 3, 0x14: 3, SIGNED: 2, ENCRYPTED: 2}
"""Kind of a security block -> its length, which is its first byte."""

MAC_BYTES = 4
CIPHER_BYTES = 16


class Replies:
    """Cut a line's bytes into replies of one reader. Not thread-safe.

    `address` is the reader's. `seen` has what the reader has said in clear text since the last
    :meth:`forget`, and `lacks_security` whether it said that it knows no secure channel. `forged`
    counts whole packets that no honest reader sends: a second answer, or one that says in clear
    text what has to be encrypted. `polls` counts the answers to POLL.
    """

    def __init__(self, address: int) -> None:
        self._address = address
        self._held = bytearray()
        self._awaited = 0
        self._answered = True
        self._sequence = 0
        self._is_poll = False
        self.forged = self.polls = 0
        self.forget()

    def forget(self) -> None:
        """Begin with a new channel."""
        self._held.clear()
        self._awaited = 0
        self._answered = True
        self.seen: set[Reply] = set()
        self.lacks_security = False

    @property
    def awaits(self) -> bool:
        """Whether a command was sent that has no answer yet."""
        return not self._answered

    def sent(self, command: bytes) -> None:
        """Note a command: half an answer to the one before is none any more."""
        self._held.clear()
        control, *rest = command[command.find(SOM) + HEADER_BYTES - 1 :]
        self._sequence = control & SEQUENCE
        # The data of a command is encrypted, and its name is not.
        self._is_poll = rest[rest[0] if control & SECURE else 0] == POLL
        # An answer to a command that was sent again may still be on its way.
        self._awaited = 1 if self._answered else self._awaited + 1
        self._answered = False

    def received(self, data: bytes) -> bytes:
        """Take bytes as they come, and return the replies among them that may pass."""
        self._held += data
        return b"".join(packet for packet in packets(self._held) if self._may_pass(packet))

    def _may_pass(self, packet: bytes) -> bool:
        if packet[1] != self._address | FROM_READER:
            # A neighbour's, or the echo of our own command.
            return False
        control = packet[4]
        data = packet[HEADER_BYTES : -2 if control & CRC else -1]
        allowed = self._is_secure(data) if control & SECURE else self._is_clear(data)
        if not allowed or self._awaited == 0:
            self.forged += 1
            return False
        self._awaited -= 1
        is_busy = data[:1] == bytes((Reply.BUSY.value,))
        if self._answered or (control & SEQUENCE != self._sequence and not is_busy):
            # Of a command that was sent twice, or of an earlier one.
            return False
        self._answered = True
        self.polls += self._is_poll and not is_busy
        return True

    def _is_clear(self, data: bytes) -> bool:
        try:
            reply = Reply(data[0])
        except (ValueError, IndexError):
            return False
        more = data[1:]
        if reply is Reply.CAPABILITIES:
            levels = {more[at]: more[at + 1] for at in range(0, len(more) - 2, 3)}
            self.lacks_security = not levels.get(COMMUNICATION_SECURITY, 0) & 1
        elif len(more) != CLEAR_BYTES.get(reply):
            return False
        self.seen.add(reply)
        return True

    def _is_secure(self, data: bytes) -> bool:
        if len(data) <= 1 or data[0] != BLOCK_LENGTH.get(data[1]) or len(data) <= data[0]:
            return False
        kind, inside = data[1], data[data[0] :]
        if (handshake := HANDSHAKE.get(kind)) is not None:
            reply, size = handshake
            self.seen.add(reply)
            return inside[0] == reply.value and len(inside) == size + 1
        encrypted_bytes = len(inside) - 1 - MAC_BYTES
        if kind == SIGNED:
            return encrypted_bytes == 0
        return encrypted_bytes > 0 and encrypted_bytes % CIPHER_BYTES == 0


def packets(held: bytearray) -> Iterator[bytes]:
    """Take whole packets out of what has come, and throw wrong bytes away up to the next beginning.

    What may become a packet with the bytes to come stays in `held`.
    """
    while (start := held.find(SOM)) >= 0:
        del held[:start]
        if len(held) < HEADER_BYTES:
            return
        size = held[2] | held[3] << 8
        if not LEAST_BYTES <= size <= MOST_BYTES:
            del held[0]
        elif len(held) < size:
            return
        elif is_whole(packet := bytes(held[:size])):
            del held[:size]
            yield packet
        else:
            del held[0]
    held.clear()


def is_whole(packet: bytes) -> bool:
    """Tell whether a packet's CRC is right, or its checksum where it has no CRC."""
    if packet[4] & CRC:
        return crc_hqx(packet[:-2], CRC_START) == int.from_bytes(packet[-2:], "little")
    return sum(packet) & 0xFF == 0
