"""Looks for wrong bits in the patron register, so that its sender is called for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from doorctl.core.errors import StoreDamagedError
from doorctl.core.ports import Clock, EventLog
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter

EVERY_S = 24 * 3600.0
"""How often all rows are read: a wrong bit in a row's key is met by no swipe."""

LIMIT_S = 2.0
"""Longest that the sender waits for it; the rest is looked at when it asks again."""


@dataclass(eq=False)
class Inspection:
    """Reads all rows: at the sender's first question, daily, and when the door has met a wrong bit.

    `wanted` may be set on any thread, all else belongs to the writer's. `lookup` is the writer's
    file. Damage is alarmed once, and stands in the file until a whole register comes.
    """

    writer: PatronCacheWriter
    lookup: PatronCache
    clock: Clock
    log: EventLog
    wanted: bool = True
    _after: bytes | None = None
    _looked_s: float = -inf

    def look(self) -> None:
        """Read on from where the last look ended. Raises StoreError: nothing can be read."""
        now_s = self.clock.monotonic_s()
        if self._after is None and (self.wanted or now_s - self._looked_s >= EVERY_S):
            self.wanted, self._after, self._looked_s = False, b"", now_s
        while self._after is not None and self.clock.monotonic_s() - now_s < LIMIT_S:
            try:
                last, damaged = self.lookup.inspect(self._after)
            except StoreDamagedError:
                last, damaged = b"", 1
            self._after = last or None
            if damaged and self.writer.note_damage():
                why = "patrons.db has wrong bits; the sender is called for the whole register"
                self.log.emit("alarm", kind="store_damaged", why=why)
