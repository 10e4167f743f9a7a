"""What libosdp 3.2.9 lacks, with none of our code before it; `doorctl/extras/osdp/README.md`.

A test that fails after an upgrade says that a hole is mended: then what goes round it is looked at.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event as Pause
from typing import Any

import osdp_sys
from serial.serialutil import Timeout

from doorctl.extras.osdp.packets import CRC, FROM_READER, SECURE, SEQUENCE, SOM
from tests.extras.test_osdp_packets import CARD, packet
from tests.fakes.osdp_peer import CAPABILITIES, KEY
from tests.fakes.waiting import LIMIT_S

SILENT_S = 2.0
"""libosdp polls each 0.05 s, and asks an absent reader again after 1 s."""

TURN_S = 0.005
CHALLENGE = 0x76


class Wire:
    """One end of a cable that is in memory; what comes is changed first, or somebody speaks."""

    id = 0

    def __init__(self) -> None:
        self.come = bytearray()
        self.sent: list[bytes] = []
        self.other: Wire | None = None

    def read(self, most: int) -> bytes:
        """Return what has come."""
        data = bytes(self.come[:most])
        del self.come[:most]
        return data

    def write(self, data: bytes) -> int:
        """Send."""
        assert self.other is not None
        self.sent.append(data)
        self.other.come += data
        return len(data)

    def flush(self) -> None:
        """Throw away what has come."""
        self.come.clear()


class Bench:
    """A panel and a reader, both libosdp's, with Secure Channel enforced; no thread."""

    def __init__(self) -> None:
        self.near, self.far = Wire(), Wire()
        self.near.other, self.far.other = self.far, self.near
        self.cards: list[bytes] = []
        osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
        about = {"name": "r", "address": 0, "scbk": KEY}
        panel = about | {"channel": self.near, "flags": osdp_sys.FLAG_ENFORCE_SECURE}
        self.panel = osdp_sys.ControlPanel([panel])
        self.panel.set_event_callback(self._take)
        able = [
            {"function_code": code, "compliance_level": level, "num_items": items}
            for code, (level, items) in CAPABILITIES.items()
        ]
        which = {"version": 1, "model": 1, "vendor_code": 1, "serial_number": 1}
        reader = about | which | {"channel": self.far, "flags": 0, "firmware_version": 1}
        self.reader = osdp_sys.PeripheralDevice(reader, capabilities=able)

    def _take(self, _reader: int, event: dict[str, Any]) -> None:
        if event["event"] == osdp_sys.EVENT_CARDREAD:
            self.cards.append(event["data"])

    @property
    def is_up(self) -> bool:
        """Whether the secure channel stands."""
        return bool(self.panel.status() & self.panel.sc_status() & 1)

    def answer(self) -> bytearray:
        """Turn both until the reader has answered a command, and return it on its way."""
        limit = Timeout(LIMIT_S)
        while not self.near.come:
            assert not limit.expired(), "the reader says nothing"
            self.panel.refresh()
            self.reader.refresh()
            Pause().wait(TURN_S)
        return self.near.come

    def connected(self) -> Bench:
        """Turn both until the channel stands."""
        while not self.is_up:
            self.answer()
            self.panel.refresh()
        return self

    def challenge(self) -> bytes:
        """Return the panel's half of a session's keys, as it goes over the cable in clear text."""
        self.connected()
        told = [data[data.find(SOM) + 8 :] for data in self.near.sent]
        return next(data[1:9] for data in told if data[0] == CHALLENGE)


def test_a_card_without_a_mac_passes_while_the_secure_channel_stands() -> None:
    """In a block of the handshake's kind; so we let none through but the handshake itself."""
    bench = Bench().connected()
    answer = bench.answer()
    start = answer.find(SOM)
    assert answer[start + 1] & FROM_READER
    assert answer[start + 4] & (CRC | SECURE) == CRC | SECURE
    answer[:] = packet(CARD, block=b"\x03\x12\x01", sequence=answer[start + 4] & SEQUENCE)

    bench.panel.refresh()

    assert bench.cards == [b"1"]
    assert bench.is_up


def test_one_wrong_bit_ends_the_channel_and_nothing_is_asked_any_more() -> None:
    """For 300 s (`OSDP_ONLINE_RETRY_WAIT_MAX_MS`); so we throw away what has a wrong CRC."""
    bench = Bench().connected()
    bench.answer()[-1] ^= 1

    bench.panel.refresh()
    limit = Timeout(SILENT_S)
    bench.near.sent.clear()
    while not limit.expired():
        bench.panel.refresh()
        bench.reader.refresh()
        Pause().wait(TURN_S)

    assert not bench.is_up
    assert bench.near.sent == []


def test_two_processes_draw_the_same_half_of_the_session_keys() -> None:
    """By a `rand()` that is seeded by none; so we seed it before each panel is made."""
    program = f"from {__name__} import Bench; print(Bench().challenge().hex())"
    root = Path(__file__).parents[2]

    first, second = (
        subprocess.check_output([sys.executable, "-c", program], cwd=root) for _ in "ab"
    )

    assert len(bytes.fromhex(first.decode())) == 8
    assert first == second


def test_an_event_is_never_let_go_of() -> None:
    """It has a reference that nothing gives back; so we empty each, or keys would stay there."""
    bench = Bench().connected()
    events: list[dict[str, Any]] = []
    bench.panel.set_event_callback(lambda _reader, event: events.append(event))
    key = {"event": osdp_sys.EVENT_KEYPRESS, "reader_no": 0, "data": b"1"}
    assert bench.reader.submit_event(key)
    while not events:
        bench.answer()
        bench.panel.refresh()

    event, ordinary = events.pop(), dict[str, object]()

    assert sys.getrefcount(event) == sys.getrefcount(ordinary) + 1
