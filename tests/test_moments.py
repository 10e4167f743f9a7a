"""Bugs that were found.

Bug (attack review): a time server that lies at a start emptied the door log at once, unheard.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.core.moments import (
    HOLDOVER_LIMIT,
    BootTime,
    ClockState,
    Moment,
    Timekeeper,
    read_day,
    read_minute,
    read_moment,
)

ZONE = ZoneInfo("Europe/Copenhagen")
TRUSTED, HOLDOVER, UNTRUSTED = ClockState.TRUSTED, ClockState.HOLDOVER, ClockState.UNTRUSTED
MARK = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 12, 12, 0, tzinfo=ZONE)
UP = timedelta(days=3)
HOUR = timedelta(hours=1)
LONG_AGO = datetime(1978, 1, 1, tzinfo=ZONE)

walls = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - given a zone beside it
    datetime(2099, 1, 1),  # noqa: DTZ001 - given a zone beside it
    timezones=st.sampled_from([ZONE, UTC]),
)


def utc(moment: datetime) -> datetime:
    """Return the same time where subtraction and order are those of real time."""
    return moment.astimezone(UTC)


def test_a_vouched_reading_is_trusted_and_lifts_the_mark_once_it_has_stood() -> None:
    """What a source vouches for is the time; after an hour it is remembered as passed."""
    keeper, hour = Timekeeper(MARK), timedelta(hours=1)
    just_short = hour - timedelta(microseconds=1)

    assert Moment(NOON, MARK, TRUSTED) == keeper.read(NOON, UP, vouched=True)
    assert keeper.read(NOON + just_short, UP + just_short, vouched=True).high_water == MARK
    assert keeper.read(NOON + hour, UP + hour, vouched=True).high_water == utc(NOON) + hour
    assert keeper.high_water == utc(NOON) + hour


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
        (datetime(2026, 3, 29, 1, 30, tzinfo=ZONE), datetime(2026, 3, 29, 3, 30, tzinfo=ZONE)),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=ZONE),
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZONE),
        ),
    ],
)
def test_holdover_carries_on_over_a_clock_change(trusted: datetime, later: datetime) -> None:
    """An hour after the last trusted time the wall shows what the new offset makes of it.

    Bug (state machine over the clock): holdover was an hour wrong across a clock change.
    """
    keeper = Timekeeper(MARK)
    keeper.read(trusted, UP, vouched=True)

    moment = keeper.read(trusted, UP + timedelta(hours=1), vouched=False)

    assert utc(later) == utc(moment.local)
    assert (later.hour, later.fold) == (moment.local.hour, moment.local.fold)


@pytest.mark.parametrize(
    ("age", "state"),
    [(HOLDOVER_LIMIT, HOLDOVER), (HOLDOVER_LIMIT + timedelta(microseconds=1), UNTRUSTED)],
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


def stood(wall: datetime, mark: datetime = MARK) -> Timekeeper:
    """Return a keeper whose clock has said the right time for an hour before `wall`."""
    keeper = Timekeeper(mark)
    before = (wall.astimezone(UTC) - HOUR).astimezone(wall.tzinfo)
    keeper.read(before, UP - HOUR, vouched=True)
    assert keeper.read(wall, UP, vouched=True).state is TRUSTED
    return keeper


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_an_hour_is_doubt_whoever_vouches(sign: int) -> None:
    """In doubt the clock is untrusted at once; the best guess is what was trusted before.

    Less, back no more than minutes, is a correction.
    """
    keeper, minutes = stood(NOON), timedelta(minutes=59 if sign > 0 else 4)
    assert keeper.read(NOON + sign * minutes, UP, vouched=True).state is TRUSTED

    keeper = stood(NOON)
    moment = keeper.read(NOON + sign * HOUR, UP, vouched=True)

    assert moment == Moment(NOON, utc(NOON), UNTRUSTED, stepped=True)
    assert moment.in_doubt


def test_many_small_steps_are_one_large_one() -> None:
    """A clock that is led away by 50 minutes a minute is compared with where it was at first."""
    keeper = stood(NOON)
    away = timedelta(minutes=50)

    assert keeper.read(NOON + away, UP, vouched=True).state is TRUSTED
    assert keeper.read(NOON + 2 * away, UP, vouched=True).in_doubt


def test_minutes_below_the_mark_are_doubt_also_at_a_start() -> None:
    """It is later than a time that stood, and later than the build; a battery clock may lag."""
    little, less = timedelta(minutes=5), timedelta(minutes=5) - timedelta(microseconds=1)

    assert Timekeeper(NOON).read(NOON - less, UP, vouched=True).state is TRUSTED
    moment = Timekeeper(NOON).read(NOON - little, UP, vouched=True)
    assert (moment.local, moment.state, moment.in_doubt) == (NOON, UNTRUSTED, True)


@pytest.mark.parametrize("days", [0, 1, 400])
def test_a_start_after_an_outage_is_no_step(days: int) -> None:
    """Whenever the power comes back, the first vouched time is the time."""
    later = NOON + timedelta(days=days)
    restarted = Timekeeper(stood(NOON).high_water)

    assert restarted.read(LONG_AGO, UP, vouched=False).state is UNTRUSTED
    moment = restarted.read(later, UP + timedelta(minutes=3), vouched=True)
    assert (moment.local, moment.state, moment.stepped) == (later, TRUSTED, False)


def test_a_network_that_was_away_for_a_month_is_no_step() -> None:
    """CLOCK_BOOTTIME is good to the minute then, though not good enough to go by alone."""
    keeper, month = stood(utc(NOON)), timedelta(days=30)
    assert keeper.read(NOON, UP + month, vouched=False).state is UNTRUSTED

    assert keeper.read(utc(NOON) + month, UP + month, vouched=True).state is TRUSTED


def test_a_new_machine_restarts_after_its_first_day() -> None:
    """With nothing but the build's date behind it, it is trusted, and so is its next start."""
    keeper = Timekeeper(MARK)
    assert keeper.read(NOON, UP, vouched=True).state is TRUSTED
    day = timedelta(days=1)
    assert keeper.read(NOON + day, UP + day, vouched=True).high_water == utc(NOON) + day

    for mark in (keeper.high_water, MARK):
        moment = Timekeeper(mark).read(NOON + day + HOUR, HOUR, vouched=True)
        assert (moment.state, moment.stepped) == (TRUSTED, False)


@pytest.mark.parametrize(
    ("away", "up", "agreed", "wary", "leapt"),
    [
        (timedelta(days=1), timedelta(0), False, True, True),
        (timedelta(days=1) - timedelta(microseconds=1), timedelta(0), False, True, False),
        (timedelta(days=4), timedelta(days=3), False, True, True),
        (timedelta(days=4) - timedelta(microseconds=1), timedelta(days=3), False, True, False),
        (timedelta(days=400), timedelta(0), True, True, False),
        (timedelta(days=400), timedelta(0), False, False, False),
    ],
)
def test_a_start_far_above_the_mark_is_believed_and_deletes_nothing(
    away: timedelta, up: timedelta, agreed: bool, wary: bool, leapt: bool
) -> None:
    """A day more than has passed for certain, by one source: nothing else contradicts it there.

    What can't be undone waits for six hours, and somebody is told. Where two sources agree, no mark
    is known, or a command ends before it could have waited, it is a start like any other.
    """
    keeper, noon = Timekeeper(NOON, wary=wary), utc(NOON)
    keeper.read(LONG_AGO, UP, vouched=False)

    moment = keeper.read(noon + away, UP + up, vouched=True, agreed=agreed)

    assert (moment.local, moment.state) == (noon + away, TRUSTED)
    assert (moment.stepped, moment.leapt, moment.in_doubt) == (leapt, leapt, False)
    six = timedelta(hours=6)
    short = six - timedelta(microseconds=1)
    before = keeper.read(noon + away + short, UP + up + short, vouched=True)
    assert (before.stepped, before.leapt) == (leapt, leapt)
    assert (before.high_water == noon) is leapt
    after = keeper.read(noon + away + six, UP + up + six, vouched=True)
    assert (after.stepped, after.leapt) == (False, False)
    assert after.high_water == noon + away + six


def test_staff_end_a_leap() -> None:
    """Once they have said that the clock is right nothing is left to tell."""
    keeper = Timekeeper(NOON, wary=True)
    later = NOON + timedelta(days=40)
    assert keeper.read(later, UP, vouched=True).leapt

    keeper.believe(later, UP)

    moment = keeper.read(later, UP, vouched=True)
    assert (moment.stepped, moment.leapt, moment.high_water) == (True, False, utc(later))


def test_a_clock_that_comes_back_to_the_right_time_is_believed() -> None:
    """The time that stood before is proof enough; what can't be undone waits for six hours."""
    keeper = stood(NOON)
    keeper.read(NOON + timedelta(days=3), UP, vouched=True)

    moment = keeper.read(NOON + HOUR, UP + HOUR, vouched=True)

    assert (moment.local, moment.state, moment.stepped) == (NOON + HOUR, TRUSTED, True)
    six = timedelta(hours=6)
    just_short = keeper.read(NOON + six, UP + six - timedelta(microseconds=1), vouched=True)
    assert just_short.stepped
    assert just_short.high_water == utc(NOON)
    after = keeper.read(NOON + six, UP + six, vouched=True)
    assert not after.stepped
    assert after.high_water == utc(NOON) + six


def test_a_doubt_ends_where_two_sources_agree_for_an_hour() -> None:
    """One alone never ends it, however long; and a clock that moves again has not stood."""
    keeper, wrong = stood(NOON), NOON + timedelta(days=3)
    keeper.read(wrong, UP, vouched=True)
    days = timedelta(days=2)
    assert keeper.read(wrong + days, UP + days, vouched=True).in_doubt

    keeper = stood(NOON)
    keeper.read(wrong, UP, vouched=True)
    moved = wrong + timedelta(minutes=5)
    keeper.read(moved, UP, vouched=True, agreed=True)
    keeper.read(wrong + HOUR / 2, UP + HOUR / 2, vouched=True, agreed=True)
    almost = HOUR * 3 / 2 - timedelta(microseconds=1)
    assert keeper.read(wrong + almost, UP + almost, vouched=True, agreed=True).in_doubt
    later = HOUR * 3 / 2
    moment = keeper.read(wrong + later, UP + later, vouched=True, agreed=True)
    assert (moment.local, moment.state) == (wrong + later, TRUSTED)
    assert (moment.high_water, moment.stepped) == (utc(wrong) + later, True)


def test_staff_end_a_doubt_and_a_false_mark() -> None:
    """A moment in 2098 that once stood is not kept for ever.

    Bug (attack review): a clock that was stepped under a source that vouched unlocked the door
    at night and emptied the door log; a moment in 2098 was kept for ever.
    """
    far = datetime(2098, 6, 1, tzinfo=UTC)
    keeper = Timekeeper(far)
    assert keeper.read(NOON, UP, vouched=True).in_doubt

    keeper.believe(NOON, UP)

    moment = keeper.read(NOON, UP, vouched=True)
    assert moment == Moment(NOON, utc(NOON), TRUSTED, stepped=True)
    assert keeper.read(NOON + HOUR, UP + HOUR, vouched=False).state is HOLDOVER
    assert keeper.read(far, UP + HOUR, vouched=True).in_doubt


def test_a_moment_far_ahead_leaves_no_mark() -> None:
    """A source that errs for less than an hour poisons no later start, not even at a start."""
    keeper = Timekeeper(MARK)
    ahead, short = datetime(2098, 6, 1, tzinfo=UTC), timedelta(minutes=59)
    assert keeper.read(ahead, UP, vouched=True).state is TRUSTED
    assert keeper.read(ahead + short, UP + short, vouched=True).high_water == MARK
    assert keeper.high_water == MARK


def test_in_doubt_no_holdover_goes_on() -> None:
    """A source that errs and goes leaves the clock untrusted."""
    keeper = stood(NOON)
    keeper.read(NOON + timedelta(days=1), UP, vouched=True)

    assert keeper.read(NOON, UP + HOUR, vouched=False).in_doubt
    assert keeper.read(NOON, UP + 9 * HOUR, vouched=False).in_doubt


def test_the_mark_does_not_fall_in_the_hour_that_comes_twice() -> None:
    """02:10 after the change is 50 minutes later than 02:20 before it, whatever the digits say."""
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZONE)
    first = datetime(2026, 10, 25, 2, 20, tzinfo=ZONE)
    keeper = stood(second)
    assert utc(keeper.high_water) == utc(second)

    assert keeper.read(first, UP, vouched=True).in_doubt
    assert keeper.high_water == utc(second)


def test_the_mark_rises_in_the_hour_that_comes_twice() -> None:
    """The second 02:10 lifts a mark that stands at the first 02:14."""
    first = datetime(2026, 10, 25, 2, 14, tzinfo=ZONE)
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZONE)

    assert utc(stood(second, first).high_water) == utc(second)


def restarted(keeper: Timekeeper, boot: timedelta, boot_id: str = "boot-1") -> Timekeeper:
    """Return the next process's keeper; any name but that of ``boot-1`` is another boot."""
    kept = keeper.kept(BootTime("boot-1", boot // timedelta(milliseconds=1)))
    after = Timekeeper(keeper.high_water, wary=True)
    if kept is not None:
        after.resume(kept, boot_id)
    return after


@pytest.mark.parametrize("step", [timedelta(days=2.4), -timedelta(days=2.4), HOUR])
@pytest.mark.parametrize("told", [True, False])
def test_a_restart_ends_no_doubt(step: timedelta, *, told: bool) -> None:
    """Whoever has set the clock and makes the door crash is not believed, seen before it or not.

    Bug (security review tried again by hand): a leap of the clock and then a restart of the
    door let the strike stand free: the doubt was kept in memory alone, and the simulation
    stopped its time server's lie at each start.
    """
    keeper, short = stood(NOON), timedelta(seconds=10)
    if told:
        assert keeper.read(NOON + step, UP, vouched=True).in_doubt

    after = restarted(keeper, UP)

    moment = after.read(NOON + step + short, UP + short, vouched=True)
    assert (moment.local, moment.in_doubt) == (NOON + short, True)
    assert after.read(NOON + HOUR, UP + HOUR, vouched=True).state is TRUSTED


@pytest.mark.parametrize("off", [timedelta(0), timedelta(minutes=59), -timedelta(minutes=4)])
def test_a_restart_within_a_boot_is_no_step(off: timedelta) -> None:
    """The door is free at once, however long it was down; a mark far behind says nothing then."""
    week = timedelta(days=7)
    after = restarted(stood(NOON), UP)

    moment = after.read(NOON + week + off, UP + week, vouched=True)

    assert (moment.local, moment.state, moment.stepped) == (NOON + week + off, TRUSTED, False)


def test_a_doubts_hour_and_its_six_hours_go_on_over_a_restart() -> None:
    """A door that starts often is not in doubt for longer, and deletes nothing earlier."""
    keeper, wrong, half = stood(NOON), NOON + timedelta(days=3), HOUR / 2
    keeper.read(wrong, UP, vouched=True, agreed=True)
    keeper = restarted(keeper, UP)
    assert keeper.read(wrong + half, UP + half, vouched=True, agreed=True).in_doubt
    keeper = restarted(keeper, UP + half)

    moment = keeper.read(wrong + HOUR, UP + HOUR, vouched=True, agreed=True)

    assert (moment.state, moment.stepped) == (TRUSTED, True)
    keeper, later = restarted(keeper, UP + HOUR), 2 * HOUR
    assert keeper.read(wrong + later, UP + later, vouched=True).stepped
    assert not keeper.read(wrong + 7 * HOUR, UP + 7 * HOUR, vouched=True).stepped


def test_a_reboot_ends_no_doubt_unless_the_time_is_where_it_was() -> None:
    """A time far off stays in doubt through one reboot after another, until it is right again."""
    keeper, days = stood(NOON), timedelta(days=2.4)
    keeper.read(NOON + days, UP, vouched=True)
    keeper = restarted(keeper, UP, "boot-2")
    unset = keeper.read(LONG_AGO, HOUR, vouched=False)
    assert (unset.local, unset.in_doubt) == (NOON + HOUR, True)
    assert keeper.read(NOON + days + HOUR, HOUR, vouched=True).in_doubt

    keeper = restarted(keeper, HOUR, "boot-3")
    assert keeper.read(NOON + days + 2 * HOUR, HOUR, vouched=True).in_doubt
    off = timedelta(minutes=50)
    moment = keeper.read(NOON + 2 * HOUR + off, HOUR, vouched=True)
    assert (moment.state, moment.stepped) == (TRUSTED, True)
    # How long the power was off is known now: a correction counts from there.
    assert keeper.read(NOON + 3 * HOUR + 2 * off, 2 * HOUR, vouched=True).state is TRUSTED


@pytest.mark.parametrize("off", [HOUR, timedelta(hours=9), timedelta(weeks=3)])
def test_after_a_power_cut_the_first_vouched_time_is_the_time(off: timedelta) -> None:
    """Without a doubt on record a start is none, though the network comes half a minute later.

    In the meantime the clock is the saved one, and nobody vouches for it.
    """
    keeper, late = restarted(stood(NOON), UP, "boot-2"), timedelta(seconds=30)
    assert keeper.read(NOON, late, vouched=False) == Moment(NOON, utc(NOON), UNTRUSTED)

    moment = keeper.read(NOON + off, late, vouched=True)

    assert (moment.local, moment.state) == (NOON + off, TRUSTED)
    assert moment.leapt is (off > timedelta(days=1))


def test_staff_end_a_doubt_for_every_later_start() -> None:
    """In this boot and in another."""
    keeper, wrong = stood(NOON), NOON + timedelta(days=3)
    keeper.read(wrong, UP, vouched=True)
    keeper.believe(wrong, UP)

    for boot_id in ("boot-1", "boot-2"):
        after = restarted(keeper, UP, boot_id)
        assert after.read(wrong + HOUR, UP + HOUR, vouched=True).state is TRUSTED


def test_a_keeper_that_believed_nothing_keeps_nothing() -> None:
    """So what an earlier process has stored stays there."""
    keeper = Timekeeper(NOON)
    keeper.read(NOON, UP, vouched=False)

    assert keeper.kept(BootTime("boot-1", 0)) is None


@dataclass(frozen=True)
class Look:
    """One look at both clocks, `passed` after the one before.

    `off` is how far the wall clock is from a time that runs evenly. Where `start` names a boot, the
    process began afresh in it.
    """

    off: timedelta
    passed: timedelta
    vouched: bool
    agreed: bool
    start: str


NOTHING = timedelta(0)

offs = st.one_of(
    st.just(NOTHING),
    st.timedeltas(timedelta(minutes=-6), timedelta(minutes=6)),
    st.timedeltas(timedelta(hours=-3), timedelta(hours=3)),
    st.timedeltas(timedelta(days=-9000), timedelta(days=9000)),
)
passing = st.one_of(
    st.timedeltas(timedelta(0), timedelta(hours=2)), st.timedeltas(timedelta(0), timedelta(days=9))
)
looks = st.lists(
    st.builds(
        Look,
        offs,
        passing,
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "", "boot-1", "boot-2"]),
    ),
    min_size=1,
    max_size=12,
)


@example(
    [
        Look(NOTHING, NOTHING, True, False, "boot-1"),
        Look(NOTHING, NOTHING, False, False, "boot-1"),
        Look(timedelta(days=1), NOTHING, True, False, "boot-2"),
    ],
    timedelta(days=1),
)
@given(looks, st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_whatever_the_clocks_do(taken: list[Look], behind: timedelta) -> None:
    """No doubtful reading is trusted, no trusted one is far from where it was, marks only rise.

    Times that are trusted, one after another, lie on lines less than an hour apart each week. A
    restart changes nothing of that, nor does a reboot while a doubt stands; after another one time
    is anew.
    """
    mark = utc(NOON) - behind
    keeper, passed, boot = Timekeeper(mark), timedelta(0), UP
    last: tuple[datetime, timedelta] | None = None
    in_doubt = False
    for look in taken:
        if look.start:
            kept = keeper.kept(BootTime("boot-1", 0))
            keeper = restarted(keeper, boot, look.start)
            if look.start == "boot-2":
                boot, last = timedelta(0), last if kept is not None and kept.doubt else None
        passed += look.passed
        boot += look.passed
        wall = NOON.astimezone(UTC) + passed + look.off
        before = keeper.high_water
        moment = keeper.read(wall, boot, vouched=look.vouched, agreed=look.agreed)
        confirmed = in_doubt and look.vouched and look.agreed and moment.dependable
        assert moment.high_water == keeper.high_water
        assert confirmed or keeper.high_water >= before
        assert moment.in_doubt or look.vouched or moment.state is not TRUSTED
        if moment.dependable:
            assert confirmed or moment.local > before - timedelta(minutes=5)
            if last is not None and not confirmed:
                moved = abs(moment.local - last[0] - (passed - last[1]))
                assert moved < 2 * HOUR
            last = moment.local, passed
        else:
            assert moment.latest_known == moment.high_water
        in_doubt = moment.in_doubt


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


TODAY = date(2026, 11, 25)
IN_TIME = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(st.integers(0, 23), st.integers(0, 59))
def test_a_time_is_read_however_it_is_typed(hour: int, minute: int) -> None:
    """With a dot, a colon or nothing between, with and without a nought, and after "kl."."""
    hours = {str(hour), f"{hour:02}"}
    typed = {f"{h}{mark}{minute:02}" for h, mark in product(hours, (".", ":", ",", ""))}
    typed |= hours if minute == 0 else set()

    for text in typed:
        assert [read_minute(f"{lead}{text}") for lead in ("", "kl. ", "kl ", "Kl.")] == [
            hour * 60 + minute
        ] * 4


@pytest.mark.parametrize(
    "typed",
    ["", "7.3", "760", "24.01", "25", "12345", "-7", "7 pm", "²1", "7.30.15", "noon", "kl."],
)
def test_half_a_time_is_none(typed: str) -> None:
    """Nothing is guessed, and a day ends at 24.00."""
    assert read_minute("24") == read_minute("24.00") == read_minute("2400") == 24 * 60
    with pytest.raises(InputError, match=r"write the time as 7\.30"):
        read_minute(typed)


@given(IN_TIME)
def test_a_date_is_read_however_it_is_typed(day: date) -> None:
    """As Danes write it, as a browser sends it, and with the year's last two digits."""
    whole = [f"{day.day}{mark}{day.month}{mark}{day.year}" for mark in ("/", ".", "-", ". ", ",")]
    short = [
        f"{day:%d.%m.%y}",
        f"{day.day}/{day.month}-{day:%y}",
        f"{day.day}/{day.month}-{day:%Y}",
    ]

    assert {read_day(typed) for typed in [*whole, *short, day.isoformat()]} == {day}


@given(IN_TIME, IN_TIME)
def test_a_date_without_its_year_is_the_nearest_ahead_or_behind(day: date, today: date) -> None:
    """Next to today, so that 24/12 means the coming Christmas on a form, the last one in a log."""
    typed = [f"{day.day}/{day.month}", f"{day:%d.%m}", f"{day.day}.{day.month}."]
    for past, text in product((False, True), typed):
        try:
            found = read_day(text, today, past=past)
        except InputError:
            leap = (day.month, day.day) == (2, 29)
            assert leap or (today.year, past) in {(2000, True), (2099, False)}
            continue
        assert (found.month, found.day) == (day.month, day.day)
        assert timedelta() <= (today - found if past else found - today) < timedelta(days=366)
    with pytest.raises(InputError):
        read_day(typed[0])


@pytest.mark.parametrize(
    "typed",
    [
        *("", "soon", "31.11.2026", "29.2.2026", "0.1.2026", "24.12.1926", "24.12.126", "20261224"),
        *("2026-02-30", "1926-12-24", "2026-W52-4", "24 12", "24.12.2026 7.30", "²4.12.2026"),
    ],
)
def test_what_is_no_date_is_refused(typed: str) -> None:
    """A day that no month has, a year of another century, and a number without marks."""
    with pytest.raises(InputError, match=r"write the date as 24\.12\.2026"):
        read_day(typed, TODAY)


@given(IN_TIME, st.integers(0, 24 * 60 - 1))
def test_a_date_and_a_time_are_read_together(day: date, minute: int) -> None:
    """As pages write them, as a browser's own field sends them, or a time alone, of today."""
    at = datetime.combine(day, time()) + timedelta(minutes=minute)
    clock = f"{at.hour}.{at:%M}"
    typed = [f"{at:%Y-%m-%dT%H:%M}", f"{day:%d.%m.%Y} kl. {clock}", f"{day:%d/%m/%Y} at {at:%H:%M}"]

    assert {read_moment(text) for text in [*typed, f"{day:%d/%m-%y} {clock}"]} == {at}
    assert {read_moment(text, day) for text in (clock, f"kl. {clock}")} == {at}
    assert read_moment("24/12 24", TODAY) == datetime(2026, 12, 25)  # noqa: DTZ001 - local


@pytest.mark.parametrize("typed", ["", "24.12.2026", "soon 7", "24/12 7.3", "24.12.2026 kl."])
def test_half_a_moment_is_none(typed: str) -> None:
    """Both are there or none of it counts; a time alone needs a day to be of."""
    for text, today in ((typed, TODAY), ("7.30", None)):
        with pytest.raises(InputError, match="write the date and the time"):
            read_moment(text, today)


@given(st.text("0123456789kl.:,/- T", max_size=16))
def test_a_text_is_read_or_refused(typed: str) -> None:
    """Whatever is typed, no error but the one that says how to write it."""
    for read in (read_minute, read_day, read_moment):
        with suppress(InputError):
            read(typed)
