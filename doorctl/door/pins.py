"""What is wired beside the relay: which changes of inputs count, and what lamps and buzzer show.

Levels, signals and times go in, changes and lamps come out; deadlines are state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

# Contact, exit button and fire input: a single edge does not count, because relays, radios and
# welding send spikes of a millisecond, and a contact bounces. A new level counts once it was seen
# for :data:`SETTLE_S`, and each moment of the old level in between takes :data:`DRAIN` times as
# much of that back. So hum and chatter never add up, and a press with a loose wire still does, well
# before the 400 ms of EN 60839-11-1 table 2, row 24.

SETTLE_S = 0.05
"""How long a new level has to be seen; a relay's contact bounces for 10 ms at the most."""

DRAIN = 4.0
"""How fast the old level takes back: hum that is on for less than 80 % of the time is ignored."""

PROBE_S = SETTLE_S / 4
"""How soon to look again at a level that is not settled.

12.5 ms are 5/8 of a period of 50 Hz, 3/4 of 60 Hz and 5/4 of 100 Hz: looks at hum meet it on and
off, so that it does not seem steady even where edges are missed.
"""


class Input(Enum):
    """The inputs that may be wired to the door, by their names among the `Levels`."""

    CONTACT = "contact_open"
    EXIT_BUTTON = "exit_pressed"
    FIRE = "fire"
    OTHER_DOOR = "other_door_open"


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input has settled on the other level: True is open, pressed or burning."""

    input: Input
    active: bool
    now_s: float


@dataclass(frozen=True, slots=True)
class Settling:
    """One input on its way to another level.

    `active` is the level that counts, `level` the latest sample, `seen_s` its time, monotonic.
    `gathered_s` is how long the new level was seen, less what the old one has taken back.
    """

    active: bool
    level: bool
    seen_s: float
    gathered_s: float = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When to look again, monotonic seconds; None while all is quiet."""
        quiet = self.level is self.active and not self.gathered_s
        return None if quiet else self.seen_s + PROBE_S

    def sampled(self, level: bool, now_s: float) -> Settling:
        """Return the input after a look at its level; a look at an earlier time adds nothing."""
        elapsed_s = max(0.0, now_s - self.seen_s)
        seen = replace(self, level=level, seen_s=max(now_s, self.seen_s))
        if self.level is self.active:
            gathered_s = max(0.0, self.gathered_s - DRAIN * elapsed_s)
        elif level is self.active:
            # It is unknown when the level went back, so that time counts for neither level.
            gathered_s = self.gathered_s
        else:
            gathered_s = self.gathered_s + elapsed_s
        if gathered_s >= SETTLE_S:
            return replace(seen, active=level, gathered_s=0.0)
        return replace(seen, gathered_s=gathered_s)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All wired inputs; an unwired input never changes.

    Levels are True for active, None where an input is not wired or can't be read.
    """

    wired: Mapping[Input, Settling] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def started(cls, levels: Mapping[Input, bool | None], now_s: float) -> Inputs:
        """Take the levels at the start as they are; nothing has changed yet."""
        at_first = {
            name: Settling(level, level, now_s)
            for name, level in levels.items()
            if level is not None
        }
        return cls(MappingProxyType(at_first))

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`sampled` has to be called at the latest; None while all is quiet."""
        pending = (wired.deadline_s for wired in self.wired.values())
        return min((at for at in pending if at is not None), default=None)

    def sampled(
        self, levels: Mapping[Input, bool | None], now_s: float
    ) -> tuple[Inputs, tuple[InputChanged, ...]]:
        """Look at the inputs, at each wake-up and at the deadline; return each change once.

        An input whose level is None stays as it was. `now_s` is monotonic.
        """
        after = {name: _looked(pin, levels.get(name), now_s) for name, pin in self.wired.items()}
        changes = tuple(
            InputChanged(name, pin.active, now_s)
            for name, pin in after.items()
            if pin.active is not self.wired[name].active
        )
        return Inputs(MappingProxyType(after)), changes


def _looked(one: Settling, level: bool | None, now_s: float) -> Settling:
    return one if level is None else one.sampled(level, now_s)


@dataclass(frozen=True, slots=True)
class Levels:
    """What the door's inputs say at one moment, unfiltered; None for an input that is not wired.

    "Open" means that the leaf is not in its frame; the other door is the lobby's other leaf.
    `failing` says which pins can't be read and why; each has its level of `IN_DOUBT`.
    """

    contact_open: bool | None = None
    exit_pressed: bool | None = None
    fire: bool | None = None
    other_door_open: bool | None = None
    failing: str | None = None


IN_DOUBT = Levels(contact_open=True, exit_pressed=False, fire=True, other_door_open=True)
"""The levels of a cut wire or a pin that can't be read: they raise an alarm and open nothing."""


# Lamps and buzzer at the reader: which signal shows what, and for how long.
#
# Signals about the door (warnings, alarms, the way out) are a sound alone and leave the lamps to
# the patron: no alarm hides a refusal. Of two sounds the one that ends later is heard.


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
