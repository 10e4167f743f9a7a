from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.door.strike import (
    TRANSITIONS,
    ExitPressed,
    Freed,
    Granted,
    HouseClosed,
    OtherDoorChanged,
    Prolonged,
    ShutDown,
    Strike,
    StrikeEvent,
    StrikeState,
    TimePassed,
    Unfreed,
)

LONGEST_S = 5.0
gaps = st.floats(0, 7)
releases = st.sampled_from([LONGEST_S, 3.0])


class StrikeMachine(RuleBasedStateMachine):
    """Whatever may be told a strike, in any order, time never going back."""

    def __init__(self) -> None:
        super().__init__()
        self.strike = Strike()
        self.now_s = 0.0
        self.pulse_s: float | None = None
        self.free = False
        self.other_open = False
        self.waits: tuple[float, float] | None = None

    def _take(self, event: StrikeEvent) -> None:
        before = self.strike
        self.strike = before.after(event)
        assert self.strike.state in TRANSITIONS[before.state, type(event)].to

    def _pass(self, gap_s: float) -> None:
        self.now_s += gap_s
        self._take(TimePassed(self.now_s))
        if self.pulse_s is not None and self.now_s >= self.pulse_s:
            self.pulse_s = None
        if self.waits is not None and self.now_s >= self.waits[0]:
            self.waits = None

    def _pulse(self, release_s: float) -> None:
        self.pulse_s = max(self.pulse_s or 0.0, self.now_s + release_s)
        self.waits = None

    @rule(gap_s=gaps, release_s=releases, wait_s=gaps)
    def grant(self, gap_s: float, release_s: float, wait_s: float) -> None:
        """Let somebody in after a while."""
        self._pass(gap_s)
        self._take(Granted(self.now_s, release_s, wait_s))
        if not self.other_open:
            self._pulse(release_s)
        elif not self.free and self.pulse_s is None:
            until_s, longest_s = self.waits or (0.0, 0.0)
            self.waits = max(until_s, self.now_s + wait_s), max(longest_s, release_s)

    @rule(gap_s=gaps, release_s=releases)
    def bring(self, gap_s: float, release_s: float) -> None:
        """Bring others along: only a release that stands becomes longer."""
        self._pass(gap_s)
        before = self.strike
        self._take(Prolonged(self.now_s, release_s))
        assert before.energised or self.strike == before
        if before.energised and not self.other_open:
            self._pulse(release_s)

    @rule(gap_s=gaps, release_s=releases)
    def leave(self, gap_s: float, release_s: float) -> None:
        """Press the button inside: it opens always and at once."""
        self._pass(gap_s)
        self._take(ExitPressed(self.now_s, release_s))
        self._pulse(release_s)
        assert self.strike.energised

    @rule(gap_s=gaps, freed=st.booleans())
    def change_mode(self, gap_s: float, freed: bool) -> None:
        """Begin or end staffed hours."""
        self._pass(gap_s)
        self._take(Freed(self.now_s) if freed else Unfreed(self.now_s))
        self.free = freed
        if freed:
            self.waits = None

    @rule(gap_s=gaps)
    def close_the_house(self, gap_s: float) -> None:
        """Let nobody in any more: who waits is not let in, all else stays."""
        self._pass(gap_s)
        before = self.strike
        self._take(HouseClosed())
        assert self.waits is not None or self.strike == before
        self.waits = None

    @rule(gap_s=gaps, is_open=st.booleans())
    def move_the_other_door(self, gap_s: float, is_open: bool) -> None:
        """Open or close the lobby's other door."""
        self._pass(gap_s)
        self._take(OtherDoorChanged(is_open, self.now_s))
        self.other_open = is_open
        if self.waits is not None and not is_open:
            self._pulse(self.waits[1])

    @rule(gap_s=gaps)
    def pass_time(self, gap_s: float) -> None:
        """Tell the time."""
        self._pass(gap_s)

    @rule()
    def pass_time_at_the_deadline(self) -> None:
        """Wake exactly when the strike asked to be woken."""
        if self.strike.until_s is not None:
            self._pass(max(0.0, self.strike.until_s - self.now_s))

    @rule()
    def shut_down(self) -> None:
        """Stop."""
        self._take(ShutDown())
        self.pulse_s, self.waits, self.free = None, None, False

    @invariant()
    def on_only_while_a_release_stands(self) -> None:
        """The relay is on if and only if a pulse is not over or the branch is staffed."""
        assert self.strike.energised == (self.free or self.pulse_s is not None)
        assert (self.strike.state is StrikeState.FREE) == self.free
        assert (self.strike.state is StrikeState.WAITING) == (self.waits is not None)

    @invariant()
    def it_ends(self) -> None:
        """One look at the clock after the longest release locks all that is not free."""
        late = self.strike.after(TimePassed(self.now_s + LONGEST_S + 7.0))
        assert late.energised == self.free
        assert late.until_s is None

    @invariant()
    def a_stop_locks(self) -> None:
        """Whatever it is in the middle of."""
        assert not self.strike.after(ShutDown()).energised


TestStrike = StrikeMachine.TestCase
TestStrike.settings = settings(stateful_step_count=40)
