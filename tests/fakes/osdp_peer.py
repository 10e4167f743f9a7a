"""An OSDP reader that is libosdp's own peripheral device, and a cable that makes faults."""

from __future__ import annotations

import os
import select
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import osdp_sys

KEY = bytes(range(0x11, 0x21))
"""A reader's key, SCBK; synthetic."""

ANOTHER_KEY = bytes(range(0x61, 0x71))

SCBK_D = bytes(range(0x30, 0x40))
"""The key that every new reader has, published in the standard."""

WITHOUT_LAMPS = (osdp_sys.CAP_READER_LED_CONTROL, osdp_sys.CAP_READER_AUDIBLE_OUTPUT)

CAPABILITIES = {
    osdp_sys.CAP_CONTACT_STATUS_MONITORING: (1, 1),
    osdp_sys.CAP_CARD_DATA_FORMAT: (1, 1),
    osdp_sys.CAP_READER_LED_CONTROL: (1, 1),
    osdp_sys.CAP_READER_AUDIBLE_OUTPUT: (1, 1),
    osdp_sys.CAP_CHECK_CHARACTER_SUPPORT: (1, 0),
    osdp_sys.CAP_COMMUNICATION_SECURITY: (1, 1),
    osdp_sys.CAP_READERS: (0, 1),
}
"""What the reader says that it can: function -> level and number of items."""

TURN_S = 0.002


class _Bus:
    """The reader's end of the cable, as libosdp asks for it."""

    def __init__(self, descriptor: int) -> None:
        self.id = descriptor
        self._descriptor = descriptor

    def read(self, most: int) -> bytes:
        """Return what has come."""
        try:
            ready, _, _ = select.select([self._descriptor], [], [], 0)
            return os.read(self._descriptor, most) if ready else b""
        except OSError:  # nobody holds the other end of the pty
            return b""

    def write(self, data: bytes) -> int:
        """Send."""
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return len(data)

    def flush(self) -> None:
        """Throw away what has come."""
        while self.read(4096):
            pass


@dataclass
class OsdpPeer:
    """A reader with keypad that somebody else wrote: libosdp's PD.

    Args:
        descriptor: its end of the cable.
        key: None is a reader in clear text.
        installing: in set-up mode it takes :data:`SCBK_D` and a new key.
        without: capabilities that it does not have.
        commands: what came, in order.
        refuse: tells to which command it answers NAK.
    """

    descriptor: int
    key: bytes | None = KEY
    address: int = 0
    installing: bool = False
    without: tuple[int, ...] = ()
    commands: list[dict[str, Any]] = field(default_factory=list)
    refuse: Callable[[dict[str, Any]], bool] = lambda _command: False

    def __post_init__(self) -> None:
        self._answer: dict[str, Any] | None = None
        self._lock = Lock()
        self._stopping = Event()
        self._bus = _Bus(self.descriptor)
        self._device: Any = None
        self.restart()
        self._thread = Thread(target=self._run, name="osdp-peer", daemon=True)
        self._thread.start()

    def swipe(self, data: bytes, bits: int | None = None, *, wiegand: bool = False) -> None:
        """Read a card; `bits` is the number of bits, as many as `data` has by default."""
        formats = osdp_sys.CARD_FMT_RAW_UNSPECIFIED, osdp_sys.CARD_FMT_RAW_WIEGAND
        self._submit(
            event=osdp_sys.EVENT_CARDREAD,
            reader_no=0,
            direction=0,
            format=formats[wiegand],
            length=8 * len(data) if bits is None else bits,
            data=data,
        )

    def press(self, keys: str) -> None:
        """Press keys, each in an answer of its own, as the standard writes them."""
        for key in keys:
            byte = {"*": b"\x7f", "#": b"\r"}.get(key, key.encode())
            self._submit(event=osdp_sys.EVENT_KEYPRESS, reader_no=0, data=byte)

    def tamper(self, *, tampered: bool) -> None:
        """Open or shut the housing; to LSTAT it always answers that it is shut."""
        report = bytes((tampered, False))
        kind = osdp_sys.STATUS_REPORT_LOCAL
        self._submit(event=osdp_sys.EVENT_STATUS, type=kind, report=report)

    def restart(self, key: bytes | None = None, *, address: int | None = None) -> None:
        """Lose power and come back, with another key or address where one is given."""
        self.key = self.key if key is None else key
        self.address = self.address if address is None else address
        about = {
            "name": "peer",
            "address": self.address,
            "flags": osdp_sys.FLAG_INSTALL_MODE if self.installing else 0,
            "scbk": self.key,
            "channel": self._bus,
            "version": 1,
            "model": 1,
            "vendor_code": 0xCAFE,
            "serial_number": 7,
            "firmware_version": 1,
        }
        able = [
            {"function_code": code, "compliance_level": level, "num_items": items}
            for code, (level, items) in CAPABILITIES.items()
            if code not in self.without
        ]
        with self._lock:
            osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
            self._device = osdp_sys.PeripheralDevice(about, capabilities=able)
            self._device.set_command_callback(self._commanded)

    @property
    def is_secure(self) -> bool:
        """Whether the secure channel is up."""
        with self._lock:
            return bool(self._device.is_sc_active())

    def commanded(self, command: int) -> list[dict[str, Any]]:
        """Return the commands of one kind that came."""
        return [each for each in self.commands if each["command"] == command]

    def stop(self) -> None:
        """Fall silent; the descriptor stays the caller's."""
        self._stopping.set()
        self._thread.join()

    def _submit(self, **event: object) -> None:
        with self._lock:
            assert self._device.submit_event(event), "the reader's queue is full"

    def _commanded(self, command: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if self.refuse(command):
            return -1, None
        self.commands.append(command)
        # Not a constant tuple: the library gives one reference too many of what is inside back.
        return 0, self._answer

    def _run(self) -> None:
        while not self._stopping.wait(TURN_S):
            with self._lock:
                self._device.refresh()


@dataclass
class NoisyLine:
    """A cable with two ends, both descriptors, between which `change` may do what noise does.

    `change(data, to_panel)` returns the pieces to hand on, of which each goes in one write.
    """

    panel_end: int
    reader_end: int
    change: Callable[[bytes, bool], list[bytes]] = lambda data, _to_panel: [data]

    def __post_init__(self) -> None:
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="noisy-line", daemon=True)
        self._thread.start()

    def inject(self, data: bytes) -> None:
        """Say something to the panel, as somebody with a knife at the cable would."""
        os.write(self.panel_end, data)

    def stop(self) -> None:
        """Cut it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        ends = {self.panel_end: self.reader_end, self.reader_end: self.panel_end}
        while not self._stopping.is_set():
            for end in select.select(list(ends), [], [], 0.02)[0]:
                try:
                    data = os.read(end, 4096)
                    for piece in self.change(data, end == self.reader_end):
                        os.write(ends[end], piece)
                except OSError:  # nobody holds that end just now
                    self._stopping.wait(0.02)


@contextmanager
def cable(link: Path) -> Iterator[int]:
    """Lay a cable: `link` becomes the panel's port, and the reader's end is returned."""
    reader_end, port = os.openpty()
    tty.setraw(reader_end)
    tty.setraw(port)
    link.symlink_to(os.ttyname(port))
    try:
        yield reader_end
    finally:
        link.unlink(missing_ok=True)
        os.close(port)
        os.close(reader_end)
