"""A door without a process: it says what it was told to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from doorctl.access.patron import Reason
from doorctl.core.errors import NotAnsweringError
from doorctl.demo.evening import Forgotten, Traces

Line = dict[str, Any]

THERE = Traces(in_rows=True, in_bytes=True, listed=False)
GONE = Traces(in_rows=False, in_bytes=False, listed=False)


@dataclass
class FakeDoorway:
    """A `DoorDriver` that answers each fourth key, or each unreadable card, with the next reason.

    Args:
        answers: what it decides, in order; afterwards it is silent.
        relay_works: whether the relay follows.
        old: what is found of the old visit at the end.
        sent: what was swiped and pressed, in order.
    """

    answers: list[Reason] = field(default_factory=list)
    relay_works: bool = True
    old: Traces = GONE
    lines: list[Line] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    _unheard: list[Line] = field(default_factory=list)
    _keys: int = 0

    def send_card(self, data: bytes, *, readable: bool) -> None:
        """Keep the card; an unreadable one is answered at once."""
        self.sent.append(f"card of {len(data)} bytes")
        self._keys = 0 if readable else -1
        if not readable:
            self._decide()

    def press(self, key: str) -> None:
        """Count the keys of a card."""
        self.sent.append(key)
        if self._keys >= 0:
            self._keys += 1
            if self._keys == 4:
                self._keys = -1
                self._decide()

    def pull(self) -> None:
        """Keep that it happened."""
        self.sent.append("pull")
        self._keys = -1

    def put_back(self, stored: bytes) -> None:
        """Keep that it happened; what was stored is dropped, as by a good door."""
        self.sent.append(f"put back with {len(stored)} bytes")

    def wait_for(self, event: str, *, timeout_s: float = 5.0, **fields: object) -> Line:
        """Return the next such line; what is not there never comes."""
        wanted = {"event": event, **fields}
        while self._unheard:
            line = self._unheard.pop(0)
            if wanted.items() <= line.items():
                return line
        raise NotAnsweringError(f"no line {wanted} within {timeout_s} s")

    def old_visit(self) -> Forgotten:
        """Return what is found of the old visit, which began well."""
        return Forgotten(THERE, None, self.old)

    def _decide(self) -> None:
        if not self.answers:
            return
        reason = self.answers.pop(0)
        said: Sequence[Line] = [
            {"event": "decision", "verdict": reason.verdict, "reason": reason.value}
        ]
        if reason is Reason.OK and self.relay_works:
            on = {"event": "relay", "energised": True, "monotonic_ns": 0}
            off = {"event": "relay", "energised": False, "monotonic_ns": 10**9}
            said = [on, *said, off]
        self.lines.extend(said)
        self._unheard.extend(said)
