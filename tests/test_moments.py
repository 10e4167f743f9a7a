from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.moments import HOLDOVER_LIMIT, BootTime, ClockState, Moment, Timekeeper

ZONE = ZoneInfo("Europe/Copenhagen")
TRUSTED, HOLDOVER, UNTRUSTED = ClockState.TRUSTED, ClockState.HOLDOVER, ClockState.UNTRUSTED
MARK = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 12, 12, 0, tzinfo=ZONE)
UP = timedelta(hours=1)
LONG_AGO = datetime(1978, 1, 1, tzinfo=ZONE)

walls = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - given a zone beside it
    datetime(2099, 1, 1),  # noqa: DTZ001 - given a zone beside it
    timezones=st.sampled_from([ZONE, UTC]),
)


def utc(moment: datetime) -> datetime:
    """Return the same time where subtraction and order are those of real time."""
    return moment.astimezone(UTC)


def test_a_vouched_reading_is_trusted_and_lifts_the_mark() -> None:
    """What a time source vouches for is the time, and is remembered as passed."""
    keeper = Timekeeper(MARK)

    assert Moment(NOON, utc(NOON), TRUSTED) == keeper.read(NOON, UP, vouched=True)
    assert keeper.high_water == NOON


def test_without_any_source_the_clock_is_untrusted() -> None:
    """A clock that nobody has vouched for in this boot is no clock, even if it looks right."""
    keeper = Timekeeper(MARK)

    moment = keeper.read(NOON, UP, vouched=False)

    assert Moment(NOON, MARK, UNTRUSTED) == moment
    assert not moment.dependable
    assert keeper.high_water == MARK


def test_an_untrusted_guess_is_not_before_the_mark() -> None:
    """A clock in the seventies is known to be late, so the best guess is the high-water mark."""
    moment = Timekeeper(MARK).read(LONG_AGO, UP, vouched=False)

    assert moment.local == MARK
    assert moment.local.tzinfo is ZONE


@given(walls)
def test_holdover_ignores_every_jump_of_the_wall_clock(wall: datetime) -> None:
    """In holdover the time is the last trusted one carried on by CLOCK_BOOTTIME alone."""
    keeper = Timekeeper(MARK)
    keeper.read(NOON, UP, vouched=True)

    moment = keeper.read(wall, UP + timedelta(hours=3), vouched=False)

    assert moment.state is HOLDOVER
    assert moment.dependable
    assert utc(moment.local) == utc(NOON) + timedelta(hours=3)
    assert moment.local.tzinfo is wall.tzinfo


@pytest.mark.parametrize(
    ("trusted", "later"),
    [
        (
            datetime(2026, 3, 29, 1, 30, tzinfo=ZONE),
            datetime(2026, 3, 29, 3, 30, tzinfo=ZONE),
        ),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=ZONE),
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZONE),
        ),
    ],
)
def test_holdover_carries_on_over_a_clock_change(trusted: datetime, later: datetime) -> None:
    """An hour after the last trusted time the wall shows what the new offset makes of it."""
    keeper = Timekeeper(MARK)
    keeper.read(trusted, UP, vouched=True)

    moment = keeper.read(trusted, UP + timedelta(hours=1), vouched=False)

    assert utc(later) == utc(moment.local)
    assert (later.hour, later.fold) == (moment.local.hour, moment.local.fold)


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (HOLDOVER_LIMIT, HOLDOVER),
        (HOLDOVER_LIMIT + timedelta(microseconds=1), UNTRUSTED),
    ],
)
def test_holdover_ends_after_seven_days(age: timedelta, state: ClockState) -> None:
    """A crystal is believed for seven days to the microsecond, then the clock is untrusted."""
    keeper = Timekeeper(MARK)
    keeper.read(NOON, UP, vouched=True)

    assert state is keeper.read(NOON, UP + age, vouched=False).state
    assert timedelta(days=7) == HOLDOVER_LIMIT


def test_a_new_voucher_begins_a_new_holdover() -> None:
    """Seven days count from the latest trusted reading, not from the first."""
    keeper = Timekeeper(MARK)
    keeper.read(NOON, UP, vouched=True)
    keeper.read(NOON + timedelta(days=6), UP + timedelta(days=6), vouched=True)

    moment = keeper.read(LONG_AGO, UP + timedelta(days=12), vouched=False)

    assert moment.state is HOLDOVER
    assert utc(moment.local) == utc(NOON) + timedelta(days=12)


def test_a_vouched_step_back_is_believed_but_the_mark_stays() -> None:
    """A source that corrects the clock backwards is right; retention still counts from the top."""
    keeper = Timekeeper(MARK)
    keeper.read(NOON + timedelta(days=1), UP, vouched=True)

    moment = keeper.read(NOON, UP, vouched=True)

    assert (moment.local, moment.state) == (NOON, TRUSTED)
    assert moment.high_water == NOON + timedelta(days=1)
    assert moment.latest_known == NOON + timedelta(days=1)


def test_the_mark_does_not_fall_in_the_hour_that_comes_twice() -> None:
    """02:10 after the change is later than 02:20 before it, whatever the digits say."""
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZONE)
    first = datetime(2026, 10, 25, 2, 20, tzinfo=ZONE)
    keeper = Timekeeper(MARK)
    keeper.read(second, UP, vouched=True)

    moment = keeper.read(first, UP, vouched=True)

    assert utc(moment.high_water) == utc(second)
    assert utc(moment.latest_known) == utc(second)


def test_the_mark_rises_in_the_hour_that_comes_twice() -> None:
    """The second 02:10 lifts a mark that stands at the first 02:20."""
    first = datetime(2026, 10, 25, 2, 20, tzinfo=ZONE)
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZONE)
    keeper = Timekeeper(first)

    assert utc(keeper.read(second, UP, vouched=True).latest_known) == utc(second)


@dataclass(frozen=True)
class Look:
    """One look at both clocks, `passed` after the one before."""

    wall: datetime
    passed: timedelta
    vouched: bool


looks = st.lists(
    st.builds(
        Look, walls, st.timedeltas(timedelta(0), timedelta(days=9)), st.sampled_from([False, True])
    ),
    min_size=1,
    max_size=12,
)


@given(looks, walls)
def test_the_table_of_states(taken: list[Look], mark: datetime) -> None:
    """Whatever the clocks do, state, time and mark are those of the rules."""
    keeper, boot = Timekeeper(mark), UP
    high, base = utc(mark), None
    for look in taken:
        boot += look.passed
        moment = keeper.read(look.wall, boot, vouched=look.vouched)
        if look.vouched:
            base = (utc(look.wall), boot)
        if base is not None and boot - base[1] <= timedelta(days=7):
            expected = base[0] + (boot - base[1])
            high = max(high, expected)
            assert moment.state is (TRUSTED if look.vouched else HOLDOVER)
            assert utc(moment.local) == expected
            assert utc(moment.latest_known) == high
        else:
            assert moment.state is UNTRUSTED
            assert utc(moment.local) == max(utc(look.wall), high)
            assert moment.latest_known == moment.high_water
        assert utc(moment.high_water) == utc(keeper.high_water) == high


@given(walls, walls)
def test_what_is_known_for_certain_is_never_a_guess(local: datetime, mark: datetime) -> None:
    """Retention counts from the mark alone while the clock is untrusted."""
    unset = Moment(local, utc(mark), UNTRUSTED)
    carried = Moment(local, utc(mark), HOLDOVER)

    assert utc(mark) == unset.latest_known
    assert max(utc(local), utc(mark)) == utc(carried.latest_known)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_boot_time_within_one_boot(earlier: int, later: int) -> None:
    """Within a boot the milliseconds are counted, and never below zero."""
    elapsed = BootTime("a", later).ms_since(BootTime("a", earlier))

    assert elapsed == max(0, later - earlier)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_boot_time_across_a_reboot(earlier: int, later: int) -> None:
    """Across a reboot nothing but the time since it is certain."""
    assert BootTime("b", later).ms_since(BootTime("a", earlier)) == later
