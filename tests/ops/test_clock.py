"""The real clocks, with the files that vouch for them in a directory of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.moments import ClockState, KeptReadings
from doorctl.core.ports import Clock
from doorctl.ops.clock import (
    ASK_EVERY_S,
    BUILD_FLOOR,
    STEP_S,
    BatteryWatch,
    StepWatch,
    SystemClock,
    TimeSources,
    kernel_synchronised,
    utc_now,
)
from tests.fakes.clock import FakeClock

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NOW = utc_now()
ZONE = "Europe/Copenhagen"


def sources(directory: Path, *, kernel: bool = False) -> TimeSources:
    """Look for the files in `directory`; let the kernel say `kernel`."""
    return TimeSources(directory / "synchronized", directory, lambda: kernel)


def battery(directory: Path, now: datetime, hctosys: str = "1\n") -> None:
    """Give the machine a battery clock that says `now`."""
    (directory / "hctosys").write_text(hctosys)
    (directory / "since_epoch").write_text(f"{now.timestamp():.0f}\n")


def real_clock(directory: Path) -> SystemClock:
    """Return a clock that is vouched for."""
    return SystemClock(ZONE, "always", LONG_AGO, sources(directory))


def doubting(directory: Path, high_water: datetime = LONG_AGO, **more: Any) -> SystemClock:
    """Return a clock that goes by the sources in `directory`."""
    return SystemClock(ZONE, "auto", high_water, sources(directory), **more)


def fake_clock(_directory: Path) -> FakeClock:
    """Return the clock that others test with."""
    return FakeClock()


@pytest.mark.parametrize("make", [real_clock, fake_clock])
def test_a_clock_keeps_its_contract(tmp_path: Path, make: Callable[[Path], Clock]) -> None:
    """Time never goes back, the boot stays the same, the moment is aware and in the local zone."""
    clock = make(tmp_path)
    seconds, boot, moment = clock.monotonic_s(), clock.boot_time(), clock.moment()

    assert clock.monotonic_s() >= seconds
    assert clock.boot_time().boot_id == boot.boot_id
    assert clock.boot_time().ms_since(boot) >= 0
    assert str(moment.local.tzinfo) == ZONE
    assert moment.state is ClockState.TRUSTED
    assert moment.high_water <= moment.local
    assert clock.asks_at_s() > clock.monotonic_s()


def test_the_clocks_are_the_machines(tmp_path: Path) -> None:
    """Seconds are CLOCK_MONOTONIC's, so that a log's edges can be compared with another's."""
    clock = real_clock(tmp_path)
    before = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()
    found = clock.monotonic_s(), clock.boot_time().ms / 1000, clock.moment().local.timestamp()
    after = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()

    for low, reading, high in zip(before, found, after, strict=True):
        assert low - 0.001 <= reading <= high


def test_one_source_vouches(tmp_path: Path) -> None:
    """The file that systemd-timesyncd makes, from the moment it is there, or chrony by the kernel.

    No file, no battery, no daemon: untrusted.
    """
    by_chrony = SystemClock(ZONE, "auto", LONG_AGO, sources(tmp_path, kernel=True))
    by_timesyncd = doubting(tmp_path)

    assert doubting(tmp_path).moment().state is ClockState.UNTRUSTED
    assert by_chrony.moment().state is ClockState.TRUSTED
    (tmp_path / "synchronized").touch()
    assert by_timesyncd.moment().state is ClockState.TRUSTED


@pytest.mark.parametrize(
    ("hctosys", "year", "behind_s", "vouched"),
    [
        ("1\n", 2026, 0, True),
        ("1\n", 2025, 0, True),
        ("1\n", 2026, 299, True),
        ("1\n", 2026, -299, True),
        ("1\n", 2026, 300, False),
        ("1\n", 2026, -300, False),
        ("1\n", 1970, 0, False),
        ("0\n", 2026, 0, False),
    ],
)
def test_a_battery_clock_vouches_if_it_has_a_battery(
    tmp_path: Path, hctosys: str, year: int, behind_s: int, *, vouched: bool
) -> None:
    """The clock was set from it at boot, it did not begin in 1970, and it says the same now."""
    wall = datetime(year, 6, 1, tzinfo=UTC)
    battery(tmp_path, wall - timedelta(seconds=behind_s), hctosys)

    assert sources(tmp_path).vouch(wall) == vouched


def test_a_pi_without_a_battery_is_untrusted(tmp_path: Path) -> None:
    """Its battery clock begins in 1970; that timesyncd moved the wall to a saved time is no proof.

    Until the network is there nobody knows how long the power was off.

    Bug (attack review): a Pi 5 without a battery passed for one with a battery clock.
    """
    battery(tmp_path, LONG_AGO + timedelta(seconds=40))

    assert not sources(tmp_path).vouch(utc_now())


@pytest.mark.parametrize("said", [b"", b"-1", "²".encode(), b"1" * 12, b"9" * 400, b"\xff\xfe"])
def test_a_battery_clock_that_says_no_time_does_not_vouch(tmp_path: Path, said: bytes) -> None:
    """Whatever stands in the file is no error."""
    battery(tmp_path, utc_now())
    (tmp_path / "since_epoch").write_bytes(said)

    assert not sources(tmp_path).vouch(utc_now())


@pytest.mark.parametrize(
    ("network", "behind_s", "vouching"), [(True, 0, 2), (False, 0, 1), (True, 3600, 1)]
)
def test_two_sources_are_network_and_battery(
    tmp_path: Path, behind_s: int, vouching: int, *, network: bool
) -> None:
    """Two that both follow the network are one."""
    battery(tmp_path, utc_now() - timedelta(seconds=behind_s))
    if network:
        (tmp_path / "synchronized").touch()

    assert sources(tmp_path, kernel=network).vouch(utc_now()) == vouching


def test_a_source_that_goes_leaves_holdover(tmp_path: Path) -> None:
    """A clock that was trusted in this boot carries on."""
    clock = doubting(tmp_path, ask_every_s=0)
    (tmp_path / "synchronized").touch()
    clock.moment()
    (tmp_path / "synchronized").unlink()

    assert clock.moment().state is ClockState.HOLDOVER


def test_the_sources_are_not_asked_at_every_moment(tmp_path: Path) -> None:
    """Asking costs more than the whole decision; an answer holds for a while."""
    asked: list[None] = []

    def kernel() -> bool:
        asked.append(None)
        return True

    clock = SystemClock(ZONE, "auto", LONG_AGO, replace(sources(tmp_path), kernel=kernel))

    assert [clock.moment().state for _ in range(3)] == [ClockState.TRUSTED] * 3
    assert len(asked) == 1
    assert 0 < clock.asks_at_s() - clock.monotonic_s() <= ASK_EVERY_S


def test_a_stored_high_water_mark_is_kept(tmp_path: Path) -> None:
    """An untrusted clock is never earlier than the highest trusted time of earlier runs.

    An empty door log can't make it believe in 1970: it is later than the build.
    """
    stored = utc_now() + timedelta(days=400)
    moment = doubting(tmp_path, stored).moment()

    assert moment.high_water == stored
    assert stored <= moment.local < stored + timedelta(hours=1)
    assert doubting(tmp_path).moment().high_water == BUILD_FLOOR


@pytest.mark.parametrize(
    ("stored", "wary", "leapt"),
    [(timedelta(days=40), True, True), (timedelta(days=40), False, False), (None, True, False)],
)
def test_a_start_long_after_the_stored_mark_waits(
    tmp_path: Path, stored: timedelta | None, *, wary: bool, leapt: bool
) -> None:
    """A new door, whose mark is the build's date, has nothing to wait with; nor has a command."""
    (tmp_path / "synchronized").touch()
    mark = BUILD_FLOOR if stored is None else utc_now() - stored
    moment = doubting(tmp_path, mark, wary=wary).moment()

    assert (moment.state, moment.leapt, moment.stepped) == (ClockState.TRUSTED, leapt, leapt)


def test_the_boot_is_named_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one boot agree, so that a throttle survives a restart of the daemon.

    Where the file is hidden the unit says which boot, in systemd's spelling. Where neither can be
    read each start is a boot: waits start afresh; they are never cut short.
    """
    hidden = (doubting(tmp_path, boot_id=tmp_path / "boot_id") for _ in range(2))
    assert len({clock.boot_time().boot_id for clock in hidden}) == 2
    monkeypatch.setenv("DOORCTL_BOOT_ID", "0f0e0d0caaaabbbbcccc000000000001")
    by_unit = doubting(tmp_path, boot_id=tmp_path / "boot_id").boot_time().boot_id
    assert by_unit == "0f0e0d0c-aaaa-bbbb-cccc-000000000001"
    (tmp_path / "boot_id").write_text("0f0e0d0c-aaaa-bbbb-cccc-000000000002\n")
    by_kernel = doubting(tmp_path, boot_id=tmp_path / "boot_id").boot_time().boot_id
    assert by_kernel == "0f0e0d0c-aaaa-bbbb-cccc-000000000002"


def test_the_kernel_can_be_asked() -> None:
    """The call works or is refused; it is never an exception."""
    assert kernel_synchronised() in {True, False}


def test_many_threads_may_ask_at_once(tmp_path: Path) -> None:
    """The high-water mark each thread sees only grows."""
    clock = real_clock(tmp_path)

    def marks(_thread: int) -> list[datetime]:
        return [clock.moment().high_water for _ in range(300)]

    with ThreadPoolExecutor(4) as pool:
        for seen in pool.map(marks, range(4)):
            assert seen == sorted(seen)


def test_a_clock_that_nobody_sets_has_not_stepped(tmp_path: Path) -> None:
    """Neither the first look nor the second is a step."""
    clock = real_clock(tmp_path)

    assert [clock.stepped(), clock.stepped()] == [False, False]


@given(
    wall_s=st.floats(0, 4e9),
    passed_s=st.floats(0, 1e6),
    jump_s=st.floats(-1e9, 1e9).filter(lambda jump: abs(abs(jump) - STEP_S) > 0.01),
)
def test_only_a_jump_is_a_step(wall_s: float, passed_s: float, jump_s: float) -> None:
    """Time that passes on both clocks is none, however much; more than 5 s on one of them is."""
    watch = StepWatch()
    watch.look(wall_s, 100.0)

    assert watch.look(wall_s + passed_s + jump_s, 100.0 + passed_s) is (abs(jump_s) > STEP_S)
    assert not watch.look(wall_s + passed_s + jump_s, 100.0 + passed_s)


@given(passed_s=st.integers(0, 10**7), set_s=st.integers(-(10**7), 10**7))
def test_a_battery_clock_that_the_kernel_sets_is_no_second_source(
    passed_s: int, set_s: int
) -> None:
    """The kernel copies a synchronised time to it: only one that ran on by itself can confirm."""
    watch, began, boot = BatteryWatch(), datetime(2026, 5, 4, tzinfo=UTC), timedelta(hours=3)
    passed = timedelta(seconds=passed_s)

    assert watch.was_set(None, boot)
    assert not watch.was_set(began, boot)
    set_to = began + passed + timedelta(seconds=set_s)
    assert watch.was_set(set_to, boot + passed) is (abs(set_s) >= 300)
    assert not watch.was_set(began + passed, boot + passed)


def confirmed(clock: SystemClock) -> bool:
    """Tell whether the strike may stand free by it."""
    moment = clock.moment()
    assert moment.dependable
    return not moment.unconfirmed


def test_what_confirms_a_time(tmp_path: Path) -> None:
    """Network and battery together, a signed time, a machine whose clock somebody keeps right.

    Bug (second penetration test, S1): one plain time source was enough after a power cut.
    """
    network = sources(tmp_path, kernel=True)
    assert not confirmed(SystemClock(ZONE, "auto", LONG_AGO, network))
    assert confirmed(SystemClock(ZONE, "signed", LONG_AGO, network))
    assert confirmed(SystemClock(ZONE, "always", LONG_AGO, sources(tmp_path)))

    battery(tmp_path, utc_now())
    assert confirmed(SystemClock(ZONE, "auto", LONG_AGO, network))
    assert not confirmed(SystemClock(ZONE, "signed", LONG_AGO, sources(tmp_path)))


@pytest.mark.parametrize("of", ["boot-1", "boot-2"])
def test_a_battery_clock_that_a_lie_may_have_set_confirms_nothing(tmp_path: Path, of: str) -> None:
    """The kernel copies the network's time to it: a boot later both would say the same lie."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("boot-2\n")
    battery(tmp_path, utc_now())
    now, hour = timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)), timedelta(hours=1)

    def started(off: timedelta = timedelta(0), **known: Any) -> SystemClock:
        kept = KeptReadings(of, (utc_now() - off, now), **known)
        network = sources(tmp_path, kernel=True)
        return SystemClock(ZONE, "auto", LONG_AGO, network, boot_id, kept=kept)

    assert confirmed(started())
    after = started(leap=timedelta(0))
    assert not confirmed(after)
    assert not after.confirm(utc_now() - timedelta(minutes=6))
    assert after.confirm(utc_now())
    assert confirmed(after)
    assert started(50 * hour, doubt=(utc_now() - 2 * hour, now - 2 * hour)).moment().in_doubt


def test_staff_end_a_doubt(tmp_path: Path) -> None:
    """A mark that a wrong clock left falls to the time that they confirm."""
    clock = SystemClock(ZONE, "always", utc_now() + timedelta(days=25_000), sources(tmp_path))
    assert clock.moment().in_doubt

    clock.believe()

    moment = clock.moment()
    assert (moment.state, moment.stepped) == (ClockState.TRUSTED, True)
    assert moment.high_water <= utc_now()
