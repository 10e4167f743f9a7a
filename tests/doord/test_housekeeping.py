"""What the loop sees to each second, by a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from doorctl.core.alarms import KINDS
from doorctl.doord.chores import (
    FAULTS,
    KEEP_TIME_EVERY_S,
    KEPT_GRACE_S,
    PING_EVERY_S,
    PURGE_LIMIT_S,
    SCHEDULE_LIMIT_S,
    WORKER_LIMIT_S,
    Housekeeping,
    LastingFaults,
)
from tests.fakes.clock import FakeClock
from tests.fakes.supervisor import FakeSupervisor


@dataclass
class House:
    """Housekeeping at a door whose chores, stores, schedule and worker are this."""

    clock: FakeClock = field(default_factory=FakeClock)
    supervisor: FakeSupervisor = field(default_factory=FakeSupervisor)
    lines_alive: bool = True
    late_s: float = 0.0
    since_s: float | None = None
    worker_answers: bool = True
    relocks_s: float | None = None
    alarms: list[tuple[str, str]] = field(default_factory=list)
    purges: int = 0
    times_kept: list[float] = field(default_factory=list)
    clocks_kept: list[float] = field(default_factory=list)
    pings: list[Callable[[], None]] = field(default_factory=list)
    grace_s: float = KEPT_GRACE_S

    def __post_init__(self) -> None:
        self.began_s = self.clock.monotonic_s()
        chores: Any = self
        self.stores = self.schedule = self.purging = self.worker = self
        self.keeping = Housekeeping(
            chores, self.supervisor, lambda: self.lines_alive, lambda: self.relocks_s
        )

    def turn(self, seconds: float = 0.0) -> None:
        """Turn once a second for some seconds, at least once."""
        self.keeping.turn()
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            self.keeping.turn()

    def fed(self, seconds: float = 0.0) -> int:
        """Turn and return how often the watchdog was fed meanwhile."""
        before = len(self.supervisor.told)
        self.turn(seconds)
        return len(self.supervisor.told) - before

    def overdue_s(self) -> float:
        """Return for how long a purge is due."""
        return self.late_s

    def submit(self, answer: Callable[[], None]) -> None:
        """Ask the worker whether it works."""
        self.pings.append(answer)
        if self.worker_answers:
            answer()

    def nudge(self) -> None:
        """Purge soon."""
        self.purges += 1

    def keep_time(self) -> None:
        """Note when the time was kept."""
        self.times_kept.append(self.clock.monotonic_s() - self.began_s)

    def keep_clock(self) -> None:
        """Note when what is known of the clock was kept."""
        self.clocks_kept.append(self.clock.monotonic_s() - self.began_s)

    def alarm(self, kind: str, why: str) -> None:
        """Note it."""
        self.alarms.append((kind, why))


def test_the_watchdog_is_fed_each_turn_while_all_is_well() -> None:
    """Far longer than the worker's limit, and with nothing but ``alive``; a purge may be late."""
    house = House(late_s=SCHEDULE_LIMIT_S - 1)

    assert house.fed(3 * WORKER_LIMIT_S) == 3 * WORKER_LIMIT_S + 1
    assert set(house.supervisor.told) == {"alive"}
    assert len(house.pings) == 3 * WORKER_LIMIT_S / PING_EVERY_S, "the queue is not filled"


def test_a_release_bounds_the_watchdog() -> None:
    """While the strike is released it bites soon after the end; overdue too, and never before."""
    house = House()
    house.turn()
    assert house.supervisor.within_s is None

    house.relocks_s = house.began_s + 2.0
    for left_s in (2.0, 1.0, 0.0, 0.0):
        house.keeping.turn()
        assert house.supervisor.within_s == pytest.approx(left_s + KEPT_GRACE_S)
        house.clock.advance(1.0)


def test_a_worker_that_answers_after_all_saves_the_process() -> None:
    """It works again, if the watchdog's own time is not over."""
    house = House(worker_answers=False)
    house.turn(WORKER_LIMIT_S + 1)
    assert house.fed() == 0
    house.pings[0]()

    assert house.fed() == 1


def test_a_long_purge_is_no_stuck_worker() -> None:
    """Nothing else is answered meanwhile, and afterwards the worker has its usual time."""
    house = House(worker_answers=False)
    house.since_s = house.began_s

    assert house.fed(PURGE_LIMIT_S - 1) == PURGE_LIMIT_S
    house.since_s = None
    assert house.fed(WORKER_LIMIT_S - 1) == WORKER_LIMIT_S


SILENT = "the thread that reads and writes does not answer"


@pytest.mark.parametrize(
    ("broken", "fed", "why"),
    [
        ({"worker_answers": False}, WORKER_LIMIT_S, SILENT),
        (
            {"worker_answers": False, "since_s": FakeClock().monotonic_s()},
            PURGE_LIMIT_S + WORKER_LIMIT_S - 1,
            SILENT,
        ),
        ({"lines_alive": False}, 0, "the thread of a serial line has ended"),
        ({"late_s": SCHEDULE_LIMIT_S}, 0, "a purge should have begun 600 s ago"),
    ],
)
def test_what_starves_the_watchdog_is_told_once(
    broken: dict[str, float], fed: float, why: str
) -> None:
    """Before systemd kills the process and starts it afresh; else nobody could tell why it did."""
    house = House(**broken)  # type: ignore[arg-type]  # one of each kind

    assert house.fed(PURGE_LIMIT_S + 2 * WORKER_LIMIT_S) == fed
    assert house.alarms == [("process_stuck", why)]


def test_a_process_that_stood_still_is_not_called_stuck() -> None:
    """Nobody had asked the worker meanwhile; it answers in the next turn."""
    house = House(worker_answers=False)
    house.turn()
    house.clock.advance(WORKER_LIMIT_S + 1.0)
    house.keeping.turn()
    house.pings[-1]()
    house.turn(3.0)

    assert house.alarms == []


def test_what_stops_again_or_meanwhile_is_told_too() -> None:
    """Whoever reads the journal sees both, and a thread that came back; else nothing is told."""
    house = House()
    for house.lines_alive in (True, False, True, False):
        house.turn(3.0)
    house.lines_alive, house.late_s = True, SCHEDULE_LIMIT_S
    house.turn(3.0)

    line, purge = "the thread of a serial line has ended", "a purge should have begun 600 s ago"
    assert [why for _, why in house.alarms] == [line, line, purge]


def test_a_clock_step_is_followed_by_a_purge_once() -> None:
    """Visits may have become old in that moment. It is no stuck worker and no reason to store."""
    house = House()
    house.turn(5.0)
    assert house.purges == 0
    house.clock.step(house.clock.wall + timedelta(days=400))

    assert house.fed(5.0) == 6
    assert (house.purges, house.times_kept) == (1, [])


def test_time_is_stored_every_ten_minutes() -> None:
    """A power cut takes back no more of the highest trusted time; the first purge stores it too."""
    house = House()
    house.turn(2 * KEEP_TIME_EVERY_S + 1)

    assert house.times_kept == [KEEP_TIME_EVERY_S, 2 * KEEP_TIME_EVERY_S]
    assert house.purges == 0


def test_a_guess_is_never_stored_as_time() -> None:
    """Before the clock is synchronised nothing is kept; at the first good second it is, once.

    The purge that had to wait for it comes then as well.
    """
    house = House(FakeClock(vouched=False))
    house.turn(2 * KEEP_TIME_EVERY_S)
    assert house.times_kept == []
    assert house.purges == 0
    house.clock.vouched = True
    house.turn(10.0)

    assert house.times_kept == [2 * KEEP_TIME_EVERY_S]
    assert house.purges == 1


def test_time_is_stored_again_when_the_clock_becomes_good_again() -> None:
    """After a time of not knowing, not only when ten minutes are over."""
    house = House()
    house.turn()
    house.clock.reboot("boot-2")
    house.clock.monotonic = house.began_s + 5.0
    house.clock.vouched = False
    house.turn()
    house.clock.vouched = True
    house.turn()

    assert house.times_kept == [5.0]


def test_a_start_far_above_the_mark_is_told_once_and_so_is_its_end() -> None:
    """Somebody has to look now: in six hours the door log is purged by that clock."""
    house = House()
    house.clock.high_water = house.clock.wall - timedelta(days=37)
    house.clock.wary = True
    house.clock.reboot("boot-2")
    house.turn(60)
    house.turn(60)
    assert house.alarms == [("clock_leapt", "2026-01-24 18:00 UTC was the last time known")]
    assert (house.purges, house.times_kept) == (0, [])

    house.turn(6 * 3600)
    assert [kind for kind, _ in house.alarms] == ["clock_leapt", "clock_leapt_cleared"]
    assert house.purges == 1


def test_a_doubt_about_the_clock_is_told_once_and_so_is_its_end() -> None:
    """Somebody has to look now: meanwhile no hours open the door.

    The highest trusted time is not stored until the clock has stood for six hours. Then another
    purge comes, for what was due at the step may have waited for that.
    """
    house = House()
    house.turn(60)
    house.clock.step(house.clock.wall + timedelta(days=2))
    house.turn(60)
    assert [kind for kind, _ in house.alarms] == ["clock_stepped"]
    assert "2026-03-02 19:01" in house.alarms[0][1]

    house.clock.believe()
    house.turn(KEEP_TIME_EVERY_S)
    assert [kind for kind, _ in house.alarms] == ["clock_stepped", "clock_stepped_cleared"]
    assert (house.purges, house.times_kept) == (1, [])

    house.turn(6 * 3600)
    assert (house.purges, len(house.alarms)) == (2, 2)
    assert house.times_kept


@pytest.mark.parametrize("right", [True, False])
def test_the_next_process_tells_of_the_doubt_or_of_its_end(*, right: bool) -> None:
    """No alarm stands on about a clock that is right; one that is wrong is told again."""
    house, days = House(), timedelta(days=2)
    house.turn(3601)
    house.clock.step(house.clock.wall + days)
    house.turn(60)
    house.clock.restart()
    if right:
        house.clock.step(house.clock.wall - days)

    after = House(house.clock)
    after.turn(60)

    assert [kind for kind, _ in after.alarms] == [f"clock_stepped{'_cleared' * right}"]


def test_what_the_next_process_has_to_know_of_the_clock_is_stored_at_once() -> None:
    """In the first turn, with each change of what is known, every ten minutes; also in doubt."""
    house = House()
    house.turn(60)
    assert house.clocks_kept == [0.0]

    house.clock.step(house.clock.wall + timedelta(days=2))
    house.turn(KEEP_TIME_EVERY_S)
    assert house.clocks_kept == [0.0, 60.0, 60.0 + KEEP_TIME_EVERY_S]

    house.clock.believe()
    house.turn(60)
    assert len(house.clocks_kept) == 4


# Which faults are told, when, and when they are told to be over.


class Watch:
    """Faults, and what was told of them."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._faults = LastingFaults(lambda kind, _why: self.told.append(kind))

    def see(self, now_s: float, **found: str | None) -> None:
        """Look once."""
        self._faults.see(found, now_s)


@pytest.mark.parametrize("kind", FAULTS)
def test_both_ends_are_on_the_list_of_alarms(kind: str) -> None:
    """Whoever is called has a sentence on what to do, and hears that it is over."""
    assert kind in KINDS
    assert KINDS[f"{kind}_cleared"].clears == kind


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_told_once_it_has_lasted_and_after_its_rest(kind: str) -> None:
    """Not before, not at each look, and again after its rest while nothing is done about it."""
    watch, lasts_s = Watch(), FAULTS[kind].lasts_s
    watch.see(0.0, **{kind: "why"})
    watch.see(lasts_s - 0.1, **{kind: "why"})
    assert watch.told == ([] if lasts_s else [kind])

    watch.see(lasts_s, **{kind: "why"})
    watch.see(lasts_s + 60.0, **{kind: "why"})
    assert watch.told == [kind]

    watch.see(lasts_s + FAULTS[kind].again_s, **{kind: "why"})
    assert watch.told == [kind, kind]


def test_what_is_over_before_it_is_told_is_nobodys_call() -> None:
    """It has no end to tell either, and begins afresh; what is not known stays as it was."""
    watch = Watch()
    for now_s, why in ((0.0, "why"), (19.0, None), (20.0, "why"), (39.0, "why")):
        watch.see(now_s, reader_lost=why)
    assert watch.told == []

    watch.see(40.0)
    watch.see(41.0, reader_lost="why")
    assert watch.told == ["reader_lost"]


def test_the_end_is_told_once() -> None:
    """And the next time is told like the first."""
    watch = Watch()
    for now_s, why in ((0.0, "why"), (20.0, "why"), (30.0, None), (31.0, None), (40.0, "why")):
        watch.see(now_s, reader_lost=why)
    assert watch.told == ["reader_lost", "reader_lost_cleared"]

    watch.see(60.0, reader_lost="why")
    assert watch.told[2:] == ["reader_lost"]
