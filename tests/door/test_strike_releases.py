from __future__ import annotations

import pytest

from doorctl.door.strike import (
    ExitPressed,
    Freed,
    Granted,
    HouseClosed,
    OtherDoorChanged,
    ShutDown,
    Strike,
    StrikeEvent,
    StrikeState,
    TimePassed,
    Unfreed,
)

FREE = Strike().after(Freed(100.0))
LOBBY = Strike().after(OtherDoorChanged(open=True, now_s=100.0))
WAITING = LOBBY.after(Granted(100.0, 5.0, wait_s=10.0))
CLOSED = OtherDoorChanged(open=False, now_s=104.0)


def told(strike: Strike, *events: StrikeEvent) -> Strike:
    """Tell a strike events in order."""
    for event in events:
        strike = strike.after(event)
    return strike


def test_an_exit_is_a_release_like_any_other() -> None:
    """The button inside releases for its time, and locks at its end."""
    pressed = Strike().after(ExitPressed(100.0, 5.0))

    assert pressed.energised
    assert pressed.deadline_s == 105.0
    assert pressed.after(TimePassed(105.0)) == Strike()


def test_a_free_door_stays_so() -> None:
    """In staffed hours nothing ends the release but the word that they are over."""
    assert FREE.energised
    assert FREE.deadline_s is None
    assert told(FREE, TimePassed(1e9)).energised
    assert told(FREE, Unfreed(1e9)) == Strike()


def test_a_pulse_returns_to_the_standing_release() -> None:
    """A card or the exit button in staffed hours does not lock the door behind itself."""
    for pulse in (Granted(101.0, 5.0), ExitPressed(101.0, 5.0)):
        pulsed = FREE.after(pulse)

        assert pulsed.deadline_s == 106.0
        assert pulsed.after(TimePassed(105.9)) == pulsed
        assert pulsed.after(TimePassed(106.0)) == FREE


def test_who_was_let_in_before_staff_left_has_the_whole_time() -> None:
    """The end of staffed hours cuts no pulse short, whether it was given before or in them."""
    within = told(FREE, Granted(101.0, 5.0), Unfreed(103.0))
    before = told(Strike(), Granted(101.0, 5.0), Freed(102.0), Unfreed(103.0))

    assert within == before == Strike(StrikeState.RELEASED, 106.0)
    assert told(FREE, Granted(101.0, 5.0), Unfreed(106.0)) == Strike()


def test_unfreeing_a_door_that_is_not_free_changes_nothing() -> None:
    """Told twice, or at the start, it locks nobody out in the middle of a pulse."""
    released = Strike().after(Granted(100.0, 5.0))

    assert told(Strike(), Unfreed(1.0)) == Strike()
    assert released.after(Unfreed(101.0)) == released
    assert FREE.after(Freed(101.0)) == FREE


def test_a_grant_waits_for_the_other_door() -> None:
    """The relay stays off while the other door is open, and the time counts from its closing."""
    assert not WAITING.energised
    assert WAITING.deadline_s == 110.0
    assert WAITING.after(CLOSED) == Strike(StrikeState.RELEASED, 109.0)


@pytest.mark.parametrize("event", [TimePassed(110.0), OtherDoorChanged(open=False, now_s=110.0)])
def test_a_grant_that_waited_too_long_lapses(event: StrikeEvent) -> None:
    """Whoever was granted may have gone: a door that closes later opens for nobody."""
    lapsed = WAITING.after(event)

    assert lapsed.state is StrikeState.LOCKED
    assert not told(lapsed, OtherDoorChanged(open=False, now_s=111.0)).energised


def test_a_grant_without_patience_lapses_at_once() -> None:
    """With no time to wait, the other door that is open means no."""
    refused = LOBBY.after(Granted(100.0, 5.0))

    assert refused.deadline_s == 100.0
    assert refused.after(TimePassed(100.0)) == LOBBY


def test_a_second_grant_waits_along() -> None:
    """Both wait to the later end and get the longer release; a lapsed one adds nothing."""
    both = WAITING.after(Granted(103.0, 3.0, wait_s=10.0))
    late = WAITING.after(Granted(111.0, 3.0, wait_s=2.0))

    assert both.deadline_s == 113.0
    assert told(both, CLOSED).until_s == 109.0
    assert late.deadline_s == 113.0
    assert told(late, OtherDoorChanged(open=False, now_s=112.0)).until_s == 115.0


def test_the_way_out_waits_for_no_door() -> None:
    """The exit button releases at once, whatever the other door does, and ends the waiting."""
    assert LOBBY.after(ExitPressed(101.0, 5.0)).energised
    out = WAITING.after(ExitPressed(101.0, 5.0))

    assert out.energised
    assert out.deadline_s == 106.0
    assert not told(out, TimePassed(106.0), OtherDoorChanged(open=False, now_s=107.0)).energised


def test_staffed_hours_wait_for_no_door() -> None:
    """While staff are there both doors of the lobby may stand open, and nothing is left waiting."""
    assert told(WAITING, Freed(101.0)).energised
    assert told(WAITING, Freed(101.0), Unfreed(102.0)) == LOBBY


def test_a_release_is_not_taken_back_by_the_other_door() -> None:
    """Whoever has a hand on the door keeps the time; it is not prolonged by another grant."""
    released = told(Strike(), Granted(100.0, 5.0), OtherDoorChanged(open=True, now_s=101.0))

    assert released.energised
    assert released.after(Granted(104.0, 5.0)).until_s == 105.0
    assert released.after(ExitPressed(104.0, 5.0)).until_s == 109.0
    free = told(FREE, OtherDoorChanged(open=True, now_s=101.0))
    assert free.after(Granted(104.0, 5.0)) == free


def test_the_other_door_is_remembered_through_a_release() -> None:
    """Until it says that it is closed, the next grant has to wait again."""
    locked = told(LOBBY, ExitPressed(101.0, 5.0), TimePassed(106.0))

    assert locked.after(Granted(107.0, 5.0, wait_s=1.0)).state is StrikeState.WAITING
    assert locked.after(ShutDown()).other_open


def test_a_grant_at_the_end_of_a_release_waits_like_any_other() -> None:
    """Where the other door is open, one that comes before the end was told is not lost.

    Bug (stranger's review): a grant at the very end of a release was lost where a lobby's other
    door was open.
    """
    other = OtherDoorChanged(open=True, now_s=102.0)
    released = told(Strike(), Granted(100.0, 5.0), other)

    late = told(released, Granted(105.0, 5.0, wait_s=10.0))

    assert late.state is StrikeState.WAITING
    assert late.after(OtherDoorChanged(open=False, now_s=106.0)).energised
    assert told(released, Granted(104.0, 5.0, wait_s=10.0)) == released


def test_a_grant_that_waits_lapses_when_the_house_is_closed() -> None:
    """Whoever was granted before a lockdown gets in by no door that closes after it."""
    lapsed = WAITING.after(HouseClosed())

    assert lapsed == LOBBY
    assert not told(lapsed, OtherDoorChanged(open=False, now_s=104.0)).energised
    assert lapsed.after(Granted(103.0, 5.0, wait_s=10.0)).state is StrikeState.WAITING


def test_who_is_being_let_in_when_the_house_is_closed_keeps_the_time() -> None:
    """A hand may be on the door; and staffed hours end by their own word alone."""
    released = Strike().after(Granted(100.0, 5.0))

    assert released.after(HouseClosed()) == released
    assert FREE.after(HouseClosed()) == FREE
