"""Retention has a bound: whatever the clock does, nothing goes too soon and nothing stays.

Bug (second penetration test, S2): a visit that was old was listed for as long as the clock was not
set, or in doubt and nobody pressed the button, and was never deleted. The state machine over clocks
did not see it: it asked that nothing goes by a clock in doubt, and never how long something stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from doorctl.access.messages import Opened
from doorctl.core.moments import BootTime, KeptReadings, Moment, Stamped
from doorctl.core.timekeeper import Carrier, Timekeeper
from doorctl.privacy.retention import WatchedTime, visible_since
from doorctl.store.visit_purge import purge
from tests.fakes.memory_store import MemoryVisits

BEGINS = datetime(2026, 5, 4, 12, tzinfo=UTC)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RETENTION = 30 * DAY
PURGED_EVERY = 6 * HOUR
ON_DISK = 2 * RETENTION
"""The longest that a visit is on disk while the machine runs and nobody believes its clock."""


@dataclass
class Made:
    """A visit as it really was; `at` is the true time, `ran` how long the machine had run."""

    at: datetime
    ran: timedelta
    boot: int
    dated: bool


class Machine(RuleBasedStateMachine):
    """A branch whose power, sources and wall clock do what they like; the test knows the truth.

    A purge comes every 6 hours while there is power, as the door does it. Times are whole hours.
    """

    @initialize()
    def begin(self) -> None:
        """Start with a clock that is right, for a day."""
        self.truth, self.ran, self.error = BEGINS, timedelta(0), timedelta(0)
        self.began, self.boots = BEGINS, 0
        self.vouched, self.agreed = True, True
        self.visits = MemoryVisits()
        self.made: dict[int, Made] = {}
        self.count = 0
        self.fooled = False
        """Whether a wrong time has settled: then nobody can know, until a right one has."""
        self._start(None)
        self.time_passes(24)

    @rule(hours=st.integers(1, 20 * 24))
    def time_passes(self, hours: int) -> None:
        """Let hours or weeks go by, with the door's purges."""
        while hours:
            step = min(hours, PURGED_EVERY // HOUR)
            hours -= step
            self.truth += step * HOUR
            self.ran += step * HOUR
            self._purge()

    @rule()
    def visit(self) -> None:
        """Swipe a card."""
        self.count += 1
        moment = self.now()
        stamped = Stamped(moment.local, moment.state, self._boot())
        self.visits.open_attempt(Opened(self.count, stamped, None, None))
        if moment.dependable and not self._is_right(moment):
            return
        if not self.fooled:
            right = self._is_right(moment) and moment.settled
            self.made[self.count] = Made(self.truth, self.ran, self.boots, right)

    @rule()
    def wall_clock_is_right(self) -> None:
        """One source says the right time."""
        self.vouched, self.agreed, self.error = True, False, timedelta(0)

    @rule()
    def two_sources_agree(self) -> None:
        """Two say the right time."""
        self.vouched, self.agreed, self.error = True, True, timedelta(0)

    @rule(days=st.integers(-400, 4000))
    def a_source_lies(self, days: int) -> None:
        """One source says another time."""
        self.vouched, self.agreed, self.error = True, False, days * DAY

    @rule(days=st.none() | st.integers(-20_000, 4000))
    def nobody_vouches(self, days: int | None = None) -> None:
        """The network goes; the wall clock may be set to anything, or back to 1971."""
        self.vouched = self.agreed = False
        self.error = self.error if days is None else days * DAY

    @precondition(lambda self: self.now().in_doubt)
    @rule()
    def staff_press_the_button(self) -> None:
        """They set the clock right first."""
        self.error = timedelta(0)
        self.keeper.believe(self.truth, self.truth - self.began)
        self.carrier.lower(self.truth, self._boot())

    @precondition(lambda self: self.now().unconfirmed)
    @rule()
    def a_witness_agrees(self) -> None:
        """The sender of the patrons says the right time."""
        self.keeper.confirm(self.truth, self.truth - self.began)

    @rule()
    def the_process_ends(self) -> None:
        """Start another one in the same boot."""
        self._start(self._kept())

    @rule(off=st.integers(0, 60 * 24))
    def the_power_is_cut(self, off: int) -> None:
        """Cut it for up to two months; the wall clock goes on from what the disk remembers."""
        kept = self._kept()
        self.truth += off * HOUR
        self.error -= off * HOUR
        self.began, self.boots = self.truth, self.boots + 1
        self.vouched = self.agreed = False
        self._start(kept)

    @invariant()
    def nothing_goes_too_soon(self) -> None:
        """No visit goes before 30 days have really passed."""
        kept = {visit.attempt for visit in self.visits.visits(EVER)}
        for number, made in self.made.items():
            assert number in kept or self.truth - made.at >= RETENTION

    @invariant()
    def nothing_shows_too_long(self) -> None:
        """No list shows one after 30 days in which the machine ran, if its time was known.

        If it was not, 60 days; how long the power was off nobody can know, and nobody looks then.
        """
        since = visible_since(self.now().latest, RETENTION)
        for visit in self.visits.visits(since):
            if (made := self.made.get(visit.attempt)) is not None:
                assert self.ran - made.ran <= (RETENTION if made.dated else ON_DISK)

    def nothing_stays(self) -> None:
        """After a purge none is left that is older, however the clock is."""
        moment = self.now()
        for visit in self.visits.visits(EVER):
            if (made := self.made.get(visit.attempt)) is not None:
                assert self.ran - made.ran <= ON_DISK
                if moment.settled and made.dated:
                    assert self.truth - made.at <= RETENTION

    def _purge(self) -> None:
        moment = self.now()
        self._note_fooled(moment)
        before = {visit.attempt for visit in self.visits.visits(EVER)}
        stands = self.watched.stands(moment, (self.truth - self.began).total_seconds())
        purge(self.visits, moment, self._boot(), RETENTION, believed=stands)
        if moment.settled and self._is_right(moment):
            for made in self.made.values():
                made.dated = made.dated or made.boot == self.boots
        kept = {visit.attempt for visit in self.visits.visits(EVER)}
        for number in before - kept:
            if (gone := self.made.pop(number, None)) is not None:
                assert self.truth - gone.at >= RETENTION, (number, gone, moment)
        self.nothing_stays()

    def _note_fooled(self, moment: Moment) -> None:
        if moment.settled:
            self.fooled = not self._is_right(moment)
        if self.fooled:
            self.made.clear()

    def _start(self, kept: KeptReadings | None) -> None:
        boot = self._boot()
        mark = self.visits.high_water() or BEGINS
        self.carrier = Carrier(mark, self.visits.carried_time())
        floor = self.carrier.now(boot), timedelta(milliseconds=boot.ms)
        self.keeper = Timekeeper(mark, wary=True, floor=floor)
        if kept is not None:
            self.keeper.resume(kept, boot.boot_id)
        self.watched = WatchedTime()

    def _kept(self) -> KeptReadings | None:
        """Return what the door keeps of the clock; it keeps the carried time as well."""
        bounds = self.now().bounds
        assert bounds is not None
        self.visits.keep_carried(bounds.carried)
        return self.keeper.kept(self._boot())

    def now(self) -> Moment:
        """Return what the door's clock says, with its bounds."""
        wall, boot = self.truth + self.error, self._boot()
        since = timedelta(milliseconds=boot.ms)
        moment = self.keeper.read(wall, since, vouched=self.vouched, agreed=self.agreed)
        return self.carrier.bound(moment, wall, boot, vouched=self.vouched, believed=False)

    def _boot(self) -> BootTime:
        return BootTime(
            f"boot-{self.boots}", (self.truth - self.began) // timedelta(milliseconds=1)
        )

    def _is_right(self, moment: Moment) -> bool:
        return moment.local == self.truth


TestMachine = Machine.TestCase
TestMachine.settings = settings(stateful_step_count=25)


STORIES = {
    "stepped ahead within a boot, and nobody says what is right": (
        "visit; a_source_lies 31; hidden; time_passes 696; there; time_passes 48; gone"
    ),
    "off for long, two sources agree": (
        "visit; the_power_is_cut 744; two_sources_agree; hidden; time_passes 6; gone"
    ),
    "off for long, one source": (
        "visit; the_power_is_cut 744; wall_clock_is_right; hidden; time_passes 48; there;"
        "a_witness_agrees; time_passes 24; gone"
    ),
    "off for long, one source, and nothing confirms it": (
        "visit; the_power_is_cut 744; wall_clock_is_right; time_passes 696; there; time_passes 48;"
        "gone"
    ),
    "off for a moment, and one source lies": (
        "visit; the_power_is_cut 0; a_source_lies 31; hidden; time_passes 696; there;"
        "time_passes 48; gone"
    ),
    "off for long, and no network": (
        "visit; the_power_is_cut 744; nobody_vouches; time_passes 696; there; shown;"
        "time_passes 48; gone"
    ),
    "restarted every ten days, and no network": (
        "visit; the_power_is_cut 99; nobody_vouches -20000; time_passes 240; the_power_is_cut 99;"
        "time_passes 240; the_process_ends; time_passes 216; there; the_power_is_cut 1;"
        "time_passes 48; gone"
    ),
    "behind, and somebody vouches for it": (
        "visit; a_source_lies -400; time_passes 690; there; time_passes 48; gone"
    ),
    "behind, and restarted": (
        "visit; a_source_lies -400; time_passes 480; the_power_is_cut 1; a_source_lies -400;"
        "time_passes 210; there; time_passes 48; gone"
    ),
    "a visit while nobody knew how long the power was off": (
        "the_power_is_cut 960; nobody_vouches; time_passes 48; visit; the_power_is_cut 1;"
        "two_sources_agree; time_passes 600; there; time_passes 360; gone"
    ),
    "a visit by a clock that starts in 1971 each time": (
        "nobody_vouches -20000; the_power_is_cut 1; nobody_vouches -20000; time_passes 480; visit;"
        "time_passes 480; there; time_passes 480; gone"
    ),
}
"""Scenes of the review and beyond: rules of the machine, and what is so then. Times are hours."""


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_becomes_of_a_visit(story: str) -> None:
    """It is hidden at once, and deleted neither too soon nor never.

    Bug (second penetration test, S2): with a clock that was not set, or was in doubt, it stayed in
    every list and on the disk.

    Bug (simulation, seed 20261202): one source that lied after a power cut had it deleted after six
    hours.
    """
    machine = Machine()
    machine.begin()
    for step in story.split(";"):
        name, *number = step.split()
        machine.nothing_goes_too_soon()
        machine.nothing_shows_too_long()
        kept = bool(list(machine.visits.visits(EVER)))
        listed = bool(list(machine.visits.visits(machine.now().latest - RETENTION)))
        so = {"hidden": not listed, "shown": listed, "there": kept, "gone": not kept}
        if name in so:
            assert so[name], step
        else:
            getattr(machine, name)(*map(int, number))
