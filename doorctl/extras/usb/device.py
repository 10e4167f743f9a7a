"""A USB scanner or keypad that types as a keyboard, read by one thread, that comes back by itself.

No python-evdev: three ioctls and one record are all of it, and evdev comes as source, which would
have to be compiled for each architecture. Numbers are those of linux/input.h.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from fcntl import ioctl
from selectors import EVENT_READ, DefaultSelector
from threading import Lock
from types import MappingProxyType

from serial.serialutil import Timeout

from doorctl.core.errors import DeviceError
from doorctl.devices import serial_line
from doorctl.devices.line_thread import FRESH_S, LineThread
from doorctl.devices.lines import LineEvent
from doorctl.devices.serial_line import DRAIN_LIMIT_S, DRAIN_QUIET_S
from doorctl.extras.usb.keys import KeyedText
from doorctl.extras.usb.layouts import Layout
from doorctl.extras.usb.records import EV_KEY, EVENT, MOST_KEYS, Records, keys_among, unfit

READ_BYTES = 64 * EVENT.size
"""As much as the kernel keeps for each reader of a keyboard."""

_READ, _WRITE = 2, 1


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("E") << 8 | number


EVIOCGRAB = _request(_WRITE, 0x90, 4)
EVIOCGNAME = _request(_READ, 0x06, 80)
EVIOCGBIT_KEY = _request(_READ, 0x20 + EV_KEY, MOST_KEYS // 8)

BY_ID = "/dev/input/by-id"

WHAT_TO_CHECK = MappingProxyType(
    {
        **serial_line.WHAT_TO_CHECK,
        errno.ENOENT: f"is not there; check the cable, and the name with: ls {BY_ID}",
        errno.EACCES: "may not be opened; add the daemon's user to the group input",
    }
)

OTHER = f"can't be read as a keyboard; name a scanner or keypad of {BY_ID}, which ends in event-kbd"


def open_keyboard(path: str) -> int:
    """Open a keyboard for this process alone and return its descriptor, which never blocks.

    Raises DeviceError: says what to do, as it can't be opened, has no digits, or can't be grabbed,
    and a console would hear the cards.
    """
    try:
        device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fault = _claim(device)
        except OSError:
            os.close(device)
            raise
    except OSError as failure:
        raise DeviceError(f"{path} {WHAT_TO_CHECK.get(failure.errno or 0, OTHER)}") from failure
    if fault is not None:
        os.close(device)
        raise DeviceError(f"{path} {fault}; name a scanner or keypad of {BY_ID}")
    return device


def _claim(device: int) -> str | None:
    """Have all keys come to this process alone; return what is wrong with the device."""
    bits = array("B", bytes(MOST_KEYS // 8))
    ioctl(device, EVIOCGBIT_KEY, bits)
    if (found := unfit(keys_among(bits.tobytes()))) is not None:
        return found + _called(device)
    ioctl(device, EVIOCGRAB, 1)
    return None


def _called(device: int) -> str:
    name = array("B", bytes(80))
    ioctl(device, EVIOCGNAME, name)
    text = name.tobytes().partition(b"\0")[0].decode("utf-8", "replace")
    return f" ({text})" if text.isprintable() and text else ""


@dataclass(eq=False)
class InputLine(LineThread):
    """The keys of one device as bytes; `post` is called from the line's own thread.

    Keys that lay in the buffer when the device is opened are dropped, as `SerialLine` drops bytes,
    unless it was seen to be plugged in.

    Args:
        name: stands in every event.
        port: a path such as ``/dev/input/by-id/...-event-kbd``.
        layout: what its keys mean.
        is_keypad: whether each key is posted at once; a scanner's text is posted at its end.
        opened: opens the device at a path and returns its descriptor, or raises DeviceError.

    The others are those of :class:`LineThread`.
    """

    name: str
    port: str
    layout: Layout
    post: Callable[[LineEvent], None]
    pending: Callable[[], int]
    _: KW_ONLY
    is_keypad: bool
    fresh_s: float = FRESH_S
    monotonic_s: Callable[[], float | None] = lambda: None
    opened: Callable[[str], int] = open_keyboard
    missing: str = field(default=WHAT_TO_CHECK[errno.ENOENT], init=False)

    def __post_init__(self) -> None:
        self.names = (self.name,)
        self._lock = Lock()
        self._waking: int | None = None
        self._prepare("usb")

    def _wake(self) -> None:
        with self._lock:
            if self._waking is not None:
                os.eventfd_write(self._waking, 1)

    def _use(self, *, fresh: bool) -> str | None:
        try:
            device = self.opened(self.port)
        except DeviceError as failure:
            return str(failure)
        try:
            with self._wakeable() as waking, DefaultSelector() as ready:
                ready.register(device, EVENT_READ)
                if not fresh:
                    _drain(device, ready)
                ready.register(waking, EVENT_READ)
                self._connected()
                self._read(device, ready)
        except OSError:
            return f"{self.port} was unplugged or stopped answering; check the cable"
        finally:
            # Before the next look at the path: a node that is held open is numbered anew.
            os.close(device)
        return None

    @contextmanager
    def _wakeable(self) -> Iterator[int]:
        """Yield a descriptor that can be read once :meth:`_wake` was called."""
        waking = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            with self._lock:
                self._waking = waking
            yield waking
        finally:
            with self._lock:
                self._waking = None
                os.close(waking)

    def _read(self, device: int, ready: DefaultSelector) -> None:
        records, text = Records(), KeyedText(self.layout, is_keypad=self.is_keypad)
        while not self._stopping.is_set():
            self._hold_back()
            if not ready.select(text.quiet_s):
                self._type(text.rest())
            elif (data := _read_from(device)) is not None:
                self._reopening = self._reopening.worked()
                self._type(b"".join(map(text.take, records.cut(data))))

    def _type(self, data: bytes) -> None:
        if data:
            self._heard(self.name, data)


def _drain(device: int, ready: DefaultSelector) -> None:
    # Once it has been silent nothing is read from its middle on.
    limit = Timeout(DRAIN_LIMIT_S)
    while ready.select(DRAIN_QUIET_S) and not limit.expired():
        _read_from(device)


def _read_from(device: int) -> bytes | None:
    """Return what is there; None for nothing. OSError: the device is gone."""
    try:
        data = os.read(device, READ_BYTES)
    except BlockingIOError:
        return None
    if not data:
        raise OSError(errno.ENODEV, "the device is gone")
    return data
