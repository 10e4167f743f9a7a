"""What the web process switches with the mode: outputs by command, for which the door has no net.

The rules are the door's own, over the same ``branch.db`` and configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType

from doorctl.access.calendar import Calendar
from doorctl.access.day import ClosingWarned, Day, DayRules, OutputsChanged, told, turned
from doorctl.access.outputs import Output
from doorctl.errors import DeviceError, StoreError
from doorctl.moments import Moment
from doorctl.ports import BranchBook, Clock, EventLog, Outputs, StoredCalendar

NO_PULSES: Mapping[str, float] = MappingProxyType({})

AGAIN_S = 300.0
"""What is right already is not switched again, so asking costs nothing; what failed is tried."""


class OutputsRound:
    """Switch each output at the start, at each change, and what failed every five minutes.

    At a warning some are on for a while, whatever the mode, such as an announcement. One thread.
    Until the hours could be read once it is closed; later the last that were read count. While
    the clock is not set nothing is switched by them.

    Args:
        outputs: which there are, and when each is on.
        calendar_of: makes a calendar of what is stored.
        branch: where hours are stored.
        switches: does it, by name.
        clock: tells the time.
        warn_min: minutes before closing at which there are warnings.
        pulses_s: which outputs are on at a warning, and for how many seconds.
        log: hears ``output_failing``, and ``branch_failing`` once until the hours can be read.
    """

    def __init__(
        self,
        outputs: tuple[Output, ...],
        *,
        calendar_of: Callable[[StoredCalendar], Calendar],
        branch: BranchBook,
        switches: Outputs,
        clock: Clock,
        log: EventLog,
        warn_min: tuple[int, ...] = (),
        pulses_s: Mapping[str, float] = NO_PULSES,
    ) -> None:
        self._rules = DayRules(warn_min=warn_min if pulses_s else (), outputs=outputs)
        self._pulses_s = pulses_s
        self._ends_s: dict[str, float] = {}
        self._calendar_of = calendar_of
        self._branch = branch
        self._switches = switches
        self._clock = clock
        self._log = log
        self._day = Day(None)
        self._read_at: int | None = None
        self._branch_failing = False
        self._failing: frozenset[str] = frozenset()
        self._again_s = inf

    def turn(self) -> None:
        """Look at the clock and at what is stored; about once a second."""
        self._look_at_branch()
        moment = self._clock.moment()
        self._day, effects = turned(self._day, moment, self._rules)
        changed = any(isinstance(effect, OutputsChanged) for effect in effects)
        warned = any(isinstance(effect, ClosingWarned) for effect in effects)
        if self._pulse(warned=warned) or changed or self._is_due(moment):
            self._switch()

    def _pulse(self, *, warned: bool) -> bool:
        """Begin and end what is on at a warning; tell whether anything did."""
        now_s = self._clock.monotonic_s()
        before = len(self._ends_s)
        self._ends_s = {name: end for name, end in self._ends_s.items() if end > now_s}
        ended = len(self._ends_s) < before
        if warned:
            self._ends_s = {name: now_s + pulse_s for name, pulse_s in self._pulses_s.items()}
        return ended or warned

    def _is_due(self, moment: Moment) -> bool:
        return moment.dependable and self._clock.monotonic_s() >= self._again_s

    def _look_at_branch(self) -> None:
        try:
            version = self._branch.version()
            if version != self._read_at:
                calendar = self._calendar_of(self._branch.calendar())
                self._day = told(self._day, calendar, self._branch.override())
                self._read_at = version
            self._branch_failing = False
        except StoreError as error:
            if not self._branch_failing:
                self._branch_failing = True
                self._log.emit("alarm", kind="branch_failing", why=str(error))

    def _switch(self) -> None:
        self._again_s = self._clock.monotonic_s() + AGAIN_S
        on = (self._day.on or frozenset()) | self._ends_s.keys()
        failing = set()
        for output in self._rules.outputs:
            try:
                self._switches.switch(output.name, on=output.name in on)
            except DeviceError as error:
                failing.add(output.name)
                if output.name not in self._failing:
                    self._log.emit("alarm", kind="output_failing", why=str(error))
        self._failing = frozenset(failing)
