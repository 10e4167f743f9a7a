"""The door itself: strike, leaf, inputs and lamps, driven at once and on one thread.

The tables in `door` decide; this module acts: it switches the relay, writes the log, lights the
lamps. It knows nothing of cards, patrons or hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from doorctl.config.tables import Door
from doorctl.core.errors import DeviceError
from doorctl.core.ports import WELL, AlarmOnce, Clock, EventLog
from doorctl.devices.inputs import GpioInputs
from doorctl.devices.lines import Signals
from doorctl.devices.pins import GpioRelay
from doorctl.door import leaf, strike
from doorctl.door.head_count import HeadCount
from doorctl.door.inputs import Input, InputChanged, Inputs
from doorctl.door.lamps import Indicator, Signal
from doorctl.door.leaf import (
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
    Left,
    NoEntry,
    Passed,
    Released,
    Relocked,
    Started,
)


@dataclass(eq=False, kw_only=True)
class DoorDriver:
    """Drive the door. One thread, except `released`, `state` and `head_count`: any.

    `inputs` is None where nothing is wired. `log` takes `relay`,
    `door`, `fire` and `alarm` lines; `on_passage` is called for each opening by which somebody came
    in, went out or passed. `bounded` is called before the relay goes on, with the end of the
    release, monotonic seconds, so that a process that freezes in the next moment does not hold it;
    None where the door stands free.

    Raises DeviceError: from every method that switches the relay: it can't be driven, and the
    switching does not count as done.
    """

    rules: Door
    relay: GpioRelay
    signals: Signals
    clock: Clock
    log: EventLog
    inputs: GpioInputs | None = None
    on_passage: Callable[[Entered | Left | Passed], None] = lambda _passage: None
    bounded: Callable[[float | None], None] = lambda _until_s: None

    def __post_init__(self) -> None:
        self._strike = strike.Strike()
        self._leaf = Leaf()
        self._indicator = Indicator()
        self._inputs = Inputs()
        self._waiting = 0
        self._waiting_open_s = 0.0
        self._stopped = False
        self._inputs_failing = AlarmOnce(self.log, "inputs_failing")
        self._lamps_failing = AlarmOnce(self.log, "lamps_failing")
        self.head_count = HeadCount()

    @property
    def released(self) -> bool:
        """Whether the strike is released just now."""
        return self._strike.energised

    @property
    def locked(self) -> bool:
        """Whether no patron is let in: no release runs, and none waits for the other door."""
        return self._strike.state is strike.StrikeState.LOCKED

    @property
    def relocks_s(self) -> float | None:
        """When the strike is locked again, monotonic seconds; None unless a release is running."""
        released = self._strike.state is strike.StrikeState.RELEASED
        return self._strike.until_s if released else None

    @property
    def stands_free(self) -> bool:
        """Whether the strike stays released, as in staffed hours."""
        return self._strike.state is strike.StrikeState.FREE

    @property
    def state(self) -> str:
        """The leaf's state: locked, released, open, held or forced."""
        return self._leaf.state.value

    @property
    def watched(self) -> bool:
        """Whether a contact is wired, so that heads can be counted."""
        return self._leaf.contact

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`pass_time` is due next, monotonic seconds; None while nothing is pending."""
        pending = (
            self._strike.until_s,
            self._leaf.deadline_s,
            self._inputs.deadline_s,
            self._indicator.deadline_s,
        )
        return min((at for at in pending if at is not None), default=None)

    def begin(self) -> None:
        """Take the inputs as they are: a leaf that is already open is open, and not forced."""
        if self.inputs is None:
            return
        now_s = self.clock.monotonic_s()
        levels = self._read(self.inputs)
        self._inputs = Inputs.started(levels, now_s)
        self._tell_leaf(Started(levels.get(Input.CONTACT), now_s))
        if levels.get(Input.CONTACT) is False:
            # The person who forced it may be inside: closing the door ends no such alarm.
            self.log.emit(WELL, kind=Alarm.HELD.value)
        if levels.get(Input.FIRE):
            self._tell_leaf(FireChanged(active=True))
        if levels.get(Input.OTHER_DOOR):
            self._drive(self._strike.after(strike.OtherDoorChanged(open=True, now_s=now_s)))

    def pass_time(self) -> None:
        """Carry out every deadline that is due, and look at the inputs."""
        now_s = self.clock.monotonic_s()
        self._drive(self._strike.after(strike.TimePassed(now_s)))
        self._note_waiting(now_s)
        self.look()
        self._tell_leaf(strike.TimePassed(now_s))
        self._indicate(self._indicator.at(now_s))

    def look(self) -> None:
        """Read the inputs, because one of them may have changed."""
        if self.inputs is None:
            return
        levels = self._read(self.inputs)
        self._inputs, changes = self._inputs.sampled(levels, self.clock.monotonic_s())
        for change in changes:
            self._take(change)

    def let_in(self, *, needs_time: bool = False) -> None:
        """Release the strike for somebody who may enter."""
        rules = self.rules
        release_s = rules.release_s
        if needs_time:
            release_s = max(release_s, rules.long_release_s)
        now_s = self.clock.monotonic_s()
        self._drive(self._strike.after(strike.Granted(now_s, release_s, rules.interlock_wait_s)))
        # A patron who needs longer to open needs longer to walk through as well.
        longer_s = rules.held_open_s + release_s - rules.release_s if needs_time else 0.0
        if self._strike.state is strike.StrikeState.WAITING:
            self._waiting += 1
            self._waiting_open_s = max(self._waiting_open_s, longer_s)
        else:
            self._note_release(now_s, 1, longer_s)

    def bring(self, companions: int) -> None:
        """Expect so many companions behind the patron, and prolong the release for them.

        A strike that has locked meanwhile stays locked, because anybody may press that key.
        """
        now_s = self.clock.monotonic_s()
        self._drive(self._strike.after(strike.Prolonged(now_s, self.rules.release_s)))
        if self._strike.state is strike.StrikeState.WAITING:
            self._waiting += companions
        else:
            self._note_release(now_s, companions)

    def stand_free(self, *, free: bool) -> None:
        """Keep the strike released while the branch is staffed, or stop doing so."""
        if self._stopped:
            return
        now_s = self.clock.monotonic_s()
        event = strike.Freed(now_s) if free else strike.Unfreed(now_s)
        self._drive(self._strike.after(event))
        self._note_waiting(now_s)
        self._tell_leaf(event)

    def close_house(self) -> None:
        """Restart the head-count and drop a grant that still waits: the house is closed now.

        A release that is running keeps its time; `stand_free` locks a door that stands free.
        """
        self._drive(self._strike.after(strike.HouseClosed()))
        self._note_waiting(self.clock.monotonic_s())
        self.head_count = HeadCount()

    def show(self, signal: Signal) -> None:
        """Light or sound a signal from now on."""
        self._indicate(self._indicator.signalled(signal, self.clock.monotonic_s()))

    def shut_down(self) -> None:
        """Lock the door for good: nothing releases it any more; idempotent."""
        self._stopped = True
        try:
            self._drive(self._strike.after(strike.ShutDown()))
        finally:
            self.relay.de_energise()
        self._tell_leaf(strike.ShutDown())

    def _note_release(self, now_s: float, persons: int, held_open_s: float = 0.0) -> None:
        if self._strike.energised and self._strike.until_s is not None:
            self._tell_leaf(Released(now_s, self._strike.until_s, persons, held_open_s))

    def _note_waiting(self, now_s: float) -> None:
        """Report persons to the leaf once their grant no longer waits for the other door."""
        if self._waiting and self._strike.state is not strike.StrikeState.WAITING:
            self._note_release(now_s, self._waiting, self._waiting_open_s)
            self._waiting, self._waiting_open_s = 0, 0.0

    def _take(self, change: InputChanged) -> None:
        match change.input:
            case Input.CONTACT:
                self._tell_leaf(ContactChanged(change.active, change.now_s))
            case Input.FIRE:
                self._tell_leaf(FireChanged(change.active))
            case Input.OTHER_DOOR:
                other = strike.OtherDoorChanged(open=change.active, now_s=change.now_s)
                self._drive(self._strike.after(other))
            case Input.EXIT_BUTTON if change.active:
                exit_s = self.rules.exit_release_s
                self._drive(self._strike.after(strike.ExitPressed(change.now_s, exit_s)))
                self._note_release(change.now_s, persons=0)
                self.show(Signal.EXIT)
        self._note_waiting(change.now_s)

    def _drive(self, after: strike.Strike) -> None:
        energised = after.energised
        if self._stopped and energised:
            return
        if energised == self._strike.energised:
            self._strike = after
            return
        if energised:
            self.bounded(after.until_s)
            self.relay.energise()
        else:
            self.relay.de_energise()
        self._strike = after
        edge_s = self.clock.monotonic_s()
        self.log.emit("relay", energised=energised, monotonic_ns=round(edge_s * 1e9))
        if not energised:
            self._tell_leaf(Relocked(edge_s))

    def _tell_leaf(self, event: LeafEvent) -> None:
        before = self._leaf.state
        self._leaf, effects = leaf.after(self._leaf, event, self.rules)
        if self._leaf.state is not before:
            self.log.emit("door", state=self._leaf.state.value)
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: LeafEffect) -> None:
        match effect:
            case Entered() | Left() | Passed():
                self.head_count = self.head_count.after(effect)
                self.on_passage(effect)
            case HeldWarned():
                self.show(Signal.HELD_WARNING)
            case NoEntry():
                self.log.emit("door", state="no_entry")
            case AlarmRaised(alarm=alarm):
                self.log.emit("alarm", kind=alarm.value)
            case AlarmCleared(alarm=alarm):
                self.log.emit("alarm", kind=f"{alarm.value}_cleared")
            case FireReported(active=active):
                self.log.emit("fire", state="active" if active else "over")
        if isinstance(effect, AlarmRaised | AlarmCleared | FireReported):
            self.show(Signal.ALARM if self._leaf.sounding else Signal.SILENCE)

    def _read(self, pins: GpioInputs) -> Mapping[Input, bool]:
        levels = pins.levels()
        self._inputs_failing.tell(levels.failing)
        read = ((wire, getattr(levels, wire.value)) for wire in Input)
        return {wire: level for wire, level in read if level is not None}

    def _indicate(self, after: Indicator) -> None:
        why: str | None = None
        if after.lamps != self._indicator.lamps:
            try:
                self.signals.show(after.lamps)
            except DeviceError as err:
                why = str(err)  # A broken lamp keeps nobody out.
            self._lamps_failing.tell(why)
        self._indicator = after
