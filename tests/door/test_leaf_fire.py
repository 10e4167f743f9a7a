from __future__ import annotations

import pytest

from doorctl.door.leaf import (
    Alarm,
    AlarmCleared,
    AlarmRaised,
    Entered,
    FireReported,
    LeafEffect,
    LeafEvent,
    LeafState,
    Passed,
    Started,
)
from doorctl.door.strike import ShutDown, TimePassed
from tests.door.leaves import FIRE, NO_FIRE, RELEASE, closed, every_leaf, opened, told

BURNS, OVER = FireReported(active=True), FireReported(active=False)
FORCED: list[LeafEvent] = [opened(11.0)]
HELD: list[LeafEvent] = [RELEASE, opened(12.0), TimePassed(99.0)]


def alarms(effects: list[LeafEffect]) -> list[LeafEffect]:
    """Return what is said of alarms."""
    return [it for it in effects if isinstance(it, AlarmRaised | AlarmCleared)]


def test_a_fire_is_put_on_record_once() -> None:
    """Each change of the input is told, a repetition isn't, whatever the leaf does."""
    for leaf in every_leaf():
        burning, effects = told(FIRE, FIRE, leaf=told(NO_FIRE, leaf=leaf)[0])
        assert effects == [BURNS]
        assert burning.state is leaf.state
        assert told(NO_FIRE, NO_FIRE, leaf=burning)[1][:1] == [OVER]


@pytest.mark.parametrize(("way", "alarm"), [(FORCED, Alarm.FORCED), (HELD, Alarm.HELD)])
def test_in_a_fire_nothing_is_alarmed_until_it_is_over(way: list[LeafEvent], alarm: Alarm) -> None:
    """Who flees makes no noise; if the leaf still stands so afterwards, it is told once."""
    leaf, effects = told(FIRE, *way)
    assert alarms(effects) == []
    assert not leaf.sounding

    leaf, effects = told(NO_FIRE, NO_FIRE, leaf=leaf)
    assert effects == [OVER, AlarmRaised(alarm)]
    assert told(closed(200.0), leaf=leaf)[1] == [AlarmCleared(alarm)]


@pytest.mark.parametrize("way", [FORCED, HELD])
def test_what_ended_in_the_fire_is_never_told(way: list[LeafEvent]) -> None:
    """An alarm that was kept back and is over has no clear either."""
    assert alarms(told(FIRE, *way, closed(200.0), NO_FIRE)[1]) == []


@pytest.mark.parametrize(("way", "alarm"), [(FORCED, Alarm.FORCED), (HELD, Alarm.HELD)])
def test_what_was_raised_before_the_fire_is_cleared_in_it(
    way: list[LeafEvent], alarm: Alarm
) -> None:
    """A clear is news that helps; the fire silences the alarm and hides no all-clear."""
    leaf, effects = told(*way, FIRE)
    assert alarms(effects) == [AlarmRaised(alarm)]
    assert not leaf.sounding

    assert told(closed(200.0), NO_FIRE, leaf=leaf)[1] == [AlarmCleared(alarm), OVER]
    back, effects = told(NO_FIRE, leaf=leaf)
    assert back.sounding
    assert effects == [OVER]


def test_in_a_fire_nobody_is_warned() -> None:
    """The leaf may stand open; no buzzer asks to close it."""
    assert told(FIRE, RELEASE, opened(12.0), TimePassed(35.0))[1] == [BURNS, Entered(1, 12.0)]


def test_a_fire_is_known_through_a_restart() -> None:
    """What is muted stays so if the daemon begins anew in the middle of it."""
    leaf, effects = told(FIRE, ShutDown(), Started(open=False, now_s=20.0), opened(21.0))

    assert leaf.state is LeafState.FORCED
    assert effects == [BURNS, Passed(21.0)]
