"""Asks a serial line whether an OSDP reader is on it, before anybody knows its address or speed."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator, Mapping
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
    LEAST_BYTES,
    MOST_BYTES,
    SOM,
    is_whole,
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
    return next(_addresses(data), None)


def _addresses(data: bytes) -> Iterator[int]:
    start = data.find(SOM)
    while start >= 0:
        head = data[start : start + HEADER_BYTES]
        size = int.from_bytes(head[2:4], "little")
        packet = data[start : start + size]
        sound = len(packet) == size and LEAST_BYTES <= size <= MOST_BYTES and is_whole(packet)
        if sound and packet[1] & FROM_READER:
            yield packet[1] & ~FROM_READER
        start = data.find(SOM, start + 1)


def probe(port: str) -> Mapping[str, object] | None:
    """Return what stands under [reader] for the OSDP reader at a serial line; None where none is.

    Sends bytes at several speeds, and takes 2 s; half a minute more with a reader that does not say
    its address. DeviceError: the line is in use or can't be opened.
    """
    for baud in SPEEDS:
        try:
            with Serial(port, baud, timeout=ANSWER_S, exclusive=True) as line:
                address = _asked(line, ANYBODY)
                if address == ANYBODY:
                    answers = (_asked(line, each) for each in range(LAST_ADDRESS + 1))
                    address = next((each for each in answers if each is not None), None)
        except FAILURES as failure:
            raise DeviceError(f"{port} {what_to_check(failure)}") from failure
        if address is not None:
            return {"kind": "osdp", "port": port, "baud": baud, "osdp_address": address}
    return None


def _asked(line: Serial, address: int) -> int | None:
    line.reset_input_buffer()
    line.write(asking(address))
    heard = b""
    while (data := line.read(max(1, line.in_waiting))) and len(heard) < MOST_BYTES:
        heard += data
        if (answered := answering(heard)) is not None:
            return answered
    return None
