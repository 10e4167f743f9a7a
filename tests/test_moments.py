"""Bugs that were found.

Bug (attack review): a time server that lies at a start emptied the door log at once, unheard.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.core.dates import read_day, read_minute, read_moment
from doorctl.core.errors import InputError
from doorctl.core.moments import BootTime, ClockState, Moment
from doorctl.core.timekeeper import Timekeeper

ZONE = ZoneInfo("Europe/Copenhagen")
TRUSTED, HOLDOVER, UNTRUSTED = ClockState.TRUSTED, ClockState.HOLDOVER, ClockState.UNTRUSTED
MARK = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 12, 12, 0, tzinfo=ZONE)
UP = timedelta(days=3)
NOTHING = timedelta(0)
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


def stood(wall: datetime, mark: datetime = MARK) -> Timekeeper:
    """Return a keeper whose clock has said the right time for an hour before `wall`."""
    keeper = Timekeeper(mark)
    before = (wall.astimezone(UTC) - HOUR).astimezone(wall.tzinfo)
    keeper.read(before, UP - HOUR, vouched=True)
    assert keeper.read(wall, UP, vouched=True).state is TRUSTED
    return keeper


@pytest.mark.parametrize(
    ("away", "up", "agreed", "wary", "stepped"),
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
    away: timedelta, up: timedelta, agreed: bool, wary: bool, stepped: bool
) -> None:
    """A day more than has passed for certain, by one source: nothing else contradicts it there.

    What can't be undone waits for six hours, and somebody is told. Where two sources agree, no mark
    is known, or a command ends before it could have waited, it is a start like any other.
    """
    keeper, noon = Timekeeper(NOON, wary=wary), utc(NOON)
    keeper.read(LONG_AGO, UP, vouched=False)

    moment = keeper.read(noon + away, UP + up, vouched=True, agreed=agreed)

    assert (moment.local, moment.state) == (noon + away, TRUSTED)
    assert (moment.stepped, moment.in_doubt) == (stepped, False)
    six = timedelta(hours=6)
    short = six - timedelta(microseconds=1)
    before = keeper.read(noon + away + short, UP + up + short, vouched=True)
    assert before.stepped is stepped
    assert (before.high_water == noon) is stepped
    after = keeper.read(noon + away + six, UP + up + six, vouched=True)
    assert not after.stepped
    assert after.high_water == noon + away + six


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


STOOD = "-1h right one trusted; 0h right one trusted marked"
DOUBT = f"{STOOD}; 0h 3d one doubt"

STORIES = {
    "a time lifts the mark once it has stood for an hour": (
        "0h right one trusted; 1h- right one trusted; 1h right one trusted marked"
    ),
    "without any source it is none, even if it looks right": "0h right none untrusted",
    "a crystal is believed for seven days, from the latest trusted reading": (
        "0h right one trusted; 7d unset none holdover marked; 7d+ right none untrusted;"
        "8d right one trusted marked; 15d unset none holdover marked; 15d+ right none untrusted"
    ),
    "a step of an hour is doubt": f"{STOOD}; 0h 1h one doubt",
    "back as well": f"{STOOD}; 0h -1h one doubt",
    "less is a correction": f"{STOOD}; 0h 59m one trusted",
    "back no more than minutes": f"{STOOD}; 0h -4m one trusted",
    "many small steps are one large one": f"{STOOD}; 0h 50m one trusted; 0h 100m one doubt",
    "minutes below the mark are doubt also at a start": "0h right mark; 0h -5m one doubt",
    "a battery clock may lag": "0h right mark; 0h -5m+ one trusted",
    "a network that was away for a month is no step": (
        f"{STOOD}; 30d -30d none untrusted; 30d right one trusted marked"
    ),
    "staff end a leap": (
        "0h right mark; 0h right reboot; 30s 40d one stepped leapt; 30s 40d staff marked;"
        "30s 40d one stepped"
    ),
    "the time that stood is proof enough; what can't be undone waits for six hours": (
        f"{DOUBT}; 1h right one stepped; 6h- right one stepped; 6h right one trusted marked"
    ),
    "one source alone never ends a doubt": f"{DOUBT}; 2d 3d one doubt; 9d 3d one doubt",
    "two that agree for an hour do; what moves again has not stood": (
        f"{DOUBT}; 0h 3.1d two doubt; 30m 3d two doubt; 90m- 3d two doubt;90m 3d two stepped marked"
    ),
    "staff end a doubt and a false mark": (
        "0h far mark; 0h right one doubt; 0h right staff marked; 0h right one stepped;"
        "1h unset none holdover stepped; 1h far one doubt"
    ),
    "an error of less than an hour leaves no mark": "0h far one trusted; 59m far one trusted",
    "in doubt no holdover goes on": f"{DOUBT}; 1h right none doubt; 9h right none doubt",
    "a doubt's hour and its six hours go on over a restart": (
        f"{STOOD}; 0h 3d two doubt; 0h 3d restart; 30m 3d two doubt; 30m 3d restart;"
        "1h 3d two stepped marked; 1h 3d restart; 2h 3d one stepped; 7h 3d one trusted marked"
    ),
    # How long the power was off is known at its end: a correction counts from there.
    "a reboot ends no doubt unless the time is where it was": (
        f"{DOUBT}; 0h 3d reboot; 1h unset none doubt; 1h 3d one doubt; 1h 3d reboot;"
        "2h 3d one doubt; 2h 50m one stepped; 3h 100m one stepped"
    ),
    **{
        f"{start} after staff ended a doubt": (
            f"{DOUBT}; 0h 3d staff marked; 0h 3d {start}; 1h 3d one {then}"
        )
        for start, then in {"restart": "stepped", "reboot": "trusted"}.items()
    },
    **{
        f"set by {off}, {seen}, and a restart": (
            f"{STOOD}{told}; 0h {off} restart; 10s {off} one doubt; 1h right one stepped"
        )
        for off in ("2.4d", "-2.4d", "1h")
        for seen, told in {"seen": f"; 0h {off} one doubt", "unseen": ""}.items()
    },
    **{
        f"a restart within a boot, a week down and {off} off, is no step": (
            f"{STOOD}; 0h right restart; 7d {off} one trusted"
        )
        for off in ("right", "59m", "-4m")
    },
    # The network comes half a minute later: until then the clock is the saved one.
    **{
        f"after a power cut of {off} the first vouched time is the time": (
            f"{STOOD}; 0h right reboot; 30s -30s none untrusted; 30s {off} one {then}"
        )
        for off, then in {
            "59m": "trusted",
            "1h": "trusted leapt",
            "9h": "trusted leapt",
            "21d": "stepped leapt",
        }.items()
    },
}
"""By what it shows, step by step: hours since noon, how far off the clock is, and who vouches.

Then what it says: its state, where it is `doubt` or `stepped` that; `leapt` where so much time
without power has to be told, and `marked` where this time is the mark from now on.
"""

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
KNOWN = {
    "right": timedelta(0),
    "unset": LONG_AGO - NOON,
    "far": datetime(2098, 6, 1, tzinfo=UTC) - NOON,
}


def span(written: str) -> timedelta:
    """Read ``30m``, a word, or with ``+`` or ``-`` behind it a microsecond more or less."""
    if written in KNOWN:
        return KNOWN[written]
    whole = written.rstrip("+-")
    tick = {"+": 1, "-": -1}.get(written[-1], 0)
    return timedelta(**{UNITS[whole[-1]]: float(whole[:-1])}, microseconds=tick)


def assert_says(moment: Moment, says: list[str], local: datetime, mark: datetime) -> None:
    """Assert all that a moment says of itself."""
    word = says[0]
    unsure = word in {"doubt", "untrusted"}
    state = UNTRUSTED if unsure else HOLDOVER if word == "holdover" else TRUSTED
    stepped = bool({"doubt", "stepped"} & set(says))
    known = max(local, mark) if unsure else local
    assert replace(moment, leap=None) == Moment(known, mark, state, stepped=stepped)
    assert moment.in_doubt is (word == "doubt")
    assert moment.leapt is ("leapt" in says)
    assert moment.dependable is not unsure


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_a_clock_says(story: str) -> None:
    """In doubt it says what was believed last, carried on, as it does in holdover.

    Bug (attack review): a clock that was stepped under a source that vouched unlocked the door
    at night and emptied the door log; a moment in 2098 was kept for ever.

    Bug (security review tried again by hand): a leap of the clock and then a restart of the
    door let the strike stand free: the doubt was kept in memory alone, and the simulation
    stopped its time server's lie at each start.
    """
    keeper, mark, began, believed_off = Timekeeper(MARK), MARK, -UP, timedelta(0)
    believed = False
    for step in story.split(";"):
        at, off, who, *says = step.split()
        boot, right = span(at) - began, utc(NOON) + span(at)
        wall, carried_on = right + span(off), right + believed_off
        believed = believed and who not in {"mark", "restart", "reboot"}
        if who == "mark":
            keeper, mark = Timekeeper(wall), wall
        elif who == "restart":
            keeper = restarted(keeper, boot)
        elif who == "reboot":
            keeper, began = restarted(keeper, boot, "boot-2"), span(at)
        elif who == "staff":
            keeper.believe(wall, boot)
            mark, believed_off = wall, span(off)
        else:
            moment = keeper.read(wall, boot, vouched=who != "none", agreed=who == "two")
            believed_off = span(off) if moment.state is TRUSTED else believed_off
            believed = believed or moment.state is TRUSTED
            local = carried_on if says[0] in {"holdover", "doubt"} else wall
            local = max(local, carried_on) if says[0] == "untrusted" and believed else local
            mark = local if "marked" in says else mark
            assert_says(moment, says, local, mark)


S1 = "-1h right one alone; 0h right staff; 0h right one confirmed; 0h right reboot"

WITNESSES = {
    "one source, however long it says so": (
        f"{S1}; 30s 13h one alone; 90m 13h one alone; 6d 13h one alone"
    ),
    "no source at all": f"{S1}; 30s 13h none not; 30s 13h witness none; 30s 13h one alone",
    "two sources that agree, at first or later": (
        f"{S1}; 30s right two confirmed; 1h right one confirmed; 1h right reboot; 2h right one "
        "alone; 3h right two confirmed; 4h right none confirmed"
    ),
    "staff": f"{S1}; 30s 13h one alone; 1h 13h staff; 1h 13h one confirmed",
    "a witness that says the same within five minutes": (
        f"{S1}; 30s right one alone; 1h 5m witness no; 1h -5m witness no; 1h right one alone;"
        "1h 5m- witness yes; 1h right one confirmed; 2h 50m one confirmed"
    ),
    "no witness that says another time, and none of a doubt": (
        f"{S1}; 30s 13h one alone; 1h right witness no; 1h 13h one alone; 1h 15h one not;"
        "1h 13h witness no; 1h 15h witness no; 2h 13h one alone"
    ),
    "a clock that its source has left": (
        f"{S1}; 30s right one alone; 1h unset none alone; 1h right witness yes;"
        "1h unset none confirmed; 9d right witness no"
    ),
    "no restart, which forgets no confirmation either": (
        f"{S1}; 30s right one alone; 1h right restart; 1h right one alone; 1h right staff;"
        "1h right restart; 2h right one confirmed"
    ),
}
"""As `STORIES`; a `witness` says such a time itself, and agrees or not. Then whether the strike may
stand free by the time: `confirmed`, `alone`, or `not` dependable at all."""


@pytest.mark.parametrize("story", WITNESSES.values(), ids=WITNESSES)
def test_a_time_after_a_boot_needs_a_second_witness(story: str) -> None:
    """One source alone says no more than one lie would; what was confirmed stays until a boot.

    Bug (second penetration test, S1): after a power cut at night one lying time server had the
    strike stand free, within a day without any alarm.
    """
    keeper, began = Timekeeper(MARK), -UP
    for step in story.split(";"):
        at, off, who, *says = step.split()
        boot, wall = span(at) - began, utc(NOON) + span(at) + span(off)
        if who == "restart":
            keeper = restarted(keeper, boot)
        elif who == "reboot":
            keeper, began = restarted(keeper, boot, "boot-2"), span(at)
        elif who == "staff":
            keeper.believe(wall, boot)
        elif who == "witness":
            assert keeper.confirm(wall, boot) is (says == ["yes"])
        else:
            moment = keeper.read(wall, boot, vouched=who != "none", agreed=who == "two")
            assert moment.dependable is (says != ["not"])
            assert moment.unconfirmed is (says == ["alone"])


@pytest.mark.parametrize(
    ("off", "leap"),
    [
        ("0h", NOTHING),
        ("-4m", NOTHING),
        ("30m", timedelta(minutes=30)),
        ("13h", timedelta(hours=13)),
    ],
)
def test_a_leap_counts_from_the_last_time_known(off: str, leap: timedelta) -> None:
    """That is the mark, or what the process before believed last; this boot has certainly passed.

    A restart in the boot knows it too, and a witness explains it.
    """
    before = stood(NOON)
    after = restarted(before, UP, "boot-2")
    up = timedelta(minutes=2)
    moment = after.read(utc(NOON) + up + span(off), up, vouched=True)
    assert (moment.leap, moment.leapt) == (leap, leap >= HOUR)

    kept = after.kept(BootTime("boot-2", up // timedelta(milliseconds=1)))
    again = Timekeeper(before.high_water, wary=True)
    assert kept is not None
    again.resume(kept, "boot-2")
    assert again.read(utc(NOON) + up + span(off), up, vouched=True).leap == leap
    assert again.confirm(utc(NOON) + up + span(off), up)
    assert again.read(utc(NOON) + up + span(off), up, vouched=True).leap is None


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
    in_doubt = agreed = False
    for look in taken:
        agreed = agreed and look.start != "boot-2"
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
        agreed = agreed or (look.vouched and look.agreed)
        assert agreed or moment.unconfirmed is moment.dependable


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
