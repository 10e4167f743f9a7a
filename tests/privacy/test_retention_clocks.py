"""Bugs that were found.

Bug (attack review): visits of a trusted clock that was ahead stayed for years, and the proof was
clean; one such evening emptied branch.db.

Bug (state machine over clocks): dating such visits at once lost a month where the clock of now is
behind; a clock behind erased the audit log before it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorctl.access.messages import Opened
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped, Timekeeper
from doorctl.privacy.retention import (
    Canaries,
    Hold,
    WatchedTime,
    accepted,
    readable_since,
    visible_since,
)
from doorctl.store.visit_purge import purge
from tests.fakes.memory_store import MemoryVisits

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CANARIES = Canaries(InstallationKey(b"k" * 32))


class Branch(RuleBasedStateMachine):
    """A branch whose wall clock jumps, loses its source and restarts; the test knows the truth.

    A source can err, too, and later say the right time. All times are whole hours, so that
    holdover is exact.
    """

    def __init__(self) -> None:
        super().__init__()
        self.truth = NOON
        self.error = timedelta(0)
        self.booted = NOON
        self.boots = 0
        self.vouched = False
        self.keeper = Timekeeper(NOON, wary=True)
        self.watched = WatchedTime()
        self.visits = MemoryVisits()
        self.made: dict[int, tuple[datetime, int]] = {}
        self.dated: set[int] = set()
        """Visits whose time was known for certain, when they were made or later in that boot."""
        self.misled: set[int] = set()
        """Visits that a wrong clock has dated, though somebody vouched for it."""
        self.holds: dict[int, Hold] = {}
        """Those that nobody lifted, over or not."""
        self.planted: dict[bytes, datetime] = {}

    @rule(hours=st.integers(1, 45 * 24))
    def time_passes(self, hours: int) -> None:
        """Let up to a month and a half go by."""
        self.truth += hours * HOUR

    @rule()
    def visit(self) -> None:
        """Swipe a card."""
        attempt, moment = len(self.made) + 1, self._moment()
        stamped = Stamped(moment.local, moment.state, self._boot())
        self.visits.open_attempt(Opened(attempt, stamped, None, None))
        self.made[attempt] = (self.truth, self.boots)
        if self._is_right():
            self.dated.add(attempt)
        elif moment.dependable:
            self.misled.add(attempt)

    @rule(whole=st.booleans())
    def purge(self, *, whole: bool) -> None:
        """Purge, and check that only a dependable clock deletes, and then all that is due.

        Or a day's visits at most, where nobody has asked for more.
        """
        before, moment = self._kept(), self._moment()
        planted = self.visits.canaries()
        believed = self.watched.stands(moment, (self.truth - self.booted).total_seconds())
        report = purge(
            self.visits,
            moment,
            self._boot(),
            RETENTION,
            believed=believed,
            whole=whole,
            canaries=CANARIES,
        )
        assert report.postponed is (moment.stepped or not moment.dependable)
        if report.postponed:
            assert self._kept() == before
            return
        if not self._is_right():
            self._misled(before, believed=believed)
            return
        self.dated |= {each for each in before - self.misled if self.made[each][1] == self.boots}
        today = CANARIES.of(self.truth.date())
        if today not in planted:
            self.planted[today] = self.truth
        assert not (whole and report.limited)
        if report.limited:
            return
        for attempt in self.dated & self._kept():
            assert self._may_be_kept(self.made[attempt][0])
        ahead = [visit for visit in self.visits.visits(EVER) if visit.at > self.truth]
        assert len(ahead) == report.ahead
        assert not (believed and ahead)
        for visit in self.visits.visits(EVER):
            assert self._may_be_kept(visit.at)
        known = self.planted.keys() & self.visits.canaries()
        assert all(self._may_be_kept(self.planted[one]) for one in known)

    def _misled(self, before: set[int], *, believed: bool) -> None:
        """Take it that what a purge by a wrong clock could spoil may be lost.

        One that is behind spoils nothing before it is believed: visits it can't date stay.
        """
        undated = before - self.dated
        self.misled |= {each for each in undated if self.made[each][1] == self.boots}
        stored = {hold.number for hold in self.visits.holds()}
        self.holds = {number: hold for number, hold in self.holds.items() if number in stored}
        if believed or self._moment().local > self.truth:
            self.misled |= before
            self.dated.clear()
            self.planted.clear()

    @precondition(lambda self: self._is_right() and self.keeper.high_water <= self.truth)
    @rule(ago=st.integers(1, 30 * 24), hours=st.integers(1, 30 * 24), days=st.integers(1, 40))
    def incident(self, ago: int, hours: int, days: int) -> None:
        """Freeze a window."""
        since = self.truth - ago * HOUR
        window = (since, min(since + hours * HOUR, self.truth))
        asked = Hold(*window, "1", "an incident", self.truth + 24 * days * HOUR, "by")
        hold = self.visits.add_hold(accepted(asked, self._moment(), RETENTION))
        self.holds[hold.number] = hold

    @precondition(lambda self: self.visits.holds())
    @rule()
    def incident_is_settled(self) -> None:
        """Lift the oldest hold."""
        number = self.visits.holds()[0].number
        self.visits.lift_hold(number)
        del self.holds[number]

    @precondition(lambda self: not self.vouched)
    @rule(days=st.integers(-400, 4000))
    def wall_clock_jumps(self, days: int) -> None:
        """Set the system clock wrong; while a source vouches for it nobody can."""
        self.error = timedelta(days=days)

    @rule()
    def time_source_comes(self) -> None:
        """Synchronise."""
        self.vouched, self.error = True, timedelta(0)

    @rule(days=st.integers(-400, 4000))
    def time_source_errs(self, days: int) -> None:
        """Have a source vouch for a time that may be years off."""
        self.vouched, self.error = True, timedelta(days=days)

    @rule(days=st.integers(-400, 4000))
    def a_wrong_evening(self, days: int) -> None:
        """Have a source err while somebody comes and the door purges, and come right again."""
        self.time_source_errs(days)
        self.visit()
        self.purge(whole=True)
        self.time_source_comes()

    @rule()
    def the_doors_rounds(self) -> None:
        """Purge now and 6 hours later, as the door does."""
        self.purge(whole=True)
        self.time_passes(6)
        self.purge(whole=True)

    @precondition(lambda self: self._moment().in_doubt)
    @rule()
    def staff_say_that_the_clock_is_right(self) -> None:
        """They look at it first."""
        self.error = timedelta(0)
        self.keeper.believe(self.truth, self.truth - self.booted)

    @rule()
    def time_source_goes(self) -> None:
        """Lose the network."""
        self.vouched = False

    @rule(days_off=st.integers(0, 60))
    def restart(self, days_off: int) -> None:
        """Cut the power; a Pi then starts with whatever time its disk remembers."""
        self.truth += days_off * 24 * HOUR
        self.error -= days_off * 24 * HOUR
        self.booted, self.boots, self.vouched = self.truth, self.boots + 1, False
        self.keeper = Timekeeper(self.keeper.high_water, wary=True)
        self.watched = WatchedTime()
        self.visits = MemoryVisits(self.visits)

    @invariant()
    def nothing_known_goes_early(self) -> None:
        """A visit or canary of known time is there for 30 days, and while it is held."""
        kept = self._kept()
        for attempt in self.dated:
            if self._may_be_kept(self.made[attempt][0]):
                assert attempt in kept
        canaries = self.visits.canaries()
        for canary, at in self.planted.items():
            assert canary in canaries or not self._may_be_kept(at)

    @invariant()
    def a_hold_shows_old_visits_only_while_it_holds_for_certain(self) -> None:
        """In doubt about the time, or once it is over, nothing older than any list shows."""
        moment = self._moment()
        for hold in self.holds.values():
            since = readable_since(hold, moment, RETENTION)
            certain = moment.dependable and moment.latest_known < hold.until
            assert not (certain and self._is_right() and self.truth >= hold.until)
            assert since >= hold.since
            assert certain or since >= visible_since(moment.latest_known, RETENTION)

    @invariant()
    def nothing_shows_late(self) -> None:
        """What is known to be older than 30 days is not listed, purged or not."""
        since = visible_since(self._moment().latest_known, RETENTION)
        shown = {visit.attempt for visit in self.visits.visits(since)}
        for attempt in self.dated & shown:
            assert self.keeper.high_water - self.made[attempt][0] <= RETENTION

    @invariant()
    def dated_is_right(self) -> None:
        """A time that is not marked as a guess is the truth."""
        for visit in self.visits.visits(EVER):
            if visit.clock is not ClockState.UNTRUSTED and visit.attempt in self.dated:
                assert visit.at == self.made[visit.attempt][0]

    def _may_be_kept(self, at: datetime) -> bool:
        held = any(
            hold.since <= at < hold.to and self.truth < hold.until for hold in self.holds.values()
        )
        return held or self.truth - at <= RETENTION

    def _is_right(self) -> bool:
        moment = self._moment()
        return moment.dependable and moment.local == self.truth

    def _moment(self) -> Moment:
        elapsed = self.truth - self.booted
        return self.keeper.read(self.truth + self.error, elapsed, vouched=self.vouched)

    def _boot(self) -> BootTime:
        elapsed = self.truth - self.booted
        return BootTime(f"boot-{self.boots}", elapsed // timedelta(milliseconds=1))

    def _kept(self) -> set[int]:
        return {visit.attempt for visit in self.visits.visits(EVER)}


TestBranch = Branch.TestCase
TestBranch.settings = settings(stateful_step_count=30)
