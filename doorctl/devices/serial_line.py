"""One serial line, read by one thread, that comes back by itself after an unplug."""

from __future__ import annotations

import errno
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Lock, Thread, current_thread

from serial import Serial
from serial.serialutil import Timeout

from doorctl.core.errors import DeviceError
from doorctl.devices.lines import MOST_PENDING, BytesReceived, LineConnected, LineEvent, LineLost

# Pure: time is counted in looks.

LOOK_S = 0.25
"""Pause between two looks at the path; budget: a swipe works 1 s after the node is there."""

FIRST_WAIT_S = 0.25
"""Pause after the first failure to open a device that is there."""

LONGEST_WAIT_S = 5.0
"""Pause after many: a busy or forbidden device is worth one try every five seconds."""

Node = tuple[str, int, int, int]
"""The device at a path, links followed: its own path, device number, inode and ctime in ns, for a
node that went and came back gets the same numbers. Another value means another device."""


@dataclass(frozen=True, slots=True)
class Reopening:
    """Which node was tried last, how long it still has to wait, and how long the next time.

    `node` is None where nothing was tried or the node has vanished since.
    """

    node: Node | None = None
    left_s: float = 0.0
    next_wait_s: float = FIRST_WAIT_S

    def looked(self, node: Node | None) -> Reopening:
        """Note what is at the path, one look after the last; a new node need not wait."""
        if node is None or node != self.node:
            return Reopening(node)
        return Reopening(node, max(0.0, self.left_s - LOOK_S), self.next_wait_s)

    @property
    def due(self) -> bool:
        """Whether to open the node now."""
        return self.node is not None and self.left_s <= 0.0

    def tried(self) -> Reopening:
        """Count an attempt; it is forgotten by :meth:`worked` or when the node changes."""
        longer = min(2 * self.next_wait_s, LONGEST_WAIT_S)
        return Reopening(self.node, self.next_wait_s, longer)

    def worked(self) -> Reopening:
        """Forget the failures: the device has said something."""
        return Reopening(self.node, FIRST_WAIT_S)


CHUNK_BYTES = 256
"""Most bytes of one read: no card is longer, and one event must take the loop no time."""

DRAIN_QUIET_S = 0.03
"""How long a newly opened line must be silent: 28 characters at 9600 baud."""

DRAIN_LIMIT_S = 0.5
"""A device that never stops sending is read after so long; framing copes with half a frame."""

FRESH_S = 3.0
"""A device that was missing so recently has no old bytes to send."""

PAUSE_S = 0.005
"""Pause between two looks at the backlog."""

STOP_S = 2.0
"""The longest that :meth:`SerialLine.stop` waits for the thread."""

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
class SerialLine:
    """Raw bytes, opened exclusively; `post` is called from the line's own thread.

    Bytes that lay in the buffers when the line is opened are dropped, so that a swipe made while
    the daemon was away never opens the door; but a device that was seen to be plugged in is read
    from its first byte on. One LineLost is posted for one loss, and for a device that is not there
    at the start.

    Args:
        name: stands in every event.
        port: a path that survives re-plugging, such as ``/dev/serial/by-id/...``.
        post: takes events; must not block or raise.
        pending: how many events wait to be handled.
        bits: data bits, parity (N, E or O) and stop bits of a character.
        fresh_s: a device counts as new if it was missing at most so long ago.
        monotonic_s: by which it is noted when bytes were read.
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

    def __post_init__(self) -> None:
        self._stopping = Event()
        self._lost = False
        self._reopening = Reopening()
        self._fresh = Timeout(0.0)
        self._lock = Lock()
        self._open: Serial | None = None
        self._thread = Thread(target=self._run, name=f"serial-{self.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread runs; False before `start`, after `stop` and after a bug."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to look for the device; call once."""
        self._thread.start()

    def stop(self) -> None:
        """Close the line; nothing is posted afterwards. Idempotent, from any thread."""
        self._stopping.set()
        with self._lock:
            if self._open is not None:
                self._open.cancel_read()
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
            line = self._opened(_Fresh if fresh else Serial)
        except FAILURES as failure:
            self._lose(f"{self.port} {what_to_check(failure)}")
            return
        try:
            if not fresh:
                self._drain(line)
            line.timeout = None
            if not self._stopping.is_set():
                self._lost = False
                self.post(LineConnected(self.name))
            self._read(line)
            lost = False
        except FAILURES:
            lost = True
        finally:
            # Before the next look at the path: a node that is held open is numbered anew.
            with self._lock:
                self._open = None
                line.close()
        if lost:
            self._lose(f"{self.port} was unplugged or stopped answering; check the cable")

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
            if self.pending() > MOST_PENDING:
                self._stopping.wait(PAUSE_S)
                continue
            data = line.read(min(line.in_waiting or 1, CHUNK_BYTES))
            if data and not self._stopping.is_set():
                self._reopening = self._reopening.worked()
                self.post(BytesReceived(self.name, data, self.monotonic_s()))

    def _lose(self, why: str) -> None:
        if not self._lost and not self._stopping.is_set():
            self._lost = True
            self.post(LineLost(self.name, why))


class _Fresh(Serial):
    """A serial port whose kernel buffer is not emptied when it is opened."""

    def _reset_input_buffer(self) -> None:
        pass


def node_at(path: str) -> Node | None:
    """Return the device at a path, without opening it; None where there is nothing."""
    try:
        real = Path(path).resolve(strict=True)
        found = real.stat()
        return str(real), found.st_rdev, found.st_ino, found.st_ctime_ns
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
        return None


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
