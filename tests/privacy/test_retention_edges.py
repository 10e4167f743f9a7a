"""What a purge reports, and by whose day it counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from doorctl.access.patron import CacheStamp
from doorctl.core.masked import InstallationKey
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.privacy.retention import (
    UNCONFIRMED,
    WATCHED_S,
    Canaries,
    PatronsRound,
    PurgeReport,
    purge,
)
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_holds import ProvableVisits

CUTOFF = datetime(2026, 4, 4, 12, 0, 0, 5, tzinfo=UTC)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system whose day begins 14 hours before that of UTC."""
    with monkeypatch.context() as system:
        system.setenv("TZ", "XXX-14")
        time.tzset()
        yield
    time.tzset()


def test_a_report_is_logged_under_these_names() -> None:
    """Whole seconds in UTC; what was postponed has no cutoff."""
    done = PurgeReport(3, CUTOFF, (0, 0, 0))

    assert done.as_dict() == {
        "deleted": 3,
        "cutoff": "2026-04-04T12:00:00+00:00",
        "complete": True,
        "postponed": False,
    }
    assert PurgeReport().as_dict() == {
        "deleted": 0,
        "cutoff": None,
        "complete": False,
        "postponed": True,
    }


def test_a_purge_that_was_tried_again_reports_all_that_it_deleted() -> None:
    """The last try's report, with what the tries before have deleted."""
    last = PurgeReport(3, CUTOFF, (0, 0, 0), held=1, traces=frozenset({b"trace"}))

    assert last.after(4) == PurgeReport(7, CUTOFF, (0, 0, 0), held=1, traces=last.traces)


@pytest.mark.usefixtures("far_east")
def test_a_canary_is_of_the_day_in_utc() -> None:
    """Whatever zone the system is in, or a canary would be looked for on another day."""
    visits, canaries = ProvableVisits(), Canaries(InstallationKey(bytes(32)))
    moment = Moment(NOON, NOON, ClockState.TRUSTED)

    purge(visits, moment, BootTime("a", 0), timedelta(days=30), canaries=canaries)

    assert visits.canaries() == {canaries.of(NOON.date())}


class Register:
    """One patron whom no push has confirmed for 31 days, and a round that looks after them."""

    def __init__(self) -> None:
        self.patrons = 1
        self.clock, self.log = FakeClock(), FakeEventLog()
        self.round = PatronsRound(
            stamp=lambda: CacheStamp(7, START - UNCONFIRMED - timedelta(days=1), 15, self.patrons),
            expire=self.expire,
            forget=lambda _now: None,
            clock=self.clock,
            log=self.log,
        )

    def expire(self, _before: datetime) -> int:
        """Forget everybody."""
        gone, self.patrons = self.patrons, 0
        return gone

    def watch(self) -> None:
        """Look now and once it has been watched for long enough."""
        self.round.turn()
        self.clock.advance(WATCHED_S)
        self.round.turn()


@pytest.mark.usefixtures("far_east")
def test_a_single_patron_is_forgotten_too_and_the_alarm_says_why() -> None:
    """With the day in UTC before which there was no push, and how many rows that were."""
    register = Register()
    register.watch()

    before = register.clock.wall.astimezone(UTC) - UNCONFIRMED
    (alarm,) = register.log.named("alarm")
    assert register.patrons == 0
    assert alarm["kind"] == "patrons_expired"
    assert alarm["why"] == f"no push since {before:%Y-%m-%d}: 1 rows were deleted"


def test_an_old_register_that_comes_back_is_watched_afresh() -> None:
    """A file that is restored right after it expired expires again, no sooner and no later."""
    register = Register()
    register.watch()
    register.patrons = 1

    register.round.turn()
    assert register.patrons == 1
    register.clock.advance(WATCHED_S)
    register.round.turn()
    assert register.patrons == 0
