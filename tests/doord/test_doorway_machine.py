"""The door by any order of grants, inputs, hours and failures of the relay.

Bug (model of the doorway): a relay that could not be energised counted as released.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorctl.core.errors import DeviceError
from doorctl.door.pins import Signal
from tests.doord.doors import ALL_WIRED, LONG_S, Door
from tests.fakes.inputs import FakeInputs

WIRES = ("contact_open", "exit_pressed", "fire", "other_door_open")
BEGUN = {"door_held", "door_forced", "inputs_failing"}


class DoorMachine(RuleBasedStateMachine):
    """Whatever may happen at a door, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.door = Door(inputs=FakeInputs(standing=ALL_WIRED))
        self.free = False
        self.stopped = False

    @rule(needs_time=st.booleans())
    def let_in(self, needs_time: bool) -> None:
        """Grant."""
        self.door.doorway.let_in(needs_time=needs_time)

    @rule(companions=st.integers(1, 9))
    def bring(self, companions: int) -> None:
        """Bring somebody along."""
        self.door.doorway.bring(companions)

    @rule(free=st.booleans())
    def change_mode(self, free: bool) -> None:
        """Begin or end staffed hours."""
        self.free = free
        self.door.doorway.stand_free(free=free)

    @rule()
    def close_house(self) -> None:
        """Close: nobody who still waits is let in, and no release is cut short."""
        released = self.door.doorway.released
        self.door.doorway.close_house()
        assert self.door.doorway.released is released

    @rule(wire=st.sampled_from(WIRES), level=st.booleans(), settles=st.booleans())
    def change_input(self, wire: str, level: bool, settles: bool) -> None:
        """Let a level change, for long enough or not."""
        assert self.door.inputs is not None
        self.door.inputs.become(**{wire: level})
        self.door.doorway.look()
        if settles:
            self.door.wait(0.2)

    @rule(wire=st.sampled_from([*WIRES, None]))
    def break_inputs(self, wire: str | None) -> None:
        """Let a pin fail, or all come back."""
        assert self.door.inputs is not None
        self.door.inputs.broken = {wire} if wire else set()
        self.door.doorway.look()

    @rule(signal=st.sampled_from(Signal))
    def show(self, signal: Signal) -> None:
        """Light or sound something."""
        self.door.doorway.show(signal)

    @rule(seconds=st.sampled_from([0.001, 0.0125, 0.05, 1.0, 5.0, 13.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass; at each deadline it is proved that the loop would not spin."""
        self.door.wait(seconds)

    @rule(seconds=st.sampled_from([0.01, 6.0, 60.0]))
    def oversleep(self, seconds: float) -> None:
        """Let time pass without waking at any deadline."""
        self.door.clock.advance(seconds)

    @precondition(lambda self: not self.door.doorway.released and not self.stopped)
    @rule()
    def break_relay(self) -> None:
        """Grant while the relay can't be driven: it goes up, and the door is locked."""
        self.door.relay.broken = True
        other = self.door.doorway
        try:
            other.let_in()
        except DeviceError:
            assert not other.released
        else:
            assert not other.released, "it can only have waited"
        self.door.relay.broken = False

    @precondition(lambda self: not self.stopped)
    @rule(certain=st.integers(0, 9))
    def shut_down(self, certain: int) -> None:
        """Stop, now and then."""
        if certain == 0:
            self.door.doorway.shut_down()
            self.stopped = True

    @invariant()
    def the_relay_is_what_the_strike_says(self) -> None:
        """On if and only if the strike is released, and never after a stop."""
        assert self.door.relay.energised is self.door.doorway.released
        assert not (self.stopped and self.door.relay.energised)

    @invariant()
    def each_edge_is_told_before_the_door_is(self) -> None:
        """One line for each, in turns; the door is told as released only after the relay is on."""
        told = [line["energised"] for line in self.door.log.named("relay")]
        assert told == [edge.energised for edge in self.door.relay.edges]
        on = False
        for line in self.door.log.lines:
            if line["event"] == "relay":
                on = bool(line["energised"])
            if line["event"] == "door" and line["state"] == "released":
                assert on

    @invariant()
    def alarms_come_in_turns(self) -> None:
        """Each once, then its end once."""
        for kind in BEGUN:
            turns = [told for told in self.door.alarms if str(told).startswith(kind)]
            expected = [kind, f"{kind}_cleared"] * len(turns)
            assert turns == expected[: len(turns)]

    def teardown(self) -> None:
        """Whatever it is in the middle of: it locks by itself, unless it is free."""
        assert self.door.inputs is not None
        self.door.inputs.broken = set()
        self.door.wait(LONG_S + 60)
        assert self.door.doorway.released is (self.free and not self.stopped)
        self.door.doorway.shut_down()
        assert not self.door.relay.energised


TestDoorway = DoorMachine.TestCase
TestDoorway.settings = settings(stateful_step_count=30)
