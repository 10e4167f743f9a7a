"""When a serial line that is down may be tried again: pure, time is counted in looks."""

from __future__ import annotations

from dataclasses import dataclass

LOOK_S = 0.25
"""Between two looks at the path; budget: a swipe works 1 s after the node is there."""

FIRST_WAIT_S = 0.25
"""After the first failure to open a device that is there."""

LONGEST_WAIT_S = 5.0
"""After many: a busy or forbidden device is not worth more than an open every five seconds."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a path leads to; another value means another device, or other permissions.

    Args:
        target: the path with its links followed.
        device: major and minor number.
        inode: of the device node.
        changed_ns: its ctime: a node that went and came back gets the same numbers.
    """

    target: str
    device: int
    inode: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Reopening:
    """Which node was tried last, how long it still has to wait, and how long the next time.

    `node` is None where nothing was tried or the node has vanished since.
    """

    node: Node | None = None
    left_s: float = 0.0
    next_wait_s: float = FIRST_WAIT_S

    def looked(self, node: Node | None) -> Reopening:
        """Take in what the path leads to, one look after the last; a new node need not wait."""
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
