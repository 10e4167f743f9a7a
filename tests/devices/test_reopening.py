"""The waits between attempts to open a device, without a device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorctl.devices.serial_line import FIRST_WAIT_S, LONGEST_WAIT_S, LOOK_S, Node, Reopening

READER = Node("/dev/ttyUSB0", 0xBC00, 11, 1)
RENUMBERED = Node("/dev/ttyUSB1", 0xBC01, 12, 2)


def waits(reopening: Reopening, node: Node, attempts: int) -> list[float]:
    """Let every attempt fail; return the seconds before each of them."""
    found: list[float] = []
    waited = 0.0
    while len(found) < attempts:
        reopening = reopening.looked(node)
        if reopening.due:
            reopening = reopening.tried()
            found.append(waited)
            waited = 0.0
        waited += LOOK_S
    return found


def test_a_node_that_cannot_be_opened_is_tried_ever_more_rarely() -> None:
    """The waits double from 0.25 s and end at 5 s."""
    assert waits(Reopening(), READER, 8) == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.integers(min_value=1, max_value=12))
def test_another_node_is_tried_at_the_next_look(failures: int) -> None:
    """However long the wait has grown, a device plugged in anew does not inherit it."""
    reopening = Reopening()
    for _ in range(failures):
        reopening = reopening.looked(READER).tried()

    assert waits(reopening, RENUMBERED, 2) == [0.0, FIRST_WAIT_S]


def test_a_node_that_vanished_is_a_new_one_when_it_comes_back() -> None:
    """The same numbers after a gap are a re-plugged device."""
    reopening = Reopening()
    for _ in range(6):
        reopening = reopening.looked(READER).tried()
    reopening = reopening.looked(None)

    assert not reopening.due
    assert waits(reopening, READER, 2) == [0.0, FIRST_WAIT_S]


def test_a_device_that_spoke_has_no_failures() -> None:
    """After the first byte the next loss starts again from the shortest wait."""
    reopening = Reopening()
    for _ in range(6):
        reopening = reopening.looked(READER).tried()

    assert waits(reopening.worked(), READER, 3) == [0.0, 0.25, 0.5]


@given(st.lists(st.sampled_from([None, READER, RENUMBERED]), max_size=60))
def test_a_node_that_is_there_is_tried_within_the_longest_wait(seen: list[Node | None]) -> None:
    """Whatever the path led to before, a device that stays is tried again in at most 5 s."""
    reopening = Reopening()
    for node in seen:
        reopening = reopening.looked(node)
        reopening = reopening.tried() if reopening.due else reopening

    assert waits(reopening, READER, 1)[0] <= LONGEST_WAIT_S
