from __future__ import annotations

import fcntl
import os
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from doorctl.demo.door import Plug
from tests.e2e.conftest import Doors
from tests.e2e.door import until
from tests.e2e.people import ALSO_ENTITLED, ENTITLED


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


def test_swiped_before_start(doors: Doors) -> None:
    """A swipe and a PIN that waited in the kernel's buffers never open the door."""
    door = doors.made()
    door.reader.put_in()
    door.keypad.put_in()
    with listening(door.reader) as reader, listening(door.keypad) as keypad:
        door.reader.send(ENTITLED.swipe)
        door.keypad.send(ENTITLED.pin.encode())
        until(lambda: waiting(reader))
        until(lambda: waiting(keypad))
        door.start_door()

        assert waiting(reader) == waiting(keypad) == 0
    assert door.let_in(ALSO_ENTITLED)["attempt"] == 1
    assert [line["reason"] for line in door.said("decision")] == ["ok"]
    assert [edge.level for edge in door.edges(door.pid)] == [1, 0]
    assert len(door.rows()) == 1
