"""What a process has alarmed and what it has found to be well, for its threads."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock

from doorctl.core.alarms import ENDS, RaisedAlarm, kind_of


class Raised:
    """What a process has alarmed and not ended, and what it has found to be well. Never waits.

    It keeps only kinds that have an end; other alarms are moments, which do not stand. Thread-safe.
    """

    def __init__(self) -> None:
        # Re-entrant, because a signal handler may log while the main thread is logging.
        self._lock = RLock()
        self._heard: dict[tuple[str, str], RaisedAlarm] = {}
        self._well: set[str] = set()

    def hear(self, heard: RaisedAlarm) -> bool:
        """Note an alarm or an end; False for an end after which another part's alarm stands."""
        key = (heard.kind, heard.part)
        with self._lock:
            if (ended := kind_of(heard.kind).clears) is not None:
                self._heard.pop((ended, heard.part), None)
                return self._is_over(ended)
            if heard.kind in ENDS:
                first = self._heard.get(key, heard)
                self._heard[key] = replace(heard, at_s=first.at_s)
                self._well.discard(heard.kind)
            return True

    def find_well(self, kind: str, part: str = "") -> bool:
        """Note that an alarm would be wrong now; tell whether one has stood that is over by it."""
        with self._lock:
            stood = self._heard.pop((kind, part), None) is not None
            return self._is_over(kind) and stood

    def standing(self) -> tuple[RaisedAlarm, ...]:
        """Return each standing alarm: its last reason, and when it was first raised."""
        found: dict[str, RaisedAlarm] = {}
        with self._lock:
            for heard in self._heard.values():
                at_s = min(heard.at_s, found.get(heard.kind, heard).at_s)
                found[heard.kind] = replace(heard, at_s=at_s, part="")
        return tuple(found.values())

    def well(self) -> frozenset[str]:
        """Return the kinds that this process has found to be well, and has not raised since."""
        with self._lock:
            return frozenset(self._well)

    def _is_over(self, kind: str) -> bool:
        if any(stands == kind for stands, _ in self._heard):
            return False
        self._well.add(kind)
        return True
