"""Faults of the machine and its devices: told when they have lasted, and told to be over.

What begins and ends within a breath (a cable pushed in anew, web restarting) is nobody's call at
night; what lasts is told before a patron stands outside because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a fault lasts before it is told, and after how long it is told again, seconds."""

    lasts_s: float = 0.0
    again_s: float = DAY_S


FAULTS: Mapping[str, Patience] = MappingProxyType(
    {
        "reader_lost": Patience(20.0),
        "keypad_lost": Patience(20.0),
        "register_old": Patience(),
        "disk_low": Patience(),
        "web_silent": Patience(180.0),
        "undervoltage": Patience(),
    }
)
"""Alarm -> how patiently it is told; its end is the same name with ``_cleared``."""


class LastingFaults:
    """Keep which faults there are, and tell of those that last. One thread.

    Args:
        alarm: told a kind and why.
    """

    def __init__(self, alarm: Callable[[str, str], None]) -> None:
        self._alarm = alarm
        self._since_s: dict[str, float] = {}
        self._told_s: dict[str, float] = {}

    def see(self, found: Mapping[str, str | None], now_s: float) -> None:
        """Take what each fault is like now.

        Args:
            found: of :data:`FAULTS`, why it is there, or None where it is not; what is left out
                is not known now, and stays as it was.
            now_s: monotonic seconds.
        """
        for kind, why in found.items():
            if why is None:
                self._end(kind)
            elif self._is_due(kind, now_s):
                self._told_s[kind] = now_s
                self._alarm(kind, why)

    def _is_due(self, kind: str, now_s: float) -> bool:
        patience, told_s = FAULTS[kind], self._told_s.get(kind)
        if told_s is not None:
            return now_s - told_s >= patience.again_s
        return now_s - self._since_s.setdefault(kind, now_s) >= patience.lasts_s

    def _end(self, kind: str) -> None:
        self._since_s.pop(kind, None)
        if self._told_s.pop(kind, None) is not None:
            self._alarm(f"{kind}_cleared", "")
