"""What a grant that waits keeps, and what ends in the first second after a boot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from doorctl.door.strike import ExitPressed, Granted, OtherDoorChanged, Strike, StrikeState

LOBBY = Strike(other_open=True)
CLOSED = OtherDoorChanged(open=False, now_s=104.0)


@pytest.mark.parametrize("event", [Granted(0.0, 0.5), ExitPressed(0.0, 0.5)])
def test_a_release_just_after_a_boot_is_no_longer_than_any(event: Granted | ExitPressed) -> None:
    """The monotonic clock may begin at nothing; the release counts from there."""
    assert Strike().after(event) == Strike(StrikeState.RELEASED, until_s=0.5)


def test_a_grant_that_waits_is_released_for_its_whole_time() -> None:
    """Counted from the moment at which the other door closed."""
    waiting = LOBBY.after(Granted(100.0, 5.0, wait_s=10.0))

    assert waiting == Strike(StrikeState.WAITING, 110.0, 5.0, other_open=True)
    assert waiting.after(CLOSED) == Strike(StrikeState.RELEASED, 109.0)


def test_a_second_grant_shortens_neither_the_wait_nor_the_release() -> None:
    """Whoever waits first keeps what they were promised, and gets more where the second does."""
    waiting = LOBBY.after(Granted(100.0, 5.0, wait_s=10.0))

    assert waiting.after(Granted(101.0, 3.0, wait_s=1.0)) == waiting
    longer = waiting.after(Granted(101.0, 8.0, wait_s=10.0))
    assert longer == replace(waiting, until_s=111.0, release_s=8.0)


def test_a_wait_that_is_over_gives_the_next_grant_nothing() -> None:
    """It waits for its own time, in the first second after a boot as at any other."""
    lapsed = LOBBY.after(Granted(0.0, 8.0, wait_s=0.25))

    again = lapsed.after(Granted(0.5, 5.0, wait_s=0.25))
    assert again == Strike(StrikeState.WAITING, 0.75, 5.0, other_open=True)
