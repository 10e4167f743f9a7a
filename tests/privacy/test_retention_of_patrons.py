from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from doorctl.access.patron import CacheStamp
from doorctl.core.errors import StoreError
from doorctl.privacy.retention import UNCONFIRMED, WATCHED_S, PatronsRound
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog

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
    """A trusted clock that is ten years ahead for some hours deletes nothing."""
    house.register.applied_at = START
    house.clock.step(START + timedelta(days=3650))
    house.hours(5)
    house.clock.step(START + timedelta(hours=5))
    house.hours(10)

    assert house.register.expired == []


def test_nothing_goes_by_a_guess(house: House) -> None:
    """While nobody vouches for the clock the age is not known."""
    house.clock.vouched = False
    house.hours(20)

    assert house.register.expired == []


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
    """At each look while somebody vouches for the time, however young the register is."""
    house.register.applied_at = house.clock.wall
    house.hours(1)
    assert house.forgotten == [house.clock.wall - timedelta(hours=1), house.clock.wall]

    doubtful = House()
    doubtful.clock.vouched = False
    doubtful.hours(3)
    assert doubtful.forgotten == []
