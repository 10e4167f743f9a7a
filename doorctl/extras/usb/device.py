"""A USB scanner or keypad that types as a keyboard, read by one thread, that comes back by itself.

No python-evdev: three ioctls and one record are all of it, and evdev comes as source, which would
have to be compiled for each architecture. Numbers are those of linux/input.h.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from fcntl import ioctl
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Lock, Thread, current_thread
from types import MappingProxyType

from serial.serialutil import Timeout

from doorctl.core.errors import DeviceError
from doorctl.devices.lines import MOST_PENDING, BytesReceived, LineConnected, LineEvent, LineLost
from doorctl.devices.serial_line import (
    DRAIN_LIMIT_S,
    DRAIN_QUIET_S,
    FRESH_S,
    LOOK_S,
    PAUSE_S,
    STOP_S,
    Reopening,
    node_at,
)
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
        errno.ENOENT: f"is not there; check the cable, and the name with: ls {BY_ID}",
        errno.EACCES: "may not be opened; add the daemon's user to the group input",
        errno.EPERM: "may not be opened; check DeviceAllow= of the systemd unit",
        errno.EBUSY: "is in use; find the other program with: fuser",
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
class InputLine:
    """The keys of one device as bytes; `post` is called from the line's own thread.

    Keys that lay in the buffer when the device is opened are dropped, as :class:`SerialLine` drops
    bytes, unless it was seen to be plugged in. One LineLost is posted for one loss.

    Args:
        name: stands in every event.
        port: a path that survives re-plugging, such as ``/dev/input/by-id/...-event-kbd``.
        layout: what its keys mean.
        post: takes events; must not block or raise.
        pending: how many events wait to be handled.
        is_keypad: whether each key is posted at once; a scanner's text is posted at its end.
        fresh_s: a device counts as new if it was missing at most so long ago.
        monotonic_s: by which it is noted when keys were read.
        opened: opens the device at a path and returns its descriptor, or raises DeviceError.
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

    def __post_init__(self) -> None:
        self._stopping = Event()
        self._lost = False
        self._reopening = Reopening()
        self._fresh = Timeout(0.0)
        self._lock = Lock()
        self._waking: int | None = None
        self._thread = Thread(target=self._run, name=f"usb-{self.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs; False before `start`, after `stop` and after a bug."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to look for the device; call once."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the device; nothing is posted afterwards. Idempotent, from any thread."""
        self._stopping.set()
        with self._lock:
            if self._waking is not None:
                os.eventfd_write(self._waking, 1)
        if self._thread.is_alive() and self._thread is not current_thread():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._reopening = self._reopening.looked(node_at(self.port))
            if self._reopening.due:
                self._reopening = self._reopening.tried()
                self._use()
            elif self._reopening.node is None:
                self._fresh = Timeout(self.fresh_s)
                self._lose(f"{self.port} {WHAT_TO_CHECK[errno.ENOENT]}")
            # Also after a loss: a device that dies as soon as it is opened must not make this spin.
            self._stopping.wait(LOOK_S)

    def _use(self) -> None:
        fresh = not self._fresh.expired()
        try:
            device = self.opened(self.port)
        except DeviceError as failure:
            self._lose(str(failure))
            return
        waking = os.eventfd(0, os.EFD_CLOEXEC)
        with self._lock:
            self._waking = waking
        try:
            with DefaultSelector() as ready:
                ready.register(device, EVENT_READ)
                if not fresh:
                    _drain(device, ready)
                ready.register(waking, EVENT_READ)
                if not self._stopping.is_set():
                    self._lost = False
                    self.post(LineConnected(self.name))
                self._read(device, ready)
            lost = False
        except OSError:
            lost = True
        finally:
            # Before the next look at the path: a node that is held open is numbered anew.
            with self._lock:
                self._waking = None
                os.close(waking)
            os.close(device)
        if lost:
            self._lose(f"{self.port} was unplugged or stopped answering; check the cable")

    def _read(self, device: int, ready: DefaultSelector) -> None:
        records, text = Records(), KeyedText(self.layout, is_keypad=self.is_keypad)
        while not self._stopping.is_set():
            if self.pending() > MOST_PENDING:
                self._stopping.wait(PAUSE_S)
            elif not ready.select(text.quiet_s):
                self._post(text.rest())
            elif (data := _read_from(device)) is not None:
                self._reopening = self._reopening.worked()
                self._post(b"".join(map(text.take, records.cut(data))))

    def _post(self, data: bytes) -> None:
        if data and not self._stopping.is_set():
            self.post(BytesReceived(self.name, data, self.monotonic_s()))

    def _lose(self, why: str) -> None:
        if not self._lost and not self._stopping.is_set():
            self._lost = True
            self.post(LineLost(self.name, why))


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
