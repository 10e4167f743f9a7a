"""When the strike has to be locked again, which bounds how long the loop may hang meanwhile."""

from __future__ import annotations

from dataclasses import replace

from tests.doord.doors import ALL_WIRED, RELEASE_S, Door
from tests.fakes.inputs import FakeInputs


def test_a_release_says_when_it_ends() -> None:
    """From the grant on, and nothing is said before and after."""
    door = Door(inputs=None)
    said = [door.doorway.relocks_s]
    door.doorway.let_in()
    ends_s = door.clock.monotonic_s() + RELEASE_S
    said.append(door.doorway.relocks_s)
    door.wait(60)
    said.append(door.doorway.relocks_s)

    assert said == [None, ends_s, None]


def test_a_door_that_stands_free_has_no_end() -> None:
    """Not even where somebody is let in meanwhile; once staff go, that release has its end."""
    door = Door(inputs=None)
    door.doorway.stand_free(free=True)
    door.doorway.let_in()
    said = [door.doorway.relocks_s]
    door.doorway.stand_free(free=False)
    said.append(door.doorway.relocks_s)

    assert said == [None, door.clock.monotonic_s() + RELEASE_S]


def test_a_grant_that_waits_is_no_release() -> None:
    """The lobby's other door stands open: the relay is off, and its end is not awaited."""
    door = Door(inputs=FakeInputs(standing=replace(ALL_WIRED, other_door_open=True)))
    door.doorway.let_in()

    assert not door.doorway.released
    assert door.doorway.relocks_s is None
