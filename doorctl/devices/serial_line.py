"""One serial line, read by one thread, that comes back by itself after an unplug."""

from __future__ import annotations

import errno
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field
from selectors import EVENT_READ, DefaultSelector
from threading import Lock

from serial import Serial
from serial.serialutil import Timeout

from doorctl.core.errors import DeviceError
from doorctl.devices.line_thread import FRESH_S, LineThread
from doorctl.devices.lines import MOST_PENDING, LineEvent

CHUNK_BYTES = 256
"""Most bytes of one read: no card is longer, and one event must take the loop no time."""

DRAIN_QUIET_S = 0.03
"""How long a newly opened line must be silent: 28 characters at 9600 baud."""

DRAIN_LIMIT_S = 0.5
"""A device that never stops sending is read after so long; framing copes with half a frame."""

FAILURES = (OSError, ValueError, termios.error)
"""SerialException is an OSError; ValueError is a bad speed, termios.error a node that just went."""

WHAT_TO_CHECK = {
    errno.ENOENT: "is not there; check the cable, and the name with: ls /dev/serial/by-id",
    errno.EACCES: "may not be opened; add the daemon's user to the group dialout",
    errno.EPERM: "may not be opened; check DeviceAllow= of the systemd unit",
    errno.EAGAIN: "is in use; find the other program with: fuser",
    errno.EBUSY: "is in use; find the other program with: fuser",
}


@dataclass(eq=False)
class SerialLine(LineThread):
    """Raw bytes, opened exclusively; `post` is called from the line's own thread.

    Bytes that lay in the buffers when the line is opened are dropped, so that a swipe made while
    the daemon was away never opens the door; but a device that was seen to be plugged in is read
    from its first byte on.

    Args:
        name: stands in every event.
        port: a path such as ``/dev/serial/by-id/...``.
        bits: data bits, parity (N, E or O) and stop bits of a character.

    The others are those of :class:`LineThread`.
    """

    name: str
    port: str
    baud: int
    post: Callable[[LineEvent], None]
    pending: Callable[[], int]
    _: KW_ONLY
    bits: str = "8N1"
    fresh_s: float = FRESH_S
    monotonic_s: Callable[[], float | None] = lambda: None
    missing: str = field(default=WHAT_TO_CHECK[errno.ENOENT], init=False)

    def __post_init__(self) -> None:
        self.names = (self.name,)
        self._lock = Lock()
        self._open: Serial | None = None
        self._prepare("serial")

    def _wake(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open.cancel_read()

    def _use(self, *, fresh: bool) -> str | None:
        try:
            line = self._opened(_Fresh if fresh else Serial)
        except FAILURES as failure:
            return f"{self.port} {what_to_check(failure)}"
        try:
            if not fresh:
                self._drain(line)
            line.timeout = None
            self._connected()
            self._read(line)
        except FAILURES:
            return f"{self.port} was unplugged or stopped answering; check the cable"
        finally:
            # Before the next look at the path: a node that is held open is numbered anew.
            with self._lock:
                self._open = None
                line.close()
        return None

    def _opened(self, kind: type[Serial]) -> Serial:
        line = kind(
            self.port,
            self.baud,
            bytesize=int(self.bits[0]),
            parity=self.bits[1],
            stopbits=int(self.bits[2]),
            timeout=DRAIN_QUIET_S,
            exclusive=True,
        )
        with self._lock:
            self._open = line
        return line

    def _drain(self, line: Serial) -> None:
        # Opening has emptied the kernel's buffer; this is for what an adapter still sends after it.
        limit = Timeout(DRAIN_LIMIT_S)
        while line.read(CHUNK_BYTES) and not limit.expired():
            pass

    def _read(self, line: Serial) -> None:
        while not self._stopping.is_set():
            self._hold_back()
            data = line.read(min(line.in_waiting or 1, CHUNK_BYTES))
            if data:
                self._reopening = self._reopening.worked()
                self._heard(self.name, data)


class _Fresh(Serial):
    """A serial port whose kernel buffer is not emptied when it is opened."""

    def _reset_input_buffer(self) -> None:
        pass


def first_to_speak(
    lines: Mapping[str, int], wait_s: float, quiet_s: float, stop: int
) -> tuple[str, bytes] | None:
    """Return the first of some lines that speaks, and what it says until it is quiet.

    Args:
        lines: path -> bits per second; each is opened as 8N1, see `as_sent`.
        stop: a descriptor; once it can be read nobody waits any more, and None is returned.

    Raises DeviceError: a line is in use or can't be read; says which.
    """
    with ExitStack() as stack, DefaultSelector() as ready:
        ready.register(stop, EVENT_READ)
        path = ""
        try:
            for path, baud in lines.items():
                line = stack.enter_context(Serial(path, baud, timeout=quiet_s, exclusive=True))
                ready.register(line, EVENT_READ, line)
            for key, _ in ready.select(wait_s):
                if (line := key.data) is not None:
                    path = line.port
                    return path, b"".join(_until_quiet(line))
        except FAILURES as failure:
            raise DeviceError(f"{path} {what_to_check(failure)}") from failure
    return None


def _until_quiet(line: Serial) -> Iterator[bytes]:
    for _ in range(MOST_PENDING):
        if not (data := line.read(max(1, line.in_waiting))):
            return
        yield data


def what_to_check(failure: Exception) -> str:
    """Return what is wrong with a line that one of :data:`FAILURES` kept shut, behind its path."""
    number = failure.errno if isinstance(failure, OSError) else None
    default = "can't be opened as a serial line; check the port, its speed and its bits"
    return WHAT_TO_CHECK.get(number or 0, default)
