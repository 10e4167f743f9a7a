from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.door.leaf import (
    ALARMS,
    Alarm,
    AlarmCleared,
    AlarmRaised,
    ContactChanged,
    Entered,
    FireChanged,
    FireReported,
    HeldWarned,
    Leaf,
    LeafEffect,
    LeafEvent,
    LeafRules,
    LeafState,
    Left,
    NoEntry,
    Passed,
    Released,
    Relocked,
    Started,
    after,
)
from doorctl.door.strike import (
    ExitPressed,
    Freed,
    Granted,
    ShutDown,
    Strike,
    StrikeEvent,
    TimePassed,
    Unfreed,
)

gaps = st.floats(0, 12)
RELEASE_S = 5.0


class Doorway(RuleBasedStateMachine):
    """A strike, the leaf behind it and a contact that does whatever it likes."""

    @initialize(
        contact=st.booleans(),
        is_open=st.booleans(),
        exit_is_free=st.booleans(),
        warns=st.booleans(),
    )
    def start(self, *, contact: bool, is_open: bool, exit_is_free: bool, warns: bool) -> None:
        """Begin, with or without a contact and a way out that is free."""
        self.wanted = LeafRules(20.0, 5.0 if warns else 0.0, exit_is_free=exit_is_free)
        self.leaf, self.strike = Leaf(), Strike()
        self.now_s = 0.0
        self.wired, self.open = contact, contact and is_open
        self.fire = self.free = False
        self.standing: Alarm | None = None
        self.granted = self.entered = self.openings = self.exits = self.passages = 0
        self.warned = False
        self._take(Started(is_open if contact else None, 0.0))

    def _take(self, event: LeafEvent) -> None:
        self.leaf, effects = after(self.leaf, event, self.wanted)
        for effect in effects:
            self._note(effect)

    def _note(self, effect: LeafEffect) -> None:
        match effect:
            case AlarmRaised(alarm=alarm):
                assert self.standing is None
                assert not self.fire
                assert not self.free
                assert not (alarm is Alarm.FORCED and self.wanted.exit_is_free)
                self.standing = alarm
            case AlarmCleared(alarm=alarm):
                assert self.standing is alarm
                self.standing = None
            case HeldWarned():
                assert (self.warned, self.fire, self.free) == (False, False, False)
                self.warned = True
            case Entered(persons=persons):
                self.entered += persons
            case NoEntry():
                assert self.granted > self.entered
                self.entered = self.granted
            case Left() | Passed():
                self.passages += 1
            case FireReported(active=active):
                assert active is self.fire

    def _pass(self, gap_s: float) -> None:
        self.now_s += gap_s
        self._drive(TimePassed(self.now_s))
        self._take(TimePassed(self.now_s))

    def _drive(self, event: StrikeEvent) -> None:
        was = self.strike.energised
        self.strike = self.strike.after(event)
        if was and not self.strike.energised:
            self._take(Relocked(self.now_s))

    @rule(gap_s=gaps, persons=st.integers(1, 4), held_open_s=st.sampled_from([0.0, 40.0]))
    def grant(self, gap_s: float, persons: int, held_open_s: float) -> None:
        """Let somebody in."""
        self._pass(gap_s)
        self._drive(Granted(self.now_s, RELEASE_S))
        self.granted += 0 if self.free else persons
        self.warned = False
        self._take(Released(self.now_s, self.strike.until_s or 0.0, persons, held_open_s))

    @rule(gap_s=gaps)
    def leave(self, gap_s: float) -> None:
        """Press the button inside."""
        self._pass(gap_s)
        self._drive(ExitPressed(self.now_s, RELEASE_S))
        self.exits += 1
        self.warned = False
        self._take(Released(self.now_s, self.strike.until_s or 0.0, persons=0))

    @rule(gap_s=gaps, is_open=st.booleans())
    def move(self, gap_s: float, is_open: bool) -> None:
        """Open or close the leaf, or the wire."""
        self._pass(gap_s)
        self.openings += is_open and not self.open
        self.open = is_open and self.wired
        self.warned = False
        strike = self.strike
        self._take(ContactChanged(is_open, self.now_s))
        assert self.strike is strike

    @rule(gap_s=gaps, active=st.booleans())
    def burn(self, gap_s: float, active: bool) -> None:
        """Activate the fire input or not."""
        self._pass(gap_s)
        self.fire = active
        self._take(FireChanged(active))

    @rule(gap_s=gaps, freed=st.booleans())
    def change_mode(self, gap_s: float, freed: bool) -> None:
        """Begin or end staffed hours."""
        self._pass(gap_s)
        self.free, self.warned = freed, False
        event = Freed(self.now_s) if freed else Unfreed(self.now_s)
        if freed:
            self.entered = self.granted
        self._drive(event)
        self._take(event)

    @rule(gap_s=gaps)
    def pass_time(self, gap_s: float) -> None:
        """Wait."""
        self._pass(gap_s)

    @rule()
    def wake_at_the_deadline(self) -> None:
        """Wake exactly when the leaf asked to be woken."""
        if self.leaf.deadline_s is not None:
            self._pass(max(0.0, self.leaf.deadline_s - self.now_s))

    @rule()
    def restart(self) -> None:
        """Stop the daemon, and start it with the leaf as it is."""
        self._drive(ShutDown())
        self._take(ShutDown())
        self.entered, self.free, self.warned = self.granted, False, False
        self._take(Started(self.open if self.wired else None, self.now_s))

    @invariant()
    def it_is_open_if_the_contact_says_so(self) -> None:
        """Without a contact never; with one whenever, and in no other case."""
        shown = self.leaf.state not in {LeafState.LOCKED, LeafState.RELEASED}
        assert shown == self.open

    @invariant()
    def an_alarm_stands_while_its_state_does(self) -> None:
        """Raised once, cleared once; only a fire keeps one back."""
        if not self.fire:
            assert self.standing is ALARMS.get(self.leaf.state)
        assert self.leaf.raised == (self.standing is not None)
        assert self.leaf.sounding == (self.standing is not None and not self.fire)

    @invariant()
    def nobody_is_invented(self) -> None:
        """No more enter than were granted, and each opening or exit is counted once."""
        assert self.entered <= self.granted
        assert self.passages <= self.openings + self.exits

    @invariant()
    def whatever_is_due_ends(self) -> None:
        """Four deadlines later nothing is pending, and nothing is released but what is free."""
        leaf = self.leaf
        for _ in range(4):
            if leaf.deadline_s is not None:
                leaf, _ = after(leaf, TimePassed(leaf.deadline_s), self.wanted)
        assert leaf.deadline_s is None
        assert (leaf.state is LeafState.RELEASED) == (leaf.free and not self.open)

    @invariant()
    def it_is_released_as_long_as_the_strike(self) -> None:
        """Where the leaf is closed, it says what the strike does."""
        if not self.open:
            assert (self.leaf.state is LeafState.RELEASED) == self.strike.energised


TestDoorway = Doorway.TestCase
TestDoorway.settings = settings(stateful_step_count=40)
