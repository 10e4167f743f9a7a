"""The thread of a line: it looks for its device, uses it while it is there, and comes back.

All kinds of line have it; what is done with an open device is each kind's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread, current_thread

from serial.serialutil import Timeout

from doorctl.devices.lines import MOST_PENDING, BytesReceived, LineConnected, LineEvent, LineLost

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


def node_at(path: str) -> Node | None:
    """Return the device at a path, without opening it; None where there is nothing."""
    try:
        real = Path(path).resolve(strict=True)
        found = real.stat()
        return str(real), found.st_rdev, found.st_ino, found.st_ctime_ns
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
        return None


FRESH_S = 3.0
"""A device that was missing so recently has no old bytes to send."""

STOP_S = 2.0
"""The longest that :meth:`LineThread.stop` waits for the thread."""

PAUSE_S = 0.005
"""Pause between two looks at the backlog."""


class LineThread(ABC):
    """What every line's thread does; a kind sets the attributes and calls `_prepare` once.

    One LineLost is posted for one loss, and for a device that is not there at the start; of a loss
    of which the device's own answers then show a deeper cause there is another.

    Attributes:
        names: of the lines that it posts to.
        port: a path that survives re-plugging.
        post: takes events; must not block or raise.
        pending: how many events wait to be handled.
        monotonic_s: by which it is noted when bytes were read.
        missing: what to do where nothing is at the path.
        fresh_s: a device counts as new if it was missing at most so long ago.
    """

    names: tuple[str, ...]
    port: str
    post: Callable[[LineEvent], None]
    pending: Callable[[], int]
    monotonic_s: Callable[[], float | None]
    missing: str
    fresh_s: float = FRESH_S

    def _prepare(self, kind: str) -> None:
        self._stopping = Event()
        self._reopening = Reopening()
        self._fresh = Timeout(0.0)
        self._reasons: set[str] = set()
        name = f"{kind}-{self.names[0]}"
        self._thread = Thread(target=self._run, name=name, daemon=True)

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
        self._wake()
        if self._thread.is_alive() and self._thread is not current_thread():
            self._thread.join(STOP_S)

    @abstractmethod
    def _use(self, *, fresh: bool) -> str | None:
        """Use the device until it is gone; return why it is lost, None where it was stopped."""

    @abstractmethod
    def _wake(self) -> None:
        """End a wait for the device, from any thread."""

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._reopening = self._reopening.looked(node_at(self.port))
            if self._reopening.due:
                self._reopening = self._reopening.tried()
                if (why := self._use(fresh=not self._fresh.expired())) is not None:
                    self._lose(why)
            elif self._reopening.node is None:
                self._fresh = Timeout(self.fresh_s)
                self._lose(f"{self.port} {self.missing}")
            # Also after a loss: a device that dies as soon as it is opened must not make this spin.
            self._stopping.wait(LOOK_S)

    def _hold_back(self) -> None:
        """Read no further while too many events wait."""
        while self.pending() > MOST_PENDING and not self._stopping.wait(PAUSE_S):
            pass

    def _connected(self) -> None:
        self._reasons.clear()
        for name in self.names:
            self._say(LineConnected(name))

    def _heard(self, name: str, data: bytes) -> None:
        self._say(BytesReceived(name, data, self.monotonic_s()))

    def _lose(self, why: str, *, answered: bool = False) -> None:
        """Tell of a loss; of another reason for it only where it was `answered` by the device."""
        if why not in self._reasons and (answered or not self._reasons):
            self._reasons.add(why)
            for name in self.names:
                self._say(LineLost(name, why))

    def _say(self, event: LineEvent) -> None:
        if not self._stopping.is_set():
            self.post(event)
