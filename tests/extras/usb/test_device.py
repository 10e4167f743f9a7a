"""The device's thread on FIFOs: opened, drained, lost, back, stopped; and what is refused."""

from __future__ import annotations

import errno
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.core.errors import DeviceError
from doorctl.devices.line_thread import STOP_S
from doorctl.devices.lines import (
    MOST_PENDING,
    BytesReceived,
    Line,
    LineConnected,
    LineEvent,
    LineLost,
)
from doorctl.extras.usb.device import EVIOCGBIT_KEY, EVIOCGNAME, EVIOCGRAB, InputLine, open_keyboard
from doorctl.extras.usb.layouts import LAYOUTS
from tests.devices.line_contract import LineContract, Stage, open_descriptors
from tests.fakes.keyboard import KeyboardPlug, built, record, records, typed
from tests.fakes.waiting import LIMIT_S

KEYBOARD_NAME = "usb-SYNTHETIC_Scanner_0001-event-kbd"

CARD = b"3000001234\r"


def opened(path: str) -> int:
    """Open a FIFO as a keyboard that was found to be one and grabbed."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        raise DeviceError(str(failure)) from failure


class UsbStage(Stage):
    """A scanner or a keypad on a FIFO."""

    def __init__(self, directory: Path, name: str) -> None:
        self.names = (name,)
        self._plug = KeyboardPlug(directory / KEYBOARD_NAME)
        self.where = str(self._plug.name)
        super().__init__()

    def built(
        self,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> Line:
        """Return a line of USB."""
        (name,) = self.names
        return InputLine(
            name,
            self.where,
            LAYOUTS["danish"],
            post,
            pending,
            is_keypad=name == "keypad",
            monotonic_s=monotonic_s,
            opened=opened,
        )

    def plug(self) -> None:
        """Make the node."""
        self._plug.put_in()

    def unplug(self) -> None:
        """Take the node away."""
        self._plug.pull()

    def read(self, number: str) -> None:
        """Type what a scanner or a keypad types."""
        end = "" if self.names == ("keypad",) else "\r"
        self._plug.send(f"{number}{end}".encode())


class TestUsbLine(LineContract):
    """What every kind of line keeps."""

    @pytest.fixture(params=["reader", "keypad"])
    def stage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
        """A line of that name."""
        with closing(UsbStage(tmp_path, request.param)) as stage:
            yield stage


class Desk:
    """A plug, a line to it, and the events of the line; `waiting` stands for the loop's backlog."""

    def __init__(self, directory: Path) -> None:
        self.plug = KeyboardPlug(directory / KEYBOARD_NAME)
        self.events: queue.SimpleQueue[LineEvent] = queue.SimpleQueue()
        self.waiting = 0
        self.lines: list[InputLine] = []

    def line(
        self,
        *,
        is_keypad: bool = False,
        fresh_s: float = 0.0,
        monotonic_s: Callable[[], float | None] = lambda: None,
        opened: Callable[[str], int] = opened,
    ) -> InputLine:
        """Return a line that was started."""
        line = InputLine(
            "reader",
            str(self.plug.name),
            LAYOUTS["danish"],
            self.events.put,
            lambda: self.waiting,
            is_keypad=is_keypad,
            fresh_s=fresh_s,
            monotonic_s=monotonic_s,
            opened=opened,
        )
        self.lines.append(line)
        line.start()
        return line

    def take(self) -> LineEvent:
        """Return the next event."""
        return self.events.get(timeout=LIMIT_S)

    def is_heard(self, data: bytes = CARD) -> bool:
        """Type it, and tell whether that is the next event."""
        self.plug.send(data)
        return self.take() == BytesReceived("reader", data)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a plug that is out."""
    desk = Desk(tmp_path)
    yield desk
    for line in desk.lines:
        line.stop()
    desk.plug.pull()


@pytest.fixture
def connected(desk: Desk) -> InputLine:
    """Return a scanner's line that is connected."""
    desk.plug.put_in()
    line = desk.line()
    assert desk.take() == LineConnected("reader")
    return line


@pytest.mark.usefixtures("connected")
def test_a_card_is_one_event(desk: Desk) -> None:
    """Whole and with its Enter, card after card."""
    assert desk.is_heard()
    assert desk.is_heard(b"3000009999\r")


@pytest.mark.usefixtures("connected")
def test_a_scanner_without_an_end_is_heard(desk: Desk) -> None:
    """Once it is quiet."""
    assert desk.is_heard(b"3000001234")


def test_a_keypads_key_is_posted_at_once(desk: Desk) -> None:
    """Without Enter, and with the time at which it was read."""
    times = iter([7.25, 8.5])
    desk.plug.put_in()
    desk.line(is_keypad=True, monotonic_s=lambda: next(times))
    assert desk.take() == LineConnected("reader")
    for key, at_s in ((b"4", 7.25), (b"7", 8.5)):
        desk.plug.send(key)
        assert desk.take() == BytesReceived("reader", key, at_s)


@pytest.mark.usefixtures("connected")
def test_records_may_come_in_pieces(desk: Desk) -> None:
    """A FIFO cuts anywhere; the kernel does not."""
    data = records(typed("3000001234\r"))
    for start in range(0, len(data), 7):
        desk.plug.write(data[start : start + 7])

    assert desk.take() == BytesReceived("reader", CARD)


def test_what_was_typed_while_the_daemon_was_away_is_dropped(desk: Desk) -> None:
    """Also where the end of it comes while the device is opened."""
    desk.plug.put_in(b"3000009999\r30000")
    desk.line()

    assert desk.take() == LineConnected("reader")
    assert desk.is_heard()


def test_a_device_that_was_plugged_in_is_heard_from_its_first_key_on(desk: Desk) -> None:
    """Whoever scans before the node is open again gets in."""
    desk.line(fresh_s=LIMIT_S)
    for _ in range(3):
        assert isinstance(desk.take(), LineLost)
        desk.plug.put_in(CARD)
        assert desk.take() == LineConnected("reader")
        assert desk.take() == BytesReceived("reader", CARD)
        desk.plug.pull()


def test_a_missing_device_is_told_once_and_used_when_it_comes(desk: Desk) -> None:
    """One LineLost that names the port and what to check."""
    desk.line()
    lost = desk.take()
    assert isinstance(lost, LineLost)
    assert str(desk.plug.name) in lost.why
    assert "check the cable, and the name with: ls /dev/input/by-id" in lost.why
    time.sleep(0.6)
    assert desk.events.empty()
    desk.plug.put_in()
    assert desk.take() == LineConnected("reader")


@pytest.mark.usefixtures("connected")
def test_each_of_several_unplugs_heals(desk: Desk) -> None:
    """One LineLost for each loss; what was half typed is dropped and no descriptor is left."""
    before = open_descriptors()
    for _ in range(4):
        desk.plug.send(b"30000")
        desk.plug.pull()
        lost = desk.take()
        assert isinstance(lost, LineLost)
        assert lost.why.endswith("was unplugged or stopped answering; check the cable")
        desk.plug.put_in()
        assert desk.take() == LineConnected("reader")
        assert desk.is_heard()

    assert open_descriptors() == before
    assert desk.events.empty()


def test_a_device_that_answers_with_an_error_is_lost(desk: Desk) -> None:
    """As one whose cable is pulled: the kernel says that it can be read, and then that it can't."""
    desk.plug.put_in()
    answers = iter((False, True))

    def failing(path: str) -> int:
        if next(answers):
            return opened(path)
        ours, theirs = os.openpty()
        os.close(ours)
        return theirs

    desk.line(opened=failing)

    assert isinstance(desk.take(), LineLost)
    assert desk.take() == LineConnected("reader")
    assert desk.is_heard()


def test_what_cannot_be_opened_is_told_once_and_tried_again(desk: Desk) -> None:
    """In the words of whoever opens; nobody has to restart the daemon."""
    desk.plug.put_in()
    tries: list[str] = []

    def grudging(path: str) -> int:
        tries.append(path)
        if len(tries) < 3:
            raise DeviceError("it is a mouse")
        return opened(path)

    desk.line(opened=grudging)

    assert desk.take() == LineLost("reader", "it is a mouse")
    assert desk.take() == LineConnected("reader")
    assert desk.is_heard()
    assert tries == [str(desk.plug.name)] * 3


@pytest.mark.usefixtures("connected")
def test_lost_keys_are_dropped_up_to_the_next_enter(desk: Desk) -> None:
    """What the kernel could not keep makes no card of two halves."""
    desk.plug.send(b"30000")
    desk.plug.press([(0, 3, 0)])

    desk.plug.send(b"01234\r")
    assert desk.is_heard(b"3000005555\r")


def test_nothing_is_read_while_too_much_waits(desk: Desk) -> None:
    """The kernel keeps a few keys and says that it lost the rest; nothing grows here."""
    desk.waiting = MOST_PENDING + 1
    desk.plug.put_in()
    desk.line()
    assert desk.take() == LineConnected("reader")
    desk.plug.send(CARD)
    time.sleep(0.2)
    assert desk.events.empty()
    desk.waiting = 0

    assert desk.take() == BytesReceived("reader", CARD)


def test_stop_ends_a_line_in_every_state(desk: Desk) -> None:
    """Missing, reading and behind a backlog, from any thread and twice; nothing is posted then."""
    missing = desk.line()
    assert isinstance(desk.take(), LineLost)
    desk.plug.put_in()
    assert desk.take() == LineConnected("reader")
    desk.plug.send(b"30000")
    began_s = time.monotonic()
    for _ in range(2):
        stopper = threading.Thread(target=missing.stop)
        stopper.start()
        stopper.join(LIMIT_S)
    took_s = time.monotonic() - began_s

    assert not missing.alive
    assert took_s < STOP_S, "a blocked read was woken, not waited for"
    desk.plug.send(b"1\r")
    time.sleep(0.3)
    assert desk.events.empty()


def test_a_line_that_never_began_can_be_stopped(desk: Desk) -> None:
    """So a start that fails half-way ends as any other."""
    line = InputLine(
        "reader", "/nowhere", LAYOUTS["us"], desk.events.put, lambda: 0, is_keypad=False
    )
    line.stop()

    assert not line.alive
    assert desk.events.empty()


# What is a keyboard: asked of a process that takes FIFOs for input devices.

ASKED = """
import sys
from doorctl.core.errors import DeviceError
from doorctl.extras.usb.device import open_keyboard
held = []
for path in sys.argv[1:]:
    try:
        held.append(open_keyboard(path))
        print("opened")
    except DeviceError as refused:
        print(refused)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what answers for the kernel."""
    return built(tmp_path_factory.mktemp("input"))


def test_what_is_no_keyboard_with_digits_is_refused(library: Path, tmp_path: Path) -> None:
    """One line for each, which says what it is, by its own name, and what to name instead."""
    names = ("scanner", "mouse", "gamepad", "headset", "telephone", "scanner", "nothing", "file")
    paths = [tmp_path / name for name in names]
    plugs = [KeyboardPlug(path) for path in paths[:5]]
    for plug in plugs:
        plug.put_in()
    paths[-1].touch()
    done = subprocess.run(
        [sys.executable, "-c", ASKED, *paths],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    for plug in plugs:
        plug.pull()
    instead = "name a scanner or keypad of /dev/input/by-id"

    assert done.stdout.replace(f"{tmp_path}/", "").splitlines() == [
        "opened",
        f"mouse is a mouse (Synthetic mouse); {instead}",
        f"gamepad is a gamepad (Synthetic gamepad); {instead}",
        f"headset has no keys for ten digits (Synthetic headset); {instead}",
        "opened",
        "scanner is in use; find the other program with: fuser",
        "nothing is not there; check the cable, and the name with: ls /dev/input/by-id",
        f"file can't be read as a keyboard; {instead}, which ends in event-kbd",
    ]


def test_without_the_right_to_it_the_group_or_the_unit_is_named(tmp_path: Path) -> None:
    """And a pipe, which answers nothing about keys, is none and leaves no descriptor."""
    before = open_descriptors()
    plug = KeyboardPlug(tmp_path / "pipe")
    plug.put_in()
    with pytest.raises(DeviceError, match="can't be read as a keyboard"):
        open_keyboard(str(plug.name))
    plug.pull()

    assert open_descriptors() == before


def test_the_requests_are_the_kernels() -> None:
    """As linux/input.h makes them on ARM and x86."""
    assert EVIOCGRAB == 0x40044590
    assert EVIOCGNAME == 0x80504506
    assert EVIOCGBIT_KEY == 0x80604521
    assert errno.ENODEV == 19
    assert record(1, 30, 1, 1.5)[:16] == (1).to_bytes(8, "little") + (500000).to_bytes(8, "little")
