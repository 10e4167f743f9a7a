"""What the web process switches with the mode, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest

from doorctl.access.calendar import DaySource, Mode, ModeSpan, StoredCalendar
from doorctl.access.day import Output, Override
from doorctl.config.hours import DatedHours, Opening
from doorctl.services.hours import calendar_of
from doorctl.web.jobs import SWITCH_AGAIN_S as AGAIN_S
from doorctl.web.jobs import OutputsRound
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryBranch
from tests.fakes.outputs import FakeOutputs

OPEN = frozenset({Mode.SELF_SERVICE, Mode.STAFFED})
LIGHT = Output("light", OPEN, lead_min=10, lag_min=15)
ALARM = Output("alarm", frozenset({Mode.CLOSED, Mode.LOCKDOWN}))
TILL_TEN = Opening(week=((ModeSpan(Mode.SELF_SERVICE, 480, 1320),),) * 7)
"""Open from 8 to 22 each day; the clock begins at 19:00."""


class Counted(MemoryBranch):
    """Counts how often the hours are read."""

    read = 0

    def calendar(self) -> StoredCalendar:
        """Return the stored hours."""
        self.read += 1
        return super().calendar()


class Branch:
    """A branch with a light and an alarm."""

    def __init__(self, opening: Opening = TILL_TEN, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.branch = MemoryBranch()
        self.outputs = FakeOutputs(["light", "alarm"])
        self.log = FakeEventLog()
        self.following = self.started(opening)

    def started(self, opening: Opening) -> OutputsRound:
        """Return the round of a process that has just been started."""
        return OutputsRound(
            (LIGHT, ALARM),
            calendar_of=partial(calendar_of, opening),
            branch=self.branch,
            switches=self.outputs,
            clock=self.clock,
            log=self.log,
        )

    def at(self, utc: datetime) -> list[tuple[str, bool]]:
        """Let it become a time, look at the clock, and return what was switched for it."""
        self.clock.advance((utc - self.clock.wall).total_seconds())
        return self.turn()

    def turn(self) -> list[tuple[str, bool]]:
        """Look at the clock and return what was switched."""
        before = len(self.outputs.switched)
        self.following.turn()
        return self.outputs.switched[before:]

    def alarms(self) -> list[object]:
        """Return the kinds of all alarms."""
        return [line["kind"] for line in self.log.named("alarm")]


def test_all_are_switched_at_the_start() -> None:
    """Nobody knows what they are after a power cut."""
    branch = Branch()

    assert branch.turn() == [("light", True)]


def test_each_follows_the_mode_with_its_own_offsets() -> None:
    """The alarm is armed at ten, the light goes a quarter of an hour later."""
    branch = Branch()
    branch.turn()

    assert branch.at(datetime(2026, 3, 2, 20, 59, 59, tzinfo=UTC)) == []
    assert branch.at(datetime(2026, 3, 2, 21, 0, tzinfo=UTC)) == [("alarm", True)]
    assert branch.at(datetime(2026, 3, 2, 21, 14, 59, tzinfo=UTC)) == []
    assert branch.at(datetime(2026, 3, 2, 21, 15, tzinfo=UTC)) == [("light", False)]
    assert branch.at(datetime(2026, 3, 3, 6, 50, tzinfo=UTC)) == [("light", True)]
    assert branch.at(datetime(2026, 3, 3, 7, 0, tzinfo=UTC)) == [("alarm", False)]


def test_what_staff_set_counts_at_once_and_until_its_end() -> None:
    """A lockdown waits for no offset, and its end switches all back."""
    branch = Branch()
    branch.turn()
    until = START + timedelta(hours=1)
    branch.branch.set_override(Override(Mode.LOCKDOWN, until, "uro", "y"), branch.clock.moment())

    assert branch.turn() == [("light", False), ("alarm", True)]
    assert branch.at(until) == [("light", True), ("alarm", False)]


@pytest.mark.parametrize(
    ("days", "closes"),
    [
        ((date(2026, 3, 29),), datetime(2026, 3, 29, 20, 0, tzinfo=UTC)),
        ((date(2026, 10, 25),), datetime(2026, 10, 25, 21, 0, tzinfo=UTC)),
        ((date(2026, 12, 31), date(2027, 1, 1)), datetime(2027, 1, 1, 21, 0, tzinfo=UTC)),
    ],
    ids=["forward", "back", "new-year"],
)
def test_clock_changes_and_new_year(days: tuple[date, ...], closes: datetime) -> None:
    """Ten in the evening is what the clock on the wall says, on every day of the year."""
    exceptions = tuple(DatedHours("", day, (ModeSpan(Mode.SELF_SERVICE, 0, 1320),)) for day in days)
    branch = Branch(Opening(week=((),) * 7, exceptions=exceptions))
    branch.at(closes - timedelta(seconds=1))
    assert branch.outputs.on == {"light": True, "alarm": False}

    assert branch.at(closes) == [("alarm", True)]


def test_a_calendar_that_nobody_knows_is_closed() -> None:
    """Without the website's hours the house is dark and the alarm armed; the door is shut too."""
    branch = Branch(Opening(source="website"))

    assert branch.turn() == [("alarm", True)]


def test_a_branch_that_cannot_be_read_at_the_start_is_closed_and_told_once() -> None:
    """As soon as it can be read, its hours count."""
    branch = Branch()
    branch.branch.broken = True
    for _ in range(3):
        branch.turn()
    assert branch.outputs.switched == [("alarm", True)]
    assert branch.alarms() == ["branch_failing"]

    branch.branch.broken = False
    assert branch.turn() == [("light", True), ("alarm", False)]
    assert branch.alarms() == ["branch_failing"]


def test_a_branch_that_cannot_be_read_later_keeps_its_hours() -> None:
    """The last that were read count, and closing time comes all the same."""
    branch = Branch()
    branch.turn()
    branch.branch.broken = True

    assert branch.turn() == []
    assert branch.at(datetime(2026, 3, 2, 21, 0, tzinfo=UTC)) == [("alarm", True)]
    assert branch.alarms() == ["branch_failing"]


def test_the_hours_are_read_once_for_each_commit() -> None:
    """A look at the clock every second costs no disk."""
    branch = Branch()
    branch.branch = book = Counted()
    branch.following = branch.started(TILL_TEN)
    for _ in range(3):
        branch.turn()
    assert book.read == 1

    book.set_days(DaySource.HOLIDAY, (), branch.clock.moment(), known_until=None)
    for _ in range(3):
        branch.turn()
    assert book.read == 2


def test_nothing_is_switched_before_the_clock_is_set() -> None:
    """A light that stays as it is troubles nobody; one that goes off at noon does."""
    branch = Branch(clock=FakeClock(vouched=False))
    assert branch.turn() == []

    branch.clock.vouched = True
    assert branch.turn() == [("light", True)]


def test_what_fails_is_told_once_and_tried_again() -> None:
    """Every five minutes until it works; the others are switched meanwhile."""
    branch = Branch()
    branch.outputs.broken.add("light")
    branch.turn()
    branch.clock.advance(AGAIN_S - 1)
    assert branch.turn() == []
    branch.clock.advance(1)
    assert branch.turn() == []
    assert branch.alarms() == ["output_failing"]
    assert branch.at(datetime(2026, 3, 2, 21, 0, tzinfo=UTC)) == [("alarm", True)]

    branch.outputs.broken.clear()
    branch.clock.advance(AGAIN_S)
    assert branch.turn() == [("light", True)]
    assert branch.alarms() == ["output_failing"]


def test_what_fails_waits_while_the_clock_is_not_set() -> None:
    """What should be on just now nobody knows."""
    branch = Branch()
    branch.outputs.broken.add("light")
    branch.turn()
    branch.outputs.broken.clear()
    branch.clock.vouched = False
    branch.clock.reboot("boot-2")
    branch.clock.monotonic = 1000.0 + AGAIN_S

    assert branch.turn() == []


def announcing(branch: Branch) -> None:
    """Give a branch an announcement of 20 s, at 15 and 5 minutes before closing."""
    branch.outputs = FakeOutputs(["light", "voice"])
    branch.following = OutputsRound(
        (LIGHT, Output("voice", frozenset())),
        calendar_of=partial(calendar_of, TILL_TEN),
        branch=branch.branch,
        switches=branch.outputs,
        clock=branch.clock,
        log=branch.log,
        warn_min=(15, 5),
        pulses_s={"voice": 20.0},
    )
    branch.turn()


def test_an_announcement_is_on_for_a_while_at_each_warning() -> None:
    """At each of the minutes before closing, and for its own seconds; nothing else changes."""
    branch = Branch()
    announcing(branch)
    for warned in (
        datetime(2026, 3, 2, 20, 45, tzinfo=UTC),
        datetime(2026, 3, 2, 20, 55, tzinfo=UTC),
    ):
        assert branch.at(warned - timedelta(seconds=1)) == []
        assert branch.at(warned) == [("voice", True)]
        assert branch.at(warned + timedelta(seconds=19)) == []
        assert branch.at(warned + timedelta(seconds=20)) == [("voice", False)]


def test_an_announcement_ends_though_the_clock_is_set() -> None:
    """Its seconds are real ones, and what is on by the mode stays on."""
    branch = Branch()
    announcing(branch)
    branch.at(datetime(2026, 3, 2, 20, 45, tzinfo=UTC))
    branch.clock.step(datetime(2026, 3, 2, 20, 30, tzinfo=UTC))
    branch.clock.monotonic += 20

    assert branch.turn() == [("voice", False)]
    assert branch.outputs.on["light"]
