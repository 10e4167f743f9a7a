"""The loop's work on the hours: follow the mode, warn before closing, tell who follows it.

Belongs to the controller's thread. The worker reads the calendar whenever branch.db has changed;
before the first reading nobody comes in. Each turn and each step of an attempt first looks for a
change, so that no card is judged by hours that staff have replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from doorctl.access.calendar import OPEN, Calendar, Cause, Mode, StoredCalendar
from doorctl.access.day import (
    CalendarFound,
    CalendarLost,
    ClosingWarned,
    Day,
    DayEffect,
    DayRules,
    ModeChanged,
    Override,
    Standing,
    opens_next,
    turned,
    with_hours,
)
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.door.lamps import Signal
from doorctl.doord.door_driver import DoorDriver
from doorctl.doord.self_test import due
from doorctl.store.branch import BranchRecords

CLOCK_PATIENCE_S = 300.0
"""How long after a start the clock may stay unset before an alarm."""

WITNESS_PATIENCE_S = 60.0
"""How long staffed hours may wait for a second witness of the time before an alarm."""

AGAIN_TURNS = 10
"""Turns until a failed reading is tried again; the loop turns once a second or sooner."""


@dataclass(frozen=True, slots=True)
class HoursRead:
    """The hours as the worker has read them; else `failing` says why branch.db can't be read.

    Not `wanted` where that was found by a job for something other than hours. `damaged` are tables
    of branch.db that have wrong bits, which concern some cards or days alone.
    """

    calendar: Calendar | None = None
    override: Override | None = None
    failing: str | None = None
    wanted: bool = True
    damaged: str | None = None


class Follower(Protocol):
    """An extra that follows the hours, such as a light. Must not raise."""

    def follow(self, calendar: Calendar | None, override: Override | None, moment: Moment) -> None:
        """Take note of a look at the hours by a dependable clock, once a minute or sooner."""


@dataclass(eq=False, kw_only=True)
class DailyRound:
    """Keep to the hours. One thread.

    `stands_free` says whether the doorway stands free while staff are there; not by a time that
    nothing has confirmed since the boot: until then cards are judged. `test` starts a
    self-test before each opening, while somebody can still act. `followers` are told of each look
    at the hours. `log` takes `mode`, `closing` and `alarm` lines,
    and `branch_failing` once until the hours are read.
    """

    rules: DayRules
    calendar_of: Callable[[StoredCalendar], Calendar]
    branch: BranchRecords
    submit: Callable[[Callable[[], HoursRead]], None]
    doorway: DoorDriver
    log: EventLog
    followers: tuple[Follower, ...] = ()
    stands_free: bool = True
    test: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._tested: datetime | None = None
        self._unconfirmed = False
        self._clockless_s: float | None = None
        self._paused_s: float | None = None
        self._paused = AlarmOnce(self.log, "clock_unconfirmed")
        self._calendar = AlarmOnce(self.log, "calendar_unknown")
        self._clockless = AlarmOnce(self.log, "clock_untrusted_at_opening")
        self._day = Day(None)
        self._read_at: int | None = None
        self._reading = 0
        self._was_read = False
        self._branch_failing = AlarmOnce(self.log, "branch_failing")
        self._again_in = 0
        self._damaged: str | None = None

    @property
    def standing(self) -> Standing | None:
        """The mode that stands, as of the last turn; None before the hours were read."""
        return self._day.standing

    @property
    def paused(self) -> bool:
        """Whether the doorway would stand free but for a time that nothing has confirmed."""
        standing = self._day.standing
        staffed = standing is not None and standing.mode is Mode.STAFFED
        return staffed and self.stands_free and self._unconfirmed

    @property
    def is_reading(self) -> bool:
        """Whether the worker is reading the hours, so that the known ones may be old."""
        return self._reading > 0

    def mode_at(self, moment: Moment) -> tuple[Mode | None, bool]:
        """Return the mode by the hours read last, and whether nobody new comes in any more."""
        if not self._was_read:
            return Mode.CLOSED, False
        return self._day.mode_at(moment, self.rules)

    def turn(self, moment: Moment, now_s: float) -> None:
        """Look at the clock and at the stored hours; about once a second.

        `moment` stands still while the wall clock lags behind the known time; `now_s` is monotonic.
        """
        self._look_at_branch()
        self._follow(moment)
        self._note_clock(now_s)

    def look(self, version: int) -> None:
        """Have the hours read, unless this version of branch.db was requested already.

        Later questions to the same worker are answered after the hours.
        """
        if version != self._read_at:
            self._ask_for(version)

    def reload(self, rules: DayRules) -> None:
        """Switch to other rules, and have the hours read: the calendar may have changed too."""
        self.rules, self._read_at = rules, None

    def heard(self, read: HoursRead, moment: Moment) -> None:
        """Take the worker's reading, or its failure.

        Hours that were read once stay; without any the house is closed.
        """
        if read.wanted:
            self._reading -= 1
        if read.failing is None:
            self._branch_failing.tell(None)
            self._was_read, self._again_in = True, 0
            self._note_damage(read.damaged)
            self._day = with_hours(self._day, read.calendar, read.override)
        else:
            self._branch_failing.tell(read.failing)
            self._again_in = AGAIN_TURNS
        self._follow(moment)

    def _follow(self, moment: Moment) -> None:
        if not self._was_read and not self._branch_failing.stands:
            return
        before, was_unconfirmed = self._day, self._unconfirmed
        self._unconfirmed = moment.unconfirmed
        self._day, effects = turned(before, moment, self.rules)
        for effect in effects:
            self._carry_out(effect)
        if self._unconfirmed is not was_unconfirmed:
            self._stand_free()
        if moment.dependable and self._day is not before:
            for follower in self.followers:
                follower.follow(self._day.calendar, self._day.override, moment)
        # Not at the very start: a reader that is still connecting is no fault.
        if moment.dependable and before.seen is not None and self._day is not before:
            self._test_when_due(moment)

    def _stand_free(self) -> None:
        standing = self._day.standing
        staffed = standing is not None and standing.mode is Mode.STAFFED
        self.doorway.stand_free(free=self.stands_free and staffed and not self._unconfirmed)

    def _note_clock(self, now_s: float) -> None:
        standing = self._day.standing
        if standing is None:
            return
        if not self.paused:
            self._paused_s = None
            self._paused.tell(None)
        elif self._paused_s is None:
            self._paused_s = now_s
        elif now_s - self._paused_s >= WITNESS_PATIENCE_S:
            self._paused.tell("one source alone has given the time since the start")
        if standing.cause is not Cause.CLOCK:
            self._calendar.tell("no hours are known for now" if standing.problem else None)
            self._clockless_s = None
            self._clockless.tell(None)
        elif self._clockless_s is None:
            self._clockless_s = now_s
        elif now_s - self._clockless_s >= CLOCK_PATIENCE_S:
            self._clockless.tell("nobody vouches for the time")

    def _note_damage(self, damaged: str | None) -> None:
        if damaged is not None and damaged != self._damaged:
            why = f"branch.db has wrong bits ({damaged}); only those whom they concern are refused"
            self.log.emit("alarm", kind="store_damaged", why=why)
        self._damaged = damaged

    def _look_at_branch(self) -> None:
        try:
            version = self.branch.version()
        except StoreError as err:
            self._branch_failing.tell(str(err))
            # The database has to be read once it is back, in any version.
            self._read_at = None
            return
        self._again_in -= 1
        if self._again_in == 0:
            self._ask_for(version)
        self.look(version)

    def _ask_for(self, version: int) -> None:
        self._read_at = version
        self._reading += 1
        self.submit(self._read)

    def _read(self) -> HoursRead:
        try:
            calendar = self.calendar_of(self.branch.calendar())
            return HoursRead(calendar, self.branch.override(), damaged=self.branch.damage())
        except StoreError as err:
            return HoursRead(failing=str(err))

    def _carry_out(self, effect: DayEffect) -> None:
        match effect:
            case ModeChanged(standing=standing):
                self._change(standing)
            case ClosingWarned(minutes=minutes):
                self.log.emit("closing", minutes=minutes)
                self.doorway.show(Signal.CLOSING_WARNING)
            case CalendarLost():
                self._calendar.tell("no hours are known for now")
            case CalendarFound():
                self._calendar.tell(None)

    def _test_when_due(self, moment: Moment) -> None:
        if due(self._tested, opens_next(self._day.calendar, None, moment.local), moment.local):
            self._tested = moment.local
            self.test()

    def _change(self, standing: Standing) -> None:
        mode, until = standing.mode, standing.until
        self.log.emit(
            "mode",
            state="unknown" if mode is None else mode.value,
            cause=standing.cause.value,
            until=None if until is None else until.isoformat(),
        )
        self._stand_free()
        if mode not in OPEN:
            self.doorway.close_house()
