"""Switches the outputs that are commands, in the web process, which has a network.

Their rules are the door's own, over the same ``branch.db`` and configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from doorctl.access.calendar import Calendar, StoredCalendar
from doorctl.access.day import ClosingWarned, Day, DayRules, turned, with_hours
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.extras.outputs.following import Output, outputs_on
from doorctl.extras.outputs.switching import Outputs, switch_all
from doorctl.store.branch import BranchRecords

SWITCH_AGAIN_S = 300.0
"""How often failed outputs are switched again; one that is right already costs nothing."""


@dataclass(eq=False)
class OutputsJob:
    """Switch each output at the start, at each change, and failed ones every five minutes.

    At a warning, `warn_min` minutes before closing, those in `pulses_s` are on for so many seconds,
    whatever the mode, such as an announcement. One thread. Until the hours have been read once, the
    branch counts as closed; later the last hours read count. While the clock is not set, nothing is
    switched by the hours. The log gets ``output_failing``, and ``branch_failing`` once until the
    hours can be read.
    """

    outputs: tuple[Output, ...]
    calendar_of: Callable[[StoredCalendar], Calendar]
    branch: BranchRecords
    switches: Outputs
    clock: Clock
    log: EventLog
    warn_min: tuple[int, ...] = ()
    pulses_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        warn_min = self.warn_min if self.pulses_s else ()
        self._rules = DayRules(warn_min=warn_min)
        self._on: frozenset[str] | None = None
        self._ends_s: dict[str, float] = {}
        self._day = Day(None)
        self._read_at: int | None = None
        self._branch_failing = AlarmOnce(self.log, "branch_failing", "outputs")
        self._failing: frozenset[str] = frozenset()
        self._again_s = inf

    def turn(self) -> None:
        """Check the clock and the stored hours; about once a second."""
        self._look_at_branch()
        moment = self.clock.moment()
        before = self._day
        self._day, effects = turned(before, moment, self._rules)
        changed = self._day is not before and moment.dependable and self._has_changed(moment)
        warned = any(isinstance(effect, ClosingWarned) for effect in effects)
        if self._pulse(warned=warned) or changed or self._is_due(moment):
            self._switch()

    def _has_changed(self, moment: Moment) -> bool:
        before = self._on
        self._on = outputs_on(self.outputs, self._day.calendar, self._day.override, moment.local)
        return self._on != before

    def _pulse(self, *, warned: bool) -> bool:
        """Begin and end the outputs of a warning; tell whether anything changed."""
        now_s = self.clock.monotonic_s()
        before = len(self._ends_s)
        self._ends_s = {name: end for name, end in self._ends_s.items() if end > now_s}
        ended = len(self._ends_s) < before
        if warned:
            self._ends_s = {name: now_s + pulse_s for name, pulse_s in self.pulses_s.items()}
        return ended or warned

    def _is_due(self, moment: Moment) -> bool:
        return moment.dependable and self.clock.monotonic_s() >= self._again_s

    def _look_at_branch(self) -> None:
        try:
            version = self.branch.version()
            if version != self._read_at:
                calendar = self.calendar_of(self.branch.calendar())
                self._day = with_hours(self._day, calendar, self.branch.override())
                self._read_at = version
            self._branch_failing.tell(None)
        except StoreError as error:
            self._branch_failing.tell(str(error))

    def _switch(self) -> None:
        self._again_s = self.clock.monotonic_s() + SWITCH_AGAIN_S
        on = (self._on or frozenset()) | self._ends_s.keys()
        names = (output.name for output in self.outputs)
        self._failing = switch_all(self.switches, names, on, self._failing, self.log)
