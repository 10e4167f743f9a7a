"""Lamps and buzzer at the reader: which signal shows what, and for how long.

Signals about the door (warnings, alarms, the way out) are a sound alone and leave the lamps to the
patron: no alarm hides a refusal. Of two sounds the one that ends later is heard. Deadlines are
state.
"""

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
    """A signal at the door. There is only one for refusals: no lamp tells the queue why."""

    IDLE = "idle"
    CARD_READ = "card_read"
    KEY = "key"
    GRANTED = "granted"
    REFUSED = "refused"
    EXIT = "exit"
    HELD_WARNING = "held_warning"
    CLOSING_WARNING = "closing_warning"
    ALARM = "alarm"
    SILENCE = "silence"


CLICK_S = 0.05
"""Buzzer for one key, the same for each (EN 60839-11-1 table 7, row 23)."""

REFUSED_S = 2.0
"""Red lamp after a refusal: long enough to be seen while looking down at the keypad."""

GRANTED_S = 3.0
"""Green lamp after a grant (EN 60839-11-1 table 3, row 1: visible indication on grant)."""

EXIT_S = 0.5
"""Buzzer when the exit button has released the door, for people who can't see the strike."""

HELD_WARNING_S = 1.0
"""Buzzer before the leaf has been open for too long (EN 60839-11-1 table 3: pre-alert)."""

CLOSING_WARNING_S = 2.0
"""Buzzer 15, 10 and 5 minutes before the house closes."""

ALARM_S = 10.0
"""Buzzer for a leaf that is held open or forced; staff are notified by the alarm itself."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which lamp a signal lights (None: leave as it is) and both durations in seconds.

    `buzzer_s` is 0 where the signal makes no sound, None where it ends every sound.
    """

    lamps: Lamps | None
    lamp_s: float
    buzzer_s: float | None


PATTERNS = MappingProxyType(
    {
        Signal.IDLE: Pattern(Lamps(), 0.0, 0.0),
        Signal.CARD_READ: Pattern(Lamps(), 0.0, CLICK_S),
        Signal.KEY: Pattern(None, 0.0, CLICK_S),
        Signal.GRANTED: Pattern(Lamps(green=True), GRANTED_S, 0.0),
        Signal.REFUSED: Pattern(Lamps(red=True), REFUSED_S, 0.0),
        Signal.EXIT: Pattern(None, 0.0, EXIT_S),
        Signal.HELD_WARNING: Pattern(None, 0.0, HELD_WARNING_S),
        Signal.CLOSING_WARNING: Pattern(None, 0.0, CLOSING_WARNING_S),
        Signal.ALARM: Pattern(None, 0.0, ALARM_S),
        Signal.SILENCE: Pattern(None, 0.0, None),
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
        return _sounding(shown, pattern.buzzer_s, now_s)

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


def _sounding(shown: Indicator, buzzer_s: float | None, now_s: float) -> Indicator:
    if buzzer_s is None:
        return replace(shown, lamps=replace(shown.lamps, buzzer=False), buzzer_until_s=None)
    if not buzzer_s:
        return shown
    # A click doesn't cut an alarm short, whichever key it was.
    until_s = max(shown.buzzer_until_s or 0.0, now_s + buzzer_s)
    return replace(shown, lamps=replace(shown.lamps, buzzer=True), buzzer_until_s=until_s)
