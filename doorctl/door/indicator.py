"""Lamps and buzzer at the reader: which signal shows what, for how long; deadlines are state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Lamps:
    """The state of the three outputs; True is on."""

    green: bool = False
    red: bool = False
    buzzer: bool = False


class Signal(Enum):
    """What the patron is told. There is one refusal: no lamp tells the queue why."""

    IDLE = "idle"
    CARD_READ = "card_read"
    KEY = "key"
    GRANTED = "granted"
    REFUSED = "refused"


CLICK_S = 0.05
"""Buzzer for one key, the same for each (EN 60839-11-1 table 7, row 23)."""

REFUSED_S = 2.0
"""Red lamp after a refusal: long enough to be seen while looking down at the keypad."""

GRANTED_S = 3.0
"""Green lamp after a grant (EN 60839-11-1 table 3, row 1: visible indication on grant)."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which lamp a signal lights (None: leave as it is) and both durations in seconds."""

    lamps: Lamps | None
    lamp_s: float
    buzzer_s: float


PATTERNS = MappingProxyType(
    {
        Signal.IDLE: Pattern(Lamps(), 0.0, 0.0),
        Signal.CARD_READ: Pattern(Lamps(), 0.0, CLICK_S),
        Signal.KEY: Pattern(None, 0.0, CLICK_S),
        Signal.GRANTED: Pattern(Lamps(green=True), GRANTED_S, 0.0),
        Signal.REFUSED: Pattern(Lamps(red=True), REFUSED_S, 0.0),
    }
)


@dataclass(frozen=True, slots=True)
class Indicator:
    """What is lit, and until when (monotonic seconds); None for no deadline."""

    lamps: Lamps = Lamps()
    lamp_until_s: float | None = None
    buzzer_until_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`at` must be called next."""
        pending = [at for at in (self.lamp_until_s, self.buzzer_until_s) if at is not None]
        return min(pending, default=None)

    def signalled(self, signal: Signal, now_s: float) -> Indicator:
        """Show a signal from now on."""
        pattern = PATTERNS[signal]
        shown = self
        if pattern.lamps is not None:
            until = now_s + pattern.lamp_s if pattern.lamp_s else None
            lamps = replace(pattern.lamps, buzzer=self.lamps.buzzer)
            shown = replace(self, lamps=lamps, lamp_until_s=until)
        if pattern.buzzer_s:
            lamps = replace(shown.lamps, buzzer=True)
            shown = replace(shown, lamps=lamps, buzzer_until_s=now_s + pattern.buzzer_s)
        return shown

    def at(self, now_s: float) -> Indicator:
        """Switch off what has been on for long enough."""
        shown = self
        if shown.lamp_until_s is not None and now_s >= shown.lamp_until_s:
            lamps = Lamps(buzzer=shown.lamps.buzzer)
            shown = replace(shown, lamps=lamps, lamp_until_s=None)
        if shown.buzzer_until_s is not None and now_s >= shown.buzzer_until_s:
            lamps = replace(shown.lamps, buzzer=False)
            shown = replace(shown, lamps=lamps, buzzer_until_s=None)
        return shown
