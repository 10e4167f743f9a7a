"""A serial line is asked for an OSDP reader: packets, and a reader that libosdp plays."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import DeviceError
from doorctl.extras.osdp.probing import ANYBODY, answering, asking, probe

ANSWER = bytes.fromhex("538514000445bebafe0101afbeaddeaddead01b9")
"""What libosdp 3.2.9 answers as the reader of address 5."""


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (ANSWER, 5),
        (asking(5) + ANSWER, 5),
        (b"\xff\x53\x00" + ANSWER + b"\xff", 5),
        (bytes.fromhex("53ff14000445bebafe0101afbeaddeaddeadd245"), ANYBODY),
        # Readers without a CRC send a checksum.
        (bytes([0x53, 0x83, 8, 0, 0, 0x41, 4, -(0x53 + 0x83 + 8 + 0x41 + 4) & 0xFF]), 3),
        (bytes([0x53, 0x83, 8, 0, 0, 0x41, 4, -(0x53 + 0x83 + 8 + 0x41 + 5) & 0xFF]), None),
        (asking(5), None),
        (ANSWER[:-1], None),
        (ANSWER[:8] + b"\x00" + ANSWER[9:], None),
        (b"3000001234\r", None),
        (b"", None),
    ],
)
def test_only_a_whole_reply_is_an_answer(data: bytes, address: int | None) -> None:
    """Noise before it and behind it, and the echo of the question, are none."""
    assert answering(data) == address


@given(st.binary(max_size=60))
def test_any_bytes_are_an_address_or_none(data: bytes) -> None:
    """A line brings whatever it brings."""
    address = answering(data)

    assert address is None or 0 <= address <= ANYBODY


@given(st.integers(0, len(ANSWER) * 8 - 1))
def test_one_wrong_bit_is_no_answer(bit: int) -> None:
    """The CRC finds each."""
    wrong = bytearray(ANSWER)
    wrong[bit // 8] ^= 1 << bit % 8

    assert answering(bytes(wrong)) is None


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """Return a line's far end, and the path of the near one."""
    far, near = os.openpty()
    tty.setraw(near)
    yield far, os.ttyname(near)
    os.close(near)
    os.close(far)


def play(far: int, *, names_itself: bool, speaks: bytes = ANSWER) -> Thread:
    """Have a reader of address 5 answer at the far end, until the line is closed."""

    def run() -> None:
        held = b""
        while True:
            try:
                held += os.read(far, 256)
            except OSError:
                return
            while (start := held.find(b"\x53")) >= 0 and len(held) >= start + 9:
                packet, held = held[start : start + 9], held[start + 9 :]
                if packet == asking(5) or (packet == asking(ANYBODY) and names_itself):
                    os.write(far, speaks)
                elif packet == asking(ANYBODY):
                    os.write(far, bytes.fromhex("53ff14000445bebafe0101afbeaddeaddeadd245"))

    thread = Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("names_itself", [True, False])
def test_a_reader_is_found_with_its_address(line: tuple[int, str], names_itself: bool) -> None:
    """Some answer the call to all by their own address, others by that of all."""
    far, port = line
    play(far, names_itself=names_itself)

    assert probe(port) == {"kind": "osdp", "port": port, "baud": 9600, "osdp_address": 5}


def test_a_barcode_reader_is_no_osdp_reader(line: tuple[int, str]) -> None:
    """It is asked at each speed, and what it says is no answer."""
    far, port = line
    play(far, names_itself=True, speaks=b"3000001234\r")

    assert probe(port) is None


def test_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to check, as the door says it."""
    with pytest.raises(DeviceError, match="is not there; check the cable"):
        probe(str(tmp_path / "usb-reader"))
