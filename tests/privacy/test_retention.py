from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from doorctl.access.messages import Opened
from doorctl.access.patron import CacheStamp
from doorctl.core.errors import StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import (
    BootTime,
    Bounds,
    CarriedTime,
    ClockDoubt,
    ClockState,
    Moment,
    Stamped,
)
from doorctl.privacy.holds import Hold
from doorctl.privacy.patrons_round import UNCONFIRMED, PatronsRound
from doorctl.privacy.purge_proof import Canaries
from doorctl.privacy.retention import WATCHED_S, PurgeReport, WatchedTime, visible_since
from doorctl.store.visit_purge import purge
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryVisits

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)
BOOT = BootTime("boot-1", 60_000)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
KEY = bytes(range(16))
CUTOFF = datetime(2026, 4, 4, 12, 0, 0, 5, tzinfo=UTC)


class FullDisk(MemoryVisits):
    """A door log whose file can't be rewritten."""

    def compact(self) -> tuple[int, int, int]:
        """Fail."""
        raise StoreError("the disk is full")


def _moment(at: datetime, state: ClockState = ClockState.TRUSTED) -> Moment:
    return Moment(at, at, state)


def _log(*ages: timedelta) -> MemoryVisits:
    visits = MemoryVisits()
    for attempt, age in enumerate(ages, start=1):
        visits.open_attempt(
            Opened(attempt, Stamped(NOON - age, ClockState.TRUSTED, BOOT), None, None)
        )
    return visits


def test_visits_are_kept_for_the_retention_and_not_a_moment_longer() -> None:
    """What is exactly as old as the retention stays; a millisecond more and it goes."""
    visits = _log(RETENTION, RETENTION + timedelta(milliseconds=1))

    report = purge(visits, _moment(NOON), BOOT, RETENTION)

    assert replace(report, traces=frozenset()) == PurgeReport(1, NOON - RETENTION, (0, 0, 0))
    assert report.complete
    assert not report.postponed
    assert [visit.attempt for visit in visits.visits(NOON - 2 * RETENTION)] == [1]
    assert visits.high_water() == NOON


def test_the_mark_rises_no_higher_than_the_moment_says() -> None:
    """A time that was not seen for an hour dates rows; it is no mark for ever after."""
    visits, young = _log(timedelta(days=1)), NOON - timedelta(hours=1)
    purge(visits, replace(_moment(NOON), high_water=young), BOOT, RETENTION)

    assert visits.high_water() == young


def test_nothing_is_deleted_on_a_guess() -> None:
    """A clock that is not set, ten years ahead, deletes only what is old for certain.

    It keeps no time and plants no canary. What it alone calls old is counted: it is hidden.
    """
    visits = _log(timedelta(days=1), timedelta(days=40))
    unset = Moment(NOON + timedelta(days=3650), NOON, ClockState.UNTRUSTED)
    bounds = Bounds(unset.local, vouched=False, carried=CarriedTime(NOON, NOON, BOOT))

    canaries = Canaries(InstallationKey(b"k" * 32))
    report = purge(visits, replace(unset, bounds=bounds), BOOT, RETENTION, canaries=canaries)

    assert (report.deleted, report.left, report.doubt) == (1, 1, ClockDoubt.UNSET)
    assert visits.canaries() == set()
    assert (report.postponed, report.complete) == (True, True)
    assert [visit.attempt for visit in visits.visits(EVER)] == [1]
    assert visits.high_water() is None


@pytest.mark.parametrize(
    ("off", "vouched", "unbelieved", "deleted_by", "hidden_by"),
    [
        pytest.param(31, True, 0, 0, 31, id="ahead, and somebody vouches for it"),
        pytest.param(31, False, 0, 0, 31, id="ahead, and nobody does"),
        pytest.param(31, True, 29, 0, 31, id="ahead, for long"),
        pytest.param(-400, False, 0, 0, 0, id="not set: it is no witness"),
        pytest.param(-400, True, 29, -400, 0, id="behind: the carried time may be the wrong one"),
        pytest.param(-400, True, 30, 0, 0, id="behind for as long as visits are kept"),
    ],
)
def test_old_is_hidden_by_the_later_clock_and_deleted_by_the_earlier(
    off: int, unbelieved: int, deleted_by: int, hidden_by: int, *, vouched: bool
) -> None:
    """The wall clock is some days off the carried time, which nobody has believed for some days."""
    day = timedelta(days=1)
    carried = CarriedTime(NOON - unbelieved * day, NOON, BOOT)
    bounds = Bounds(NOON + off * day, vouched, carried)
    moment = Moment(NOON, NOON - day, ClockState.UNTRUSTED, stepped=True, bounds=bounds)

    assert moment.earliest(RETENTION) == NOON + deleted_by * day
    assert moment.latest == NOON + hidden_by * day


def test_a_clock_that_settled_is_the_only_one() -> None:
    """Hidden and deleted by the same time; for some hours after a leap by the carried one."""
    day = timedelta(days=1)
    bounds = Bounds(NOON, vouched=True, carried=CarriedTime(NOON - day, NOON - day, BOOT))
    settled = replace(_moment(NOON), bounds=bounds)

    assert (settled.earliest(RETENTION), settled.latest) == (NOON, NOON)
    assert replace(settled, stepped=True).earliest(RETENTION) == NOON - day


def test_a_visit_that_a_wrong_clock_dated_ahead_ages_by_the_boot_clock() -> None:
    """Its age in this boot is certain, whatever stands as its time; a hold keeps it."""
    visits = _log(timedelta(days=-3000), timedelta(days=-4000))
    window = (NOON + timedelta(days=3999), NOON + timedelta(days=4001))
    visits.add_hold(Hold(*window, "1", "r", NOON + timedelta(days=9000), "by"))
    later = BootTime(BOOT.boot_id, BOOT.ms + 30 * 86_400_000)

    assert purge(visits, _moment(NOON), later, RETENTION).deleted == 0
    later = replace(later, ms=later.ms + 1)
    assert purge(visits, _moment(NOON), later, RETENTION).deleted == 1
    assert [visit.attempt for visit in visits.visits(EVER)] == [2]


@pytest.mark.parametrize("checkpoint", [(1, 75, 0), (0, 3, 3), (0, -1, -1)])
def test_a_purge_is_complete_only_when_no_byte_can_be_left(
    checkpoint: tuple[int, int, int],
) -> None:
    """A reader in the way, or a WAL that is not empty, is reported: purge again."""
    visits = _log(timedelta(days=40))
    visits.checkpoint = checkpoint

    report = purge(visits, _moment(NOON), BOOT, RETENTION)

    assert (report.deleted, report.complete, report.postponed) == (1, False, False)
    visits.checkpoint = (0, 0, 0)
    assert purge(visits, _moment(NOON), BOOT, RETENTION).complete


def test_a_clock_that_was_once_wrong_deletes_nothing_early() -> None:
    """The cutoff counts from the trusted time of now, not from one that a wrong clock once gave."""
    visits = _log(timedelta(days=1))
    moment = Moment(NOON, NOON + timedelta(days=9999), ClockState.TRUSTED)

    report = purge(visits, moment, BOOT, RETENTION)

    assert (report.deleted, report.cutoff) == (0, NOON - RETENTION)


def test_the_cutoff_is_utc_whatever_the_branchs_zone() -> None:
    """The same instant in Danish time gives the same cutoff, told in UTC."""
    danish = NOON.astimezone(timezone(timedelta(hours=2)))

    assert visible_since(danish, RETENTION) == NOON - RETENTION
    assert visible_since(danish, RETENTION).tzinfo is UTC


def test_each_purge_leaves_a_canary_of_its_day() -> None:
    """It is there from the first purge of a day on, and goes when a visit of that moment goes."""
    canaries = Canaries(InstallationKey(b"k" * 32))
    visits = _log()

    for hours in (0, 6):
        now = NOON + timedelta(hours=hours)
        purge(visits, _moment(now), BOOT, RETENTION, canaries=canaries)
    assert visits.canaries() == {canaries.of(NOON.date())}

    later = NOON + RETENTION
    purge(visits, _moment(later), BOOT, RETENTION, canaries=canaries)
    assert visits.canaries() == {canaries.of(NOON.date()), canaries.of(later.date())}

    later += timedelta(minutes=1)
    report = purge(visits, _moment(later), BOOT, RETENTION, canaries=canaries)
    assert visits.canaries() == {canaries.of(later.date())}
    assert canaries.of(NOON.date()) in report.traces
    assert report.deleted == 0


def test_what_a_purge_could_not_clear_is_looked_for_after_the_next() -> None:
    """The rows are gone then, so only the report of the first knows what they were."""
    visits = _log(timedelta(days=40))
    visits.checkpoint = (1, 75, 0)
    first = purge(visits, _moment(NOON), BOOT, RETENTION)

    visits.checkpoint = (0, 0, 0)
    second = purge(visits, _moment(NOON), BOOT, RETENTION, earlier=first.traces)

    assert first.traces
    assert second.traces == first.traces


def test_what_is_deleted_is_told_before_it_is() -> None:
    """The disk may be full once the rows are gone, and then no report says what they were."""
    visits = FullDisk()
    visits.open_attempt(
        Opened(1, Stamped(NOON - 2 * RETENTION, ClockState.TRUSTED, BOOT), KEY, None)
    )
    told: list[frozenset[bytes]] = []

    with pytest.raises(StoreError):
        purge(visits, _moment(NOON), BOOT, RETENTION, remember=told.append)

    assert list(visits.visits(EVER)) == []
    assert [KEY in traces for traces in told] == [True]


def test_a_report_shows_no_trace() -> None:
    """Row keys are personal data: no log line or traceback may quote them."""
    visits = MemoryVisits()
    key = bytes(range(16))
    visits.open_attempt(Opened(1, Stamped(NOON, ClockState.TRUSTED, BOOT), key, None))

    report = purge(visits, _moment(NOON + 31 * timedelta(days=1)), BOOT, RETENTION)

    assert key in report.traces
    assert "traces" not in repr(report)
    assert "traces" not in report.as_dict()


def test_a_hold_ends_by_the_time_of_now() -> None:
    """Not by a trusted time that a wrong clock once gave: that would end every hold early."""
    visits = _log(timedelta(days=31))
    window = (NOON - timedelta(days=32), NOON - timedelta(days=30))
    visits.add_hold(Hold(*window, "1", "r", NOON + timedelta(days=1), "by"))
    ahead = Moment(NOON, NOON + timedelta(days=9999), ClockState.TRUSTED)

    report = purge(visits, ahead, BOOT, RETENTION)
    assert (report.deleted, report.held) == (0, 1)

    report = purge(visits, _moment(NOON + timedelta(days=1)), BOOT, RETENTION)
    assert (report.deleted, report.held) == (1, 0)


def test_a_visit_that_a_vouched_clock_dated_ahead_is_told_and_then_settled() -> None:
    """Not at once: if it is the clock of now that is wrong, that would make every visit look old.

    A clock that was set by seconds has dated nothing wrongly.
    """
    visits = _log(timedelta(days=-1400), timedelta(seconds=-9), timedelta(days=1))

    report = purge(visits, _moment(NOON), BOOT, RETENTION)
    assert (report.deleted, report.ahead) == (0, 1)

    assert purge(visits, _moment(NOON), BOOT, RETENTION, believed=True).ahead == 0
    later = purge(visits, _moment(NOON + RETENTION + timedelta(seconds=1)), BOOT, RETENTION)
    assert later.deleted == 3


def test_what_nobody_asked_for_takes_a_day_of_visits_at_most() -> None:
    """A wrong clock that was believed so leaves the log for hours: each purge goes a day further.

    What is under a hold stands in nobody's way, and no hold ends by such a time. A door that
    really was off comes through in so many steps; the hold ends with the last.

    Bug (review tried again by hand): a wrong clock that was believed for 6 hours deleted the
    whole door log in one purge.
    """
    visits = _log(*(timedelta(days=days) for days in (90, 61, 60.5, 45, 31, 30)))
    window = (NOON - timedelta(days=91), NOON - timedelta(days=89))
    held = Hold(*window, "1", "r", NOON - timedelta(hours=1), "by")
    visits.add_hold(held)
    reports: list[PurgeReport] = []
    while not reports or reports[-1].limited:
        reports.append(purge(visits, _moment(NOON), BOOT, RETENTION, whole=False))

    assert [report.deleted for report in reports] == [2, 1, 2]
    assert [report.held for report in reports] == [1, 1, 0]
    assert [report.complete for report in reports] == [True, True, True]
    cutoffs = [NOON - timedelta(days=60), NOON - timedelta(days=44), NOON - RETENTION]
    assert [report.cutoff for report in reports] == cutoffs
    assert [visit.at for visit in visits.visits(EVER)] == [NOON - RETENTION]


def test_an_ordinary_purge_is_not_limited() -> None:
    """It has a few hours to take, and a log without visits has none."""
    visits = _log(RETENTION + timedelta(hours=23), RETENTION + timedelta(hours=1), RETENTION)

    report = purge(visits, _moment(NOON), BOOT, RETENTION, whole=False)
    assert (report.deleted, report.limited, report.cutoff) == (2, False, NOON - RETENTION)
    assert not purge(_log(), _moment(NOON), BOOT, RETENTION, whole=False).limited


def test_a_report_is_logged_under_these_names() -> None:
    """Whole seconds in UTC; what the later clock alone calls old is left, and counted."""
    done = PurgeReport(3, CUTOFF, (0, 0, 0))

    assert done.as_dict() == {
        "deleted": 3,
        "cutoff": "2026-04-04T12:00:00+00:00",
        "complete": True,
        "postponed": False,
        "left": 0,
        "clock_doubt": "none",
    }
    assert replace(done, left=2, doubt=ClockDoubt.LEAPT).as_dict() == {
        "deleted": 3,
        "cutoff": "2026-04-04T12:00:00+00:00",
        "complete": True,
        "postponed": True,
        "left": 2,
        "clock_doubt": "leapt",
    }


def test_a_purge_that_was_tried_again_reports_all_that_it_deleted() -> None:
    """The last try's report, with what the tries before have deleted."""
    last = PurgeReport(3, CUTOFF, (0, 0, 0), held=1, traces=frozenset({b"trace"}))

    assert last.after(4) == PurgeReport(7, CUTOFF, (0, 0, 0), held=1, traces=last.traces)


@pytest.mark.usefixtures("far_east")
def test_a_canary_is_of_the_day_in_utc() -> None:
    """Whatever zone the system is in, or a canary would be looked for on another day."""
    visits, canaries = MemoryVisits(), Canaries(InstallationKey(bytes(32)))

    purge(visits, _moment(NOON), BOOT, RETENTION, canaries=canaries)

    assert visits.canaries() == {canaries.of(NOON.date())}


# The patron register goes a month after the last push.

HOUR_S = 3600.0
LAST_PUSH = START - UNCONFIRMED - timedelta(days=1)


@dataclass
class Register:
    """A register whose age the test sets."""

    applied_at: datetime | None = LAST_PUSH
    patrons: int = 5
    expired: list[datetime] = field(default_factory=list)
    broken: bool = False

    def stamp(self) -> CacheStamp:
        """Return its age."""
        if self.broken:
            raise StoreError("it can't be read")
        return CacheStamp(7, self.applied_at, 15, self.patrons)

    def expire(self, before: datetime) -> int:
        """Forget everybody."""
        self.expired.append(before)
        gone, self.patrons = self.patrons, 0
        return gone


class House:
    """A round with all that it needs."""

    def __init__(self) -> None:
        self.clock, self.log, self.register = FakeClock(), FakeEventLog(), Register()
        self.forgotten: list[datetime] = []
        self.round = PatronsRound(
            stamp=self.register.stamp,
            expire=self.register.expire,
            forget=self.forgotten.append,
            clock=self.clock,
            log=self.log,
        )

    def hours(self, hours: int) -> None:
        """Go the round every hour, and once at the beginning."""
        self.round.turn()
        for _ in range(hours):
            self.clock.advance(HOUR_S)
            self.round.turn()


@pytest.fixture
def house() -> House:
    """A register that no push has confirmed for 31 days."""
    return House()


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(("patrons", "well"), [(0, []), (1, ["patrons_expired"])])
def test_a_register_with_a_row_ends_its_alarm(house: House, patrons: int, well: list[str]) -> None:
    """An empty one does not: that it was emptied is what the alarm says. Its time is UTC."""
    house.register.patrons = patrons
    house.round.turn()
    house.clock.advance(WATCHED_S)
    house.round.turn()

    assert house.log.well == 2 * well
    assert [before.tzinfo for before in house.register.expired] == [UTC] * patrons


def test_a_register_that_nobody_confirms_goes(house: House) -> None:
    """After it was seen to be that old for some hours; one alarm says so."""
    house.hours(int(WATCHED_S // HOUR_S) - 1)
    assert house.register.expired == []

    house.hours(30)

    (before,) = house.register.expired
    assert before == house.clock.wall - timedelta(hours=29) - UNCONFIRMED
    (alarm,) = house.log.named("alarm")
    assert alarm["kind"] == "patrons_expired"


def test_a_push_in_time_keeps_it(house: House) -> None:
    """Also one that comes while it is watched already."""
    house.hours(3)
    house.register.applied_at = house.clock.wall
    house.hours(1)
    house.register.applied_at = LAST_PUSH
    house.hours(5)

    assert house.register.expired == []


def test_a_register_of_thirty_days_stays(house: House) -> None:
    """Exactly as old as it may be, at each look."""
    for _ in range(20):
        house.register.applied_at = house.clock.wall - UNCONFIRMED
        house.round.turn()
        house.clock.advance(HOUR_S)

    assert house.register.expired == []


def test_an_evening_of_a_wrong_clock_shuts_nobody_out(house: House) -> None:
    """A trusted clock that is ten years ahead for some hours deletes nothing.

    Bug (end-to-end test): one evening with a wrong but trusted clock made every later purge
    delete everything.
    """
    house.register.applied_at = START
    house.clock.step(START + timedelta(days=3650))
    house.hours(5)
    house.clock.step(START + timedelta(hours=5))
    house.hours(10)

    assert house.register.expired == []


def test_nothing_goes_by_a_guess(house: House) -> None:
    """While nobody vouches for the clock it is as old as has certainly passed, and goes then.

    Bug (second penetration test, S2): where the clock was never set, it stayed for ever.
    """
    house.clock.vouched = False
    house.clock.high_water = START - timedelta(days=1)
    house.register.applied_at = START - timedelta(days=2)
    house.clock.reboot("boot-2")
    house.hours(29 * 24 - 1)
    assert house.register.expired == []

    house.hours(24)
    assert len(house.register.expired) == 1


def test_an_empty_register_is_no_news(house: House) -> None:
    """A branch that was never pushed to has nothing to forget, and raises no alarm."""
    house.register.patrons = 0
    house.hours(20)
    house.register.patrons, house.register.applied_at = 5, None
    house.hours(20)

    assert house.register.expired == []
    assert house.log.lines == []


def test_a_register_that_cannot_be_read_is_not_old(house: House) -> None:
    """Others alarm that; this round begins anew."""
    house.hours(5)
    house.register.broken = True
    house.hours(1)
    house.register.broken = False
    house.hours(5)

    assert house.register.expired == []


def test_who_was_shut_out_is_forgotten_by_a_clock_that_counts(house: House) -> None:
    """At each look, however young the register is; by the certain time while nobody vouches."""
    house.register.applied_at = house.clock.wall
    house.hours(1)
    assert house.forgotten == [house.clock.wall - timedelta(hours=1), house.clock.wall]

    doubtful = House()
    doubtful.clock.vouched = False
    doubtful.hours(1)
    certain = doubtful.clock.high_water
    assert doubtful.forgotten == [certain, certain + timedelta(hours=1)]


def watch(house: House) -> None:
    """Go the round now, and once the register has been watched for long enough."""
    house.round.turn()
    house.clock.advance(WATCHED_S)
    house.round.turn()


def test_an_old_register_goes_where_its_file_cannot_be_rewritten(house: House) -> None:
    """A full disk keeps free space as it is, and no old row.

    Bug (a second reader): the rewriting came first, and where it failed, nothing was ever deleted.
    """

    def fails(_now: datetime) -> None:
        raise StoreError("there is no room")

    house.round.forget = fails
    for _ in range(int(WATCHED_S // HOUR_S) + 2):
        house.clock.advance(HOUR_S)
        with suppress(StoreError):
            house.round.turn()

    assert len(house.register.expired) == 1


@pytest.mark.usefixtures("far_east")
def test_a_single_patron_is_forgotten_too_and_the_alarm_says_why(house: House) -> None:
    """With the day in UTC before which there was no push, and how many rows that were."""
    house.register.patrons = 1
    watch(house)

    before = house.clock.wall.astimezone(UTC) - UNCONFIRMED
    (alarm,) = house.log.named("alarm")
    assert house.register.patrons == 0
    assert alarm["why"] == f"no push since {before:%Y-%m-%d}: 1 rows were deleted"


def test_an_old_register_that_comes_back_is_watched_afresh(house: House) -> None:
    """A file that is restored right after it expired expires again, no sooner and no later."""
    watch(house)
    house.register.patrons = 1

    house.round.turn()
    assert house.register.patrons == 1
    house.clock.advance(WATCHED_S)
    house.round.turn()
    assert house.register.patrons == 0


# How long a clock has run evenly.

YEARS = timedelta(days=1400)


def stands(watched: WatchedTime, clock: FakeClock) -> bool:
    """Look once."""
    return watched.stands(clock.moment(), clock.monotonic_s())


def test_a_time_stands_once_it_has_run_evenly_for_hours() -> None:
    """And not a second before; a clock that is slewed meanwhile runs evenly."""
    watched, clock = WatchedTime(), FakeClock()
    assert not stands(watched, clock)

    clock.advance(WATCHED_S - 1)
    clock.step(clock.wall + timedelta(minutes=59))
    assert not stands(watched, clock)

    clock.advance(1)
    assert stands(watched, clock)


@pytest.mark.parametrize("leap", [YEARS, -YEARS, timedelta(hours=1)])
def test_a_clock_that_was_set_is_watched_anew(leap: timedelta) -> None:
    """Ahead or back: which of the two times was wrong nobody knows yet."""
    watched, clock = WatchedTime(), FakeClock()
    stands(watched, clock)
    clock.advance(WATCHED_S)
    assert stands(watched, clock)

    clock.step(clock.wall + leap)
    clock.believe()
    assert not stands(watched, clock)

    clock.advance(WATCHED_S)
    assert stands(watched, clock)


def test_a_time_that_nobody_vouches_for_does_not_stand() -> None:
    """However long; and what was seen before is not counted afterwards."""
    watched, clock = WatchedTime(), FakeClock()
    stands(watched, clock)
    clock.vouched = False
    clock.reboot("boot-2")
    clock.advance(WATCHED_S)
    assert not stands(watched, clock)

    clock.vouched = True
    clock.step(START + timedelta(seconds=WATCHED_S))
    assert not stands(watched, clock)
