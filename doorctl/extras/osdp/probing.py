"""Asks a serial line whether an OSDP reader is on it, before anybody knows its address or speed."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping
from typing import get_args

from serial import Serial

from doorctl.config.tables import Baud
from doorctl.core.errors import DeviceError
from doorctl.devices.serial_line import FAILURES, what_to_check
from doorctl.extras.osdp.packets import (
    CRC,
    CRC_START,
    FROM_READER,
    HEADER_BYTES,
    MOST_BYTES,
    SOM,
    packets,
)

SPEEDS = tuple(baud for baud in (9600, 115200, 38400, 57600, 19200) if baud in get_args(Baud))
"""In the order in which they are tried: the first is what readers come with."""

ANYBODY = 0x7F
"""The address to which every reader answers, with its own or with this."""

LAST_ADDRESS = 126

IDENTIFY = b"\x61\x00"
"""osdp_ID: answered by all in clear text, and changes nothing."""

ANSWER_S = 0.3
"""A reader begins to answer within 0.2 s (IEC 60839-11-5)."""


def asking(address: int) -> bytes:
    """Return the packet that asks a reader what it is; its number begins a new session."""
    size = HEADER_BYTES + len(IDENTIFY) + 2
    packet = bytes((SOM, address, size, 0, CRC)) + IDENTIFY
    return packet + crc_hqx(packet, CRC_START).to_bytes(2, "little")


def answering(data: bytes) -> int | None:
    """Return the address in the first whole reply among bytes of a line; None without one.

    The echo of a command is none: some RS-485 adapters send it back.
    """
    held = bytearray(data)
    while held:
        for packet in packets(held):
            if packet[1] & FROM_READER:
                return packet[1] & ~FROM_READER
        # What looks like the beginning of a packet may be noise before the answer.
        del held[:1]
    return None


def probe(port: str) -> Mapping[str, object] | None:
    """Return what stands under [reader] for the OSDP reader at a serial line; None where none is.

    Sends bytes at several speeds, and takes 2 s; half a minute more with a reader that does not say
    its address. DeviceError: the line is in use or can't be opened.
    """
    for baud in SPEEDS:
        try:
            with Serial(port, baud, timeout=ANSWER_S, exclusive=True) as line:
                address = _reply_to(line, ANYBODY)
                if address == ANYBODY:
                    answers = (_reply_to(line, each) for each in range(LAST_ADDRESS + 1))
                    address = next((each for each in answers if each is not None), None)
        except FAILURES as failure:
            raise DeviceError(f"{port} {what_to_check(failure)}") from failure
        if address is not None:
            return {"kind": "osdp", "port": port, "baud": baud, "osdp_address": address}
    return None


def _reply_to(line: Serial, address: int) -> int | None:
    line.reset_input_buffer()
    line.write(asking(address))
    heard = b""
    while (data := line.read(max(1, line.in_waiting))) and len(heard) < MOST_BYTES:
        heard += data
        if (answered := answering(heard)) is not None:
            return answered
    return None
