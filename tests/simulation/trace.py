"""What happened, line by line: hashed, so that two runs can be compared, and the last 30 kept."""

from __future__ import annotations

import hashlib
from collections import deque

KEPT_LINES = 30


class Trace:
    """Lines of a time, an event and an effect; none names a person or a path."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self._digest = hashlib.sha256()

    def note(self, ms: int, event: str, effect: object = "") -> None:
        """Add a line."""
        self.steps += 1
        line = f"{ms / 1000:.3f} {event} {effect}"
        self.last.append(f"{self.steps} {line}")
        self._digest.update(line.encode() + b"\n")

    def hash(self) -> str:
        """Return the SHA-256 of all lines so far, in hex."""
        return self._digest.hexdigest()
