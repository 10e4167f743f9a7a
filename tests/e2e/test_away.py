from __future__ import annotations

import fcntl
import os
import struct
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from doorctl.demo.door import Plug
from tests.e2e.conftest import Doors
from tests.e2e.door import UNHEARD_S, Door, until
from tests.e2e.people import ALSO_ENTITLED, ENTITLED, STOLEN


@contextmanager
def listening(plug: Plug) -> Iterator[int]:
    """Hold a device open as the kernel does for a reader that is plugged in; yields its fd."""
    descriptor = os.open(plug.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def waiting(descriptor: int) -> int:
    """Return how many bytes lie in the kernel's buffer."""
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    count: int = struct.unpack("i", answer)[0]
    return count


@pytest.mark.parametrize("with_keypad", [True, False], ids=["own line", "shared line"])
def test_swiped_before_start(doors: Doors, *, with_keypad: bool) -> None:
    """A swipe and a PIN that waited in the kernel's buffers never open the door."""
    door = doors.made(with_keypad=with_keypad)
    door.reader.put_in()
    if with_keypad:
        door.keypad.put_in()
    with listening(door.reader) as reader, listening(door.keypad) as keypad:
        door.reader.send(ENTITLED.swipe)
        door.keypad.send(ENTITLED.pin.encode())
        until(lambda: waiting(reader))
        until(lambda: waiting(keypad))
        door.start_door()

        assert waiting(reader) == waiting(keypad) == 0
    assert_next_is_the_first(door)


def test_swiped_while_the_reader_was_away(doors: Doors) -> None:
    """A reader that comes back with a swipe in its buffer does not open the door with it."""
    door = doors.started()
    door.reader.pull()
    door.wait_for("reader", state="lost")

    buffered = Plug(door.directory / "buffered")
    buffered.put_in()
    with listening(buffered) as reader:
        buffered.send(ENTITLED.swipe)
        until(lambda: waiting(reader))
        buffered.name.rename(door.reader.name)
        door.wait_for("reader", state="connected")
        assert waiting(reader) == 0
    door.press(ENTITLED.pin)
    # Two lines have no order between them: the keys must be heard before the next card.
    time.sleep(UNHEARD_S)
    buffered.send(STOLEN.swipe)
    attempt = until(lambda: max(door.open_attempts(), default=0))
    door.press(STOLEN.pin)

    assert door.wait_for("decision")["attempt"] == attempt == 1
    assert door.edges(door.pid) == []
    door.reader.name.unlink()
    buffered.pull()


def test_reader_absent_at_start(doors: Doors) -> None:
    """A door whose devices are missing starts, says so, and works once they are there."""
    door = doors.made()
    door.start_door()
    assert {line["state"] for line in door.said("reader") + door.said("keypad")} == {"lost"}

    door.reader.put_in()
    door.keypad.put_in()
    door.wait_for("reader", state="connected")
    if len(door.said("keypad")) == 1:
        door.wait_for("keypad", state="connected")

    door.let_in(ENTITLED)


def assert_next_is_the_first(door: Door) -> None:
    """Let somebody in and assert that nothing was decided before."""
    assert door.let_in(ALSO_ENTITLED)["attempt"] == 1
    assert [line["reason"] for line in door.said("decision")] == ["ok"]
    assert [edge.level for edge in door.edges(door.pid)] == [1, 0]
    assert len(door.rows()) == 1
