"""A door of strike, leaf and inputs over fakes of the ports, and hands to move it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from doorctl.config import tables
from doorctl.door.pins import Levels
from doorctl.doord.door_driver import DoorDriver
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.pins import FakeInputs, FakeRelay, FakeSignals

RELEASE_S, LONG_S, EXIT_S, WAIT_S = 5.0, 12.0, 4.0, 8.0
HELD_S, WARN_S = 30.0, 10.0
SETTLED_S = 0.2
ALL_WIRED = Levels(contact_open=False, exit_pressed=False, fire=False, other_door_open=False)
RULES = tables.Door(
    release_s=RELEASE_S,
    long_release_s=LONG_S,
    exit_release_s=EXIT_S,
    interlock_wait_s=WAIT_S,
    held_open_s=HELD_S,
    prewarn_s=WARN_S,
)


@dataclass
class Door:
    """A door whose time passes as in the loop: it wakes at every deadline.

    `inputs`: None where nothing is wired.
    """

    inputs: FakeInputs | None = field(default_factory=lambda: FakeInputs(standing=ALL_WIRED))
    rules: tables.Door = RULES
    signals: FakeSignals = field(default_factory=FakeSignals)

    def __post_init__(self) -> None:
        self.clock, self.log = FakeClock(), FakeEventLog()
        self.relay = FakeRelay(self.clock.monotonic_s)
        self.bounds: list[tuple[float | None, bool]] = []
        self.doorway = DoorDriver(
            rules=self.rules,
            relay=self.relay,
            signals=self.signals,
            inputs=self.inputs,
            clock=self.clock,
            log=self.log,
            on_passage=lambda passage: self.log.emit(type(passage).__name__.lower()),
            bounded=lambda until_s: self.bounds.append((until_s, self.relay.energised)),
        )
        self.doorway.begin()

    def wait(self, seconds: float) -> None:
        """Let time pass, and prove at each deadline that the loop would not spin."""
        end_s = self.clock.monotonic_s() + seconds
        while (due_s := self.doorway.deadline_s) is not None and due_s <= end_s:
            self.clock.advance(max(0.0, due_s - self.clock.monotonic_s()))
            self.doorway.pass_time()
            assert due_s < (self.doorway.deadline_s or inf), "the loop would spin"
        self.clock.advance(max(0.0, end_s - self.clock.monotonic_s()))
        self.doorway.pass_time()

    def set(self, **levels: bool) -> None:
        """Set levels, wake as an edge does, and let them settle."""
        assert self.inputs is not None
        self.inputs.become(**levels)
        self.doorway.look()
        self.wait(SETTLED_S)

    def is_on(self) -> bool:
        """Tell whether the relay is on."""
        return self.relay.energised

    def sounds(self) -> bool:
        """Tell whether the buzzer does."""
        return self.signals.lamps.buzzer

    @property
    def told(self) -> str:
        """All lines in order: relay, leaf, ``!alarm``, fire, and who passed."""
        return " ".join(map(_in_short, self.log.lines))

    @property
    def on_for_s(self) -> float:
        """How long the relay was on the last time."""
        on, off = self.relay.edges[-2:]
        assert (on.energised, off.energised) == (True, False)
        return off.at_s - on.at_s


def _in_short(line: Mapping[str, object]) -> str:
    match line:
        case {"event": "relay", "energised": energised}:
            return "on" if energised else "off"
        case {"event": "alarm", "kind": kind}:
            return f"!{kind}"
        case {"event": "fire", "state": state}:
            return f"fire:{state}"
        case _:
            return str(line.get("state", line["event"]))
