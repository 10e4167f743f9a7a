"""libosdp's control panel for one reader, on a serial line that doorctl opens."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Mapping
from select import select
from typing import Any

import osdp_sys
from serial import Serial

from doorctl.core.masked import Masked
from doorctl.devices.serial_line import FAILURES
from doorctl.extras.osdp.packets import Replies

READ_BYTES = 512
MOST_COME_BYTES = 4096
"""As much as the kernel keeps of a line: what is more is thrown away."""

PanelEvent = dict[str, Any]


def opened_line(port: str, baud: int) -> Serial:
    """Open the line to the reader, for this process alone; nothing that is called on it waits.

    Raises one of `FAILURES` of `devices/serial_line.py`.
    """
    return Serial(port, baud, timeout=0, write_timeout=0, exclusive=True)


class Channel:
    """What libosdp reads and writes through; `replies` decides what it may hear.

    libosdp never lets go of one, so a device has one for all its lines. No exception may leave the
    methods, for libosdp would carry it on into the next call; the first `failure` is kept.
    """

    id = 0

    def __init__(self, replies: Replies, monotonic_s: Callable[[], float]) -> None:
        self.replies = replies
        self._monotonic_s = monotonic_s
        self.heard_s = self.sent_s = monotonic_s()
        self.use(None)

    def use(self, line: Serial | None) -> None:
        """Take another line, or none."""
        self._line = line
        self._descriptor = -1 if line is None else line.fileno()
        self._can_read = False
        self._come, self._ready = bytearray(), bytearray()
        self.failure: Exception | None = None

    def wait(self, limit_s: float, *others: int) -> list[int]:
        """Wait until a byte comes, or one of `others` can be read; return which of these can be."""
        ready, _, _ = select((self._descriptor, *others), (), (), limit_s)
        self._can_read = self._descriptor in ready
        return [each for each in ready if each != self._descriptor]

    def hear(self) -> None:
        """Take what came while it was waited, also where libosdp asks for nothing.

        It does not for 0.8 s before it says a command again, and a byte that lay there would end
        each wait at once.
        """
        if not self._can_read:
            return
        self._can_read = False
        try:
            # Not by `Serial.read`, which waits and looks once more: this runs 20 times a second.
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as failure:
            self.failure = failure
            return
        if not data:
            self.failure = OSError(errno.ENODEV, "the line is gone")
        elif len(self._come) < MOST_COME_BYTES:
            self._come += data

    def read(self, most_bytes: int) -> bytes:
        """Return what libosdp may hear of what came.

        Not before it asks: what is late is known by the command that was sent again meanwhile.
        """
        if self._come:
            heard = self.replies.received(bytes(self._come))
            self._come.clear()
            if heard:
                self._ready += heard
                self.heard_s = self._monotonic_s()
        ready = bytes(self._ready[:most_bytes])
        del self._ready[:most_bytes]
        return ready

    def write(self, data: bytes) -> int:
        """Send a command; return how much of it went, and libosdp sends the rest later."""
        self.replies.sent(data)
        self.sent_s = self._monotonic_s()
        try:
            return 0 if self._line is None else os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as failure:
            self.failure = failure
            return 0

    def flush(self) -> None:
        """Throw away what has come."""
        self._come.clear()
        self._ready.clear()
        self._can_read = False
        try:
            if self._line is not None:
                self._line.reset_input_buffer()
        except FAILURES as failure:
            self.failure = failure


class Panel:
    """One try to have a secure channel; call :meth:`refresh` whenever a byte came or a time is up.

    Without `enforced`, for set-up alone, libosdp also tries SCBK-D and then gives the reader `key`.
    One thread; `heard` is called in :meth:`refresh`, must not raise, and must empty its event:
    libosdp lets go of none, and what somebody typed would stay in memory for ever.
    """

    def __init__(
        self,
        channel: Channel,
        address: int,
        key: Masked[bytes],
        heard: Callable[[int, PanelEvent], None],
        *,
        enforced: bool = True,
    ) -> None:
        # It writes to stderr, and packets at its lowest levels.
        osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
        seed_randomness()
        self._channel, self._replies = channel, channel.replies
        self._replies.forget()
        flags = osdp_sys.FLAG_ENFORCE_SECURE if enforced else 0
        about = {
            "name": "reader",
            "address": address,
            "flags": flags,
            "scbk": key.reveal(),
            "channel": channel,
        }
        self._panel = osdp_sys.ControlPanel([about])
        self._panel.set_event_callback(heard)
        self.has_queued = False

    @property
    def is_up(self) -> bool:
        """Whether the secure channel stands, with a key that is not SCBK-D."""
        return bool(self._panel.status() & self._panel.sc_status() & 1)

    def refresh(self) -> None:
        """Let libosdp read, write and look at its clock; takes no time."""
        self.has_queued = False
        self._channel.hear()
        self._panel.refresh()
        if not self._replies.awaits:
            # One turn takes a command out of the queue, and the next one sends it.
            self._panel.refresh()
            self._panel.refresh()

    def is_able(self, capability: int) -> bool:
        """Tell whether the reader has a capability; known once the channel is up."""
        level, _items = self._panel.check_capability(0, capability)
        return bool(level)

    def submit(self, command: Mapping[str, object]) -> bool:
        """Have a command sent as soon as may be; False where the channel is not up."""
        self.has_queued = bool(self._panel.submit_command(0, dict(command)))
        return self.has_queued


_STATE = ctypes.create_string_buffer(256)


def seed_randomness() -> None:
    """Give libc's ``rand()`` a state that was never used before.

    libosdp 3.2.9 draws its half of the session's keys from it and never seeds it, so each process
    would draw the same: somebody who has recorded a card and a PIN could say them again to the
    next. The state lies in this module's buffer, whose first word is libc's; 252 bytes of it
    are drawn.
    """
    libc = ctypes.CDLL(None)
    libc.initstate.restype = ctypes.c_void_p
    libc.initstate(ctypes.c_uint(int.from_bytes(os.urandom(4))), _STATE, len(_STATE))
    ctypes.memmove(ctypes.addressof(_STATE) + 4, os.urandom(len(_STATE) - 4), len(_STATE) - 4)
