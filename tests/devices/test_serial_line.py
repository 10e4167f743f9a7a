"""The serial line on real pseudo-terminals."""

from __future__ import annotations

import os
import queue
import termios
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial import Serial, SerialException

from doorctl.devices.line_thread import FIRST_WAIT_S, LOOK_S, Node, Reopening
from doorctl.devices.lines import MOST_PENDING, BytesReceived, LineConnected, LineEvent, LineLost
from doorctl.devices.serial_line import CHUNK_BYTES, DRAIN_QUIET_S, SerialLine
from tests.fakes.waiting import LIMIT_S

READER_NAME = "usb-QEMU_QEMU_USB_SERIAL_1-0000:00:04.0-1-if00-port0"
"""What udev calls the first port of an emulated FTDI adapter."""


@dataclass
class FakeSerialPort:
    """A reader or keypad on a cable; call `unplug` in the end.

    `directory`: stands for ``/dev/serial/by-id``; `name`: the device's link in it.
    """

    directory: Path
    name: str = READER_NAME
    _master: int | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """What goes into ``reader.port``."""
        return str(self.directory / self.name)

    def plug(self) -> None:
        """Make a new device node and then point the by-id link at it, as udev does."""
        self._master, slave = os.openpty()
        tty.setraw(slave)
        Path(self.path).symlink_to(os.ttyname(slave))
        os.close(slave)

    def send(self, data: bytes) -> None:
        """Let the device say something; all of it, however long that takes."""
        assert self._master is not None, "send() on an unplugged device"
        while data:
            data = data[os.write(self._master, data) :]

    def unplug(self) -> None:
        """Pull the cable: the node goes, then its link. Harmless when not plugged in."""
        if self._master is not None:
            os.close(self._master)
            Path(self.path).unlink()
            self._master = None


SWIPE = b";3000001234?\r"


class Inbox:
    """What a controller would do: take the events of a line one by one."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[LineEvent] = queue.SimpleQueue()

    def take(self) -> LineEvent:
        """Return the next event."""
        return self.events.get(timeout=LIMIT_S)

    def bytes(self, count: int) -> bytes:
        """Return the next bytes, however they were cut."""
        data = b""
        while len(data) < count:
            event = self.take()
            assert isinstance(event, BytesReceived)
            assert len(event.data) <= CHUNK_BYTES, "one event takes the loop no time"
            data += event.data
        return data


@pytest.fixture
def port(tmp_path: Path) -> Iterator[FakeSerialPort]:
    """A device with a by-id name, not yet plugged in."""
    port = FakeSerialPort(tmp_path)
    yield port
    port.unplug()


@pytest.fixture
def inbox() -> Inbox:
    """Nothing has happened yet."""
    return Inbox()


@pytest.fixture
def line(port: FakeSerialPort, inbox: Inbox) -> Iterator[SerialLine]:
    """A line to that device, not yet started."""
    put, size = inbox.events.put, inbox.events.qsize
    line = SerialLine("reader", port.path, 9600, put, size, fresh_s=LIMIT_S)
    yield line
    line.stop()


@pytest.fixture
def connected(port: FakeSerialPort, line: SerialLine, inbox: Inbox) -> SerialLine:
    """The line, connected to its device."""
    port.plug()
    line.start()
    assert inbox.take() == LineConnected("reader")
    return line


def test_each_chunk_has_its_time_of_reading(port: FakeSerialPort, inbox: Inbox) -> None:
    """By the clock that is given; without one nobody has noted it."""
    put, size, times = inbox.events.put, inbox.events.qsize, iter([7.25, 8.5])
    line = SerialLine(
        "reader", port.path, 9600, put, size, fresh_s=LIMIT_S, monotonic_s=lambda: next(times)
    )
    port.plug()
    line.start()
    assert inbox.take() == LineConnected("reader")
    for at_s in (7.25, 8.5):
        port.send(b"x")
        assert inbox.take() == BytesReceived("reader", b"x", at_s)
    line.stop()


def is_heard(port: FakeSerialPort, inbox: Inbox) -> bool:
    """Swipe, and tell whether that is all that arrives."""
    port.send(SWIPE)
    return inbox.bytes(len(SWIPE)) == SWIPE


def open_descriptors() -> int:
    """Count what this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("connected")
def test_bytes_arrive_after_the_line_is_connected(port: FakeSerialPort, inbox: Inbox) -> None:
    """A device that is there gives LineConnected, then its bytes unchanged, raw."""
    everything = bytes(range(256))
    port.send(everything)
    assert inbox.bytes(256) == everything


def test_what_was_swiped_while_the_daemon_was_away_is_dropped(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """Bytes in the buffer at the start never arrive; those after LineConnected do."""
    port.plug()
    port.send(b";3000009999?\r")
    line.start()

    assert inbox.take() == LineConnected("reader")
    assert is_heard(port, inbox)


def test_a_device_that_was_plugged_in_is_heard_from_its_first_byte_on(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """Whoever swipes before the line is open again gets in.

    Bug (operations review): after a reader was plugged in again a swipe went unheard while the
    opened line was drained.
    """
    line.start()
    for _ in range(3):
        assert isinstance(inbox.take(), LineLost)
        port.plug()
        port.send(SWIPE)
        assert inbox.take() == LineConnected("reader")
        assert inbox.bytes(len(SWIPE)) == SWIPE
        port.unplug()


def test_a_device_that_is_opened_long_after_it_came_is_drained(
    port: FakeSerialPort, inbox: Inbox
) -> None:
    """Where nobody looked meanwhile, as in a process that was stopped, it may be old after all."""
    put, size = inbox.events.put, inbox.events.qsize
    line = SerialLine("reader", port.path, 9600, put, size, fresh_s=0.0)
    line.start()
    assert isinstance(inbox.take(), LineLost)
    port.plug()
    port.send(b";3000009999?\r")
    assert inbox.take() == LineConnected("reader")
    assert is_heard(port, inbox)
    line.stop()


def test_bytes_that_trickle_in_while_the_line_is_opened_are_dropped(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """The line counts as connected only once it has been silent."""
    port.plug()
    spoke_s, longest_s = time.monotonic(), 0.0
    line.start()
    for _ in range(10):
        speaks_s = time.monotonic()
        port.send(b"9")
        longest_s, spoke_s = max(longest_s, time.monotonic() - spoke_s), speaks_s
        time.sleep(0.01)
        connected_while_talking = not inbox.events.empty()
        if time.monotonic() - spoke_s > DRAIN_QUIET_S or longest_s > DRAIN_QUIET_S:
            pytest.skip("this machine is too busy to talk without a pause")
        assert not connected_while_talking

    assert inbox.take() == LineConnected("reader")
    assert is_heard(port, inbox)


def test_a_device_that_never_stops_talking_is_let_in(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """The wait for silence has an end."""
    port.plug()
    line.start()
    limit_s = time.monotonic() + LIMIT_S
    while inbox.events.empty():
        assert time.monotonic() < limit_s
        port.send(b"9")
        time.sleep(0.005)

    assert inbox.take() == LineConnected("reader")


def test_a_missing_device_is_reported_once_and_used_when_it_comes(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """One LineLost that names the port and what to check; LineConnected as soon as it is there."""
    line.start()

    lost = inbox.take()
    assert isinstance(lost, LineLost)
    assert port.path in lost.why
    assert "check the cable" in lost.why
    time.sleep(0.6)
    assert inbox.events.empty()
    port.plug()
    assert inbox.take() == LineConnected("reader")


@pytest.mark.usefixtures("connected")
def test_each_of_several_unplugs_heals(port: FakeSerialPort, inbox: Inbox) -> None:
    """Once the by-id link is there again the next swipe works; no descriptor is left behind."""
    before = open_descriptors()
    for _ in range(5):
        port.unplug()
        assert isinstance(inbox.take(), LineLost)
        port.plug()
        assert inbox.take() == LineConnected("reader")
        assert is_heard(port, inbox)

    assert open_descriptors() == before
    assert inbox.events.empty()


def test_a_lost_device_is_closed_before_it_is_reported(port: FakeSerialPort) -> None:
    """A node that is still held open when the device returns would get another number."""
    before = open_descriptors()
    held: queue.SimpleQueue[int] = queue.SimpleQueue()

    def post(event: LineEvent) -> None:
        if isinstance(event, LineLost):
            held.put(open_descriptors())
        else:
            port.unplug()

    port.plug()
    line = SerialLine("reader", port.path, 9600, post, lambda: 0)
    line.start()

    assert held.get(timeout=LIMIT_S) == before
    line.stop()


def test_a_device_renumbered_between_two_looks_is_found(
    port: FakeSerialPort, connected: SerialLine, inbox: Inbox, tmp_path: Path
) -> None:
    """The by-id name may lead to another node from one moment to the next."""
    elsewhere = FakeSerialPort(tmp_path, "ttyUSB7")
    elsewhere.plug()
    port.unplug()
    Path(port.path).symlink_to(elsewhere.path)

    assert isinstance(inbox.take(), LineLost)
    assert inbox.take() == LineConnected("reader")
    assert is_heard(elsewhere, inbox)
    connected.stop()
    elsewhere.unplug()


@pytest.mark.usefixtures("connected")
def test_nobody_else_can_open_the_line(port: FakeSerialPort) -> None:
    """A second program that reads the port would steal half of each swipe."""
    with pytest.raises(SerialException):
        Serial(port.path, exclusive=True)


def test_a_busy_device_is_reported_and_taken_when_it_is_free(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox
) -> None:
    """The text says that another program holds it; nobody has to restart the daemon."""
    port.plug()
    with Serial(port.path, exclusive=True):
        line.start()
        lost = inbox.take()
    assert isinstance(lost, LineLost)
    assert lost.why == f"{port.path} is in use; find the other program with: fuser"

    assert inbox.take() == LineConnected("reader")


def test_a_path_that_is_no_serial_line_is_reported(tmp_path: Path, inbox: Inbox) -> None:
    """An ordinary file behind `reader.port` gives one clear reason, no traceback."""
    path = tmp_path / "notes.txt"
    path.write_text("not a tty")
    line = SerialLine("reader", str(path), 9600, inbox.events.put, inbox.events.qsize)
    line.start()
    lost = inbox.take()
    line.stop()

    assert lost == LineLost(
        "reader", f"{path} can't be opened as a serial line; check the port, its speed and its bits"
    )


def test_the_bits_of_a_character_reach_the_kernel(port: FakeSerialPort, inbox: Inbox) -> None:
    """A pseudo-terminal can have two stop bits, and refuses the parity that it hasn't got."""
    port.plug()
    line = SerialLine("reader", port.path, 9600, inbox.events.put, inbox.events.qsize, bits="8N2")
    line.start()
    assert inbox.take() == LineConnected("reader")
    with open(port.path, "rb") as terminal:  # noqa: PTH123 - its settings are asked for
        assert termios.tcgetattr(terminal)[2] & termios.CSTOPB
    line.stop()

    line = SerialLine("reader", port.path, 9600, inbox.events.put, inbox.events.qsize, bits="7E1")
    line.start()
    lost = inbox.take()
    line.stop()
    assert isinstance(lost, LineLost)


def test_a_flood_waits_in_the_kernel(port: FakeSerialPort) -> None:
    """While the controller is behind, nothing more is read; afterwards every byte arrives."""
    inbox = Inbox()
    behind = threading.Event()
    behind.set()
    line = SerialLine(
        "reader",
        port.path,
        9600,
        inbox.events.put,
        lambda: MOST_PENDING + 1 if behind.is_set() else 0,
    )
    port.plug()
    line.start()
    assert inbox.take() == LineConnected("reader")
    flood = SWIPE * 80_000
    sender = threading.Thread(target=port.send, args=(flood,), daemon=True)
    sender.start()
    time.sleep(0.2)
    assert inbox.events.empty()

    behind.clear()
    assert inbox.bytes(len(flood)) == flood
    sender.join()
    line.stop()


@pytest.mark.parametrize("plugged", [True, False])
def test_stop_ends_a_thread_that_waits(
    port: FakeSerialPort, line: SerialLine, inbox: Inbox, *, plugged: bool
) -> None:
    """Blocked in a read or waiting for a device: stop() ends it, closes the port, twice is fine."""
    before = open_descriptors()
    if plugged:
        port.plug()
    line.start()
    inbox.take()
    running = line.alive

    line.stop()
    line.stop()
    assert (running, line.alive) == (True, False)
    port.unplug()
    assert open_descriptors() == before
    assert inbox.events.empty()


def test_events_do_not_show_the_bytes() -> None:
    """A swipe can't get into a log or an assertion's message."""
    assert "3000001234" not in repr(BytesReceived("reader", SWIPE))


# The waits between attempts to open a device, without a device.


READER: Node = ("/dev/ttyUSB0", 0xBC00, 11, 1)
RENUMBERED: Node = ("/dev/ttyUSB1", 0xBC01, 12, 2)


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
    """However long the wait has grown, a device plugged in anew does not inherit it.

    The same numbers after a gap are a re-plugged device; one that spoke has no failures.
    """
    reopening = Reopening()
    for _ in range(failures):
        reopening = reopening.looked(READER).tried()
    vanished = reopening.looked(None)

    assert waits(reopening, RENUMBERED, 2) == [0.0, FIRST_WAIT_S]
    assert not vanished.due
    assert waits(vanished, READER, 2) == [0.0, FIRST_WAIT_S]
    assert waits(reopening.worked(), READER, 3) == [0.0, 0.25, 0.5]
