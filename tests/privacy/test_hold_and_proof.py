"""Holds and the proof of a purge, and what any clock does to both.

Bug (attack review): visits of a trusted clock that was ahead stayed for years, and the proof was
clean; one such evening emptied branch.db.

Bug (state machine over clocks): dating such visits at once lost a month where the clock of now is
behind; a clock behind erased the audit log before it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorctl.access.messages import Opened
from doorctl.core.errors import InputError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped
from doorctl.core.timekeeper import Carrier, Timekeeper
from doorctl.privacy.holds import LONGEST, LONGEST_TEXT, Hold, accepted, chosen, readable_since
from doorctl.privacy.purge_proof import (
    LOOKED_BACK,
    Canaries,
    Found,
    Proof,
    ReportSigner,
    Trim,
    prove,
)
from doorctl.privacy.retention import PurgeReport, WatchedTime, visible_since
from doorctl.store.visit_purge import purge
from tests.fakes.memory_store import MemoryVisits

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)
RETENTION = 30 * DAY
ASKED = Hold(NOON - 2 * DAY, NOON - DAY, "2026-117", "a window", NOON + 90 * DAY, "kirsten")


def at(now: datetime, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment by a clock that was never ahead."""
    return Moment(now, now, state)


def held() -> Hold:
    """Return a hold as it is stored."""
    return replace(accepted(ASKED, at(NOON), RETENTION), number=3)


def test_a_hold_is_what_was_asked_for() -> None:
    """In UTC, with the time at which it was added."""
    assert held() == replace(ASKED, number=3, added_at=NOON)


@pytest.mark.parametrize(
    "edge",
    [
        replace(ASKED, until=NOON + LONGEST),
        replace(ASKED, since=NOON - RETENTION),
        replace(ASKED, to=NOON),
        replace(ASKED, until=NOON + MOMENT),
        replace(ASKED, reason="abc" + "x" * (LONGEST_TEXT - 3)),
        replace(ASKED, case="0700-12345-00001-26"),
        replace(ASKED, case="0700-123456"),
        replace(ASKED, case="3213-700101"),
    ],
)
def test_a_limit_itself_is_allowed(edge: Hold) -> None:
    """The longest hold, the oldest visit, a window up to now."""
    accepted(edge, at(NOON), RETENTION)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, until=NOON + LONGEST + MOMENT), "at most 180 days"),
        (replace(ASKED, until=NOON), "ended already"),
        (replace(ASKED, to=ASKED.since), "before it begins"),
        (replace(ASKED, to=NOON + MOMENT), "in the future"),
        (replace(ASKED, since=NOON - RETENTION - MOMENT), "that is gone"),
        (replace(ASKED, case=" "), "case number"),
        (replace(ASKED, case="x" * (LONGEST_TEXT + 1)), "case number"),
        (replace(ASKED, reason=""), "reason"),
        (replace(ASKED, reason="two\nlines"), "reason"),
        (replace(ASKED, since=datetime(1, 1, 1, tzinfo=UTC)), "no time"),
        (replace(ASKED, until=datetime(2026, 9, 1)), "no time"),  # noqa: DTZ001 - as it is refused
        # Nobody's number stands in it, whichever way it comes, and is not repeated.
        (replace(ASKED, case="010170-1234"), "may be a CPR number"),
        (replace(ASKED, case="case 31/12/70 (1234)"), "may be a CPR number"),
        (replace(ASKED, reason="card 3000001234"), "8 or more digits in a row"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Hold, why: str) -> None:
    """A hold is bounded, has a reason, and is for what has happened and is still there."""
    with pytest.raises(InputError, match=why) as caught:
        accepted(asked, at(NOON), RETENTION)
    assert "1234" not in str(caught.value)


def test_no_hold_begins_by_a_guess() -> None:
    """Nobody could say when it ends; and while the clock is not set nothing is purged."""
    with pytest.raises(InputError, match="clock"):
        accepted(ASKED, at(NOON, ClockState.UNTRUSTED), RETENTION)


def test_a_hold_cannot_be_handed_on() -> None:
    """What only one hold keeps is out of reach for the next: there is no hold without an end."""
    later = NOON + 80 * DAY
    again = replace(ASKED, until=later + 90 * DAY)

    with pytest.raises(InputError, match="that is gone"):
        accepted(again, at(later), RETENTION)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (at(ASKED.until - MOMENT), ASKED.since),
        (at(ASKED.until), ASKED.until - RETENTION),
        (at(NOON + 40 * DAY, ClockState.UNTRUSTED), NOON + 10 * DAY),
        (Moment(NOON, ASKED.until, ClockState.TRUSTED), ASKED.until - RETENTION),
        (at(NOON, ClockState.UNTRUSTED), ASKED.since),
    ],
    ids=["its last moment", "its end", "in doubt", "once said to be over", "young and in doubt"],
)
def test_a_hold_shows_its_visits_while_it_certainly_holds(now: Moment, since: datetime) -> None:
    """After it, or where nobody knows how long the branch was off, no more than any list does."""
    assert readable_since(held(), now, RETENTION) == since
    assert held().in_force(now) is (now == at(ASKED.until - MOMENT))


def test_one_is_chosen_by_its_number() -> None:
    """A number that no hold has is told."""
    assert chosen([held()], 3) == held()
    with pytest.raises(InputError, match="no hold 4"):
        chosen([held()], 4)


KEY = InstallationKey(b"k" * 32)
CANARIES = Canaries(KEY)
OLD, TODAY = bytes(16), CANARIES.of(NOON.date())
REPORT = PurgeReport(1, NOON - 30 * DAY, (0, 0, 0), traces=frozenset({OLD}))
SIGNER = ReportSigner(KEY)


def proved(
    *there: bytes, report: PurgeReport = REPORT, came_again: frozenset[bytes] = frozenset()
) -> Proof:
    """Return the proof where some needles stand in the files."""
    return prove(
        report,
        Moment(NOON, NOON, ClockState.TRUSTED),
        CANARIES,
        kept=frozenset({TODAY}),
        still_kept=lambda traces: traces & came_again,
        search=lambda needles: Found(needles & frozenset(there), 4096, ("visits.db",)),
        trim=lambda: Trim.DONE,
    )


def test_a_clean_proof_found_all_that_may_be_there_and_nothing_else() -> None:
    """Today's canary is the control: a search that misses it would miss a visit."""
    proof = proved(TODAY)

    assert (proof.residue, proof.canaries_seen, proof.canaries_kept) == (0, 1, 1)
    assert proof.searched == 1 + LOOKED_BACK.days
    assert proof.clean


@pytest.mark.parametrize(
    ("there", "changes", "residue", "clean"),
    [
        # A row key that was just deleted, or a canary of a day long ago that nobody stored.
        ([TODAY, OLD], {}, 1, False),
        ([TODAY, CANARIES.of((NOON - 31 * DAY).date())], {}, 1, False),
        # A search that sees no canary read the wrong files, or none.
        ([], {}, 0, False),
        # A purge that was not complete is not proved, whatever the search says.
        ([TODAY], {"report": replace(REPORT, checkpoint=(1, 75, 0))}, 0, False),
        # A visit that a clock dated ahead would stay until that time comes.
        ([TODAY], {"report": replace(REPORT, ahead=1)}, 0, False),
        # A patron's first visit after a month may fall between the purge and the search.
        ([TODAY, OLD], {"came_again": frozenset({OLD})}, 0, True),
    ],
)
def test_what_is_proved(
    there: list[bytes], changes: dict[str, Any], residue: int, *, clean: bool
) -> None:
    """What is left is counted; only a whole purge and a search that sees are clean."""
    proof = proved(*there, **changes)

    assert (proof.residue, proof.clean) == (residue, clean)


def test_a_canary_that_a_hold_keeps_is_no_residue() -> None:
    """It may be there, as the visits of its day may."""
    held = CANARIES.of((NOON - 40 * DAY).date())
    proof = prove(
        REPORT,
        Moment(NOON, NOON, ClockState.TRUSTED),
        CANARIES,
        kept=frozenset({TODAY, held}),
        still_kept=lambda _traces: frozenset(),
        search=lambda needles: Found(needles & {TODAY, held}, 1, ()),
        trim=lambda: Trim.DONE,
    )

    assert (proof.residue, proof.canaries_seen, proof.clean) == (0, 2, True)


def test_canaries_are_of_the_key_and_the_day() -> None:
    """Each day of each installation has another one, and the day that is running is not expired."""
    days = [(NOON + number * DAY).date() for number in range(50)]
    others = Canaries(InstallationKey(b"o" * 32))

    assert len({CANARIES.of(day) for day in days} | {others.of(day) for day in days}) == 100
    assert len(CANARIES.expired(NOON)) == LOOKED_BACK.days
    assert CANARIES.of(NOON.date()) not in CANARIES.expired(NOON)
    assert CANARIES.of((NOON - DAY).date()) in CANARIES.expired(NOON)


def test_a_signed_report_is_told_from_a_changed_one() -> None:
    """It comes back as it was; no key bytes and no trace stand in it."""
    content = SIGNER.signed(proved(TODAY).as_dict())

    assert SIGNER.verified(content) == proved(TODAY).as_dict()
    assert KEY.reveal().hex().encode() not in content
    assert OLD.hex().encode() not in content
    with pytest.raises(InputError, match="signature"):
        ReportSigner(InstallationKey(b"o" * 32)).verified(content)


FIELDS = proved(TODAY, OLD).as_dict()


@given(st.sampled_from(sorted(FIELDS)), st.integers() | st.none() | st.text() | st.booleans())
def test_no_field_can_be_changed(name: str, value: Any) -> None:
    """Least of all the residue."""
    report = json.loads(SIGNER.signed(FIELDS))
    if report[name] == value and type(report[name]) is type(value):
        return
    report[name] = value

    with pytest.raises(InputError):
        SIGNER.verified(json.dumps(report).encode())


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"1", b"{}", b'{"format":"x"}']))
def test_anything_else_is_no_report(content: bytes) -> None:
    """One clear line, whatever it is."""
    with pytest.raises(InputError, match="no purge report"):
        SIGNER.verified(content)


@pytest.mark.parametrize("signature", [None, 5, "", "\ud800", "æ" * 64, "0" * 64])
def test_a_signature_that_is_none_is_wrong(signature: object) -> None:
    """Missing, of another type, of other letters or half a character: one line, no traceback."""
    report = {**FIELDS, "signature": signature}

    with pytest.raises(InputError, match="signature"):
        SIGNER.verified(json.dumps(report).encode())


EVER = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


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
        self.carrier = Carrier(NOON)
        self.deceived = False
        """Whether a wrong time has settled, and is carried on."""
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
        """Purge, and check that a settled clock deletes all that is due.

        Or a day's visits at most, where nobody has asked for more. In doubt only what is old by
        both clocks goes, see `nothing_known_goes_early`.
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
        assert report.doubt is moment.doubt
        if not moment.settled:
            if self.deceived:
                self._misled(before, believed=True)
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
        self.carrier.lower(self.truth, self._boot())

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
        self.carrier = Carrier(self.keeper.high_water, self.carrier.kept)
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
        since = visible_since(self._moment().latest, RETENTION)
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
        wall, vouched = self.truth + self.error, self.vouched
        moment = self.keeper.read(wall, elapsed, vouched=vouched)
        if moment.settled:
            self.deceived = moment.local != self.truth
        return self.carrier.bound(moment, wall, self._boot(), vouched=vouched, believed=False)

    def _boot(self) -> BootTime:
        elapsed = self.truth - self.booted
        return BootTime(f"boot-{self.boots}", elapsed // timedelta(milliseconds=1))

    def _kept(self) -> set[int]:
        return {visit.attempt for visit in self.visits.visits(EVER)}


TestBranch = Branch.TestCase
TestBranch.settings = settings(stateful_step_count=30)
