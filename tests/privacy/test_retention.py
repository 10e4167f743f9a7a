from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from doorctl.core.errors import StoreError
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import BootTime, ClockState, Moment, Stamped
from doorctl.privacy.retention import Canaries, Hold, PurgeReport, purge, visible_since
from tests.fakes.memory_holds import ProvableVisits

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RETENTION = timedelta(days=30)
BOOT = BootTime("boot-1", 60_000)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
KEY = bytes(range(16))


class FullDisk(ProvableVisits):
    """A door log whose file can't be rewritten."""

    def compact(self) -> tuple[int, int, int]:
        """Fail."""
        raise StoreError("the disk is full")


def _moment(at: datetime, state: ClockState = ClockState.TRUSTED) -> Moment:
    return Moment(at, at, state)


def _log(*ages: timedelta) -> ProvableVisits:
    visits = ProvableVisits()
    for attempt, age in enumerate(ages, start=1):
        visits.open_attempt(attempt, Stamped(NOON - age, ClockState.TRUSTED, BOOT), None, None)
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


@pytest.mark.parametrize("state", [ClockState.TRUSTED, ClockState.HOLDOVER])
def test_holdover_time_is_as_good_as_trusted(state: ClockState) -> None:
    """A branch that lost its network for a week still forgets."""
    visits = _log(31 * timedelta(days=1))

    assert purge(visits, _moment(NOON, state), BOOT, RETENTION).deleted == 1


def test_nothing_is_deleted_on_a_guess() -> None:
    """An untrusted clock ten years ahead deletes nothing, keeps no time, and says so."""
    visits = _log(timedelta(days=1), timedelta(days=40))
    moment = Moment(NOON + timedelta(days=3650), NOON, ClockState.UNTRUSTED)

    report = purge(visits, moment, BOOT, RETENTION)

    assert report == PurgeReport()
    assert report.postponed
    assert not report.complete
    assert len(list(visits.visits(EVER))) == 2
    assert visits.high_water() is None


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


def test_no_canary_is_planted_on_a_guess() -> None:
    """One of a day that a wrong clock made up would be missed, or stand there for ever."""
    visits = _log()
    moment = Moment(NOON, NOON, ClockState.UNTRUSTED)

    purge(visits, moment, BOOT, RETENTION, canaries=Canaries(InstallationKey(b"k" * 32)))

    assert visits.canaries() == set()


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
    visits.open_attempt(1, Stamped(NOON - 2 * RETENTION, ClockState.TRUSTED, BOOT), KEY, None)
    told: list[frozenset[bytes]] = []

    with pytest.raises(StoreError):
        purge(visits, _moment(NOON), BOOT, RETENTION, remember=told.append)

    assert list(visits.visits(EVER)) == []
    assert [KEY in traces for traces in told] == [True]


def test_a_report_shows_no_trace() -> None:
    """Row keys are personal data: no log line or traceback may quote them."""
    visits = ProvableVisits()
    key = bytes(range(16))
    visits.open_attempt(1, Stamped(NOON, ClockState.TRUSTED, BOOT), key, None)

    report = purge(visits, _moment(NOON + 31 * timedelta(days=1)), BOOT, RETENTION)

    assert key in report.traces
    assert "traces" not in repr(report)
    assert "traces" not in report.as_dict()


def test_a_hold_ends_by_the_time_of_now() -> None:
    """Not by a trusted time that a wrong clock once gave: that would end every hold early."""
    visits = _log(timedelta(days=31))
    window = (NOON - timedelta(days=32), NOON - timedelta(days=30))
    visits.add_hold(Hold(0, *window, "1", "r", NOON + timedelta(days=1), NOON, "by"))
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


def test_a_failing_log_is_told_to_the_caller() -> None:
    """A purge that could not delete must not look like one that did."""
    visits = _log(timedelta(days=40))
    visits.broken = True

    with pytest.raises(StoreError):
        purge(visits, _moment(NOON), BOOT, RETENTION)


def test_what_nobody_asked_for_takes_a_day_of_visits_at_most() -> None:
    """A wrong clock that was believed so leaves the log for hours: each purge goes a day further.

    What is under a hold stands in nobody's way, and no hold ends by such a time. A door that
    really was off comes through in so many steps; the hold ends with the last.
    """
    visits = _log(*(timedelta(days=days) for days in (90, 61, 60.5, 45, 31, 30)))
    window = (NOON - timedelta(days=91), NOON - timedelta(days=89))
    held = Hold(0, *window, "1", "r", NOON - timedelta(hours=1), NOON, "by")
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


def test_staff_may_have_it_all_at_once() -> None:
    """They have looked at the clock, or have set a shorter retention."""
    visits = _log(*(timedelta(days=days) for days in (61, 45, 31)))

    report = purge(visits, _moment(NOON), BOOT, RETENTION)

    assert (report.deleted, report.limited) == (3, False)
