"""What every kind of line keeps, held against a real device of that kind.

A kind's own test file has a :class:`Stage`, a device on a cable with the line that hears it, and::

    class TestUsbLine(LineContract):
        @pytest.fixture
        def stage(self, tmp_path: Path) -> Iterator[Stage]:
            with closing(UsbStage(tmp_path)) as stage:
                yield stage

The rules are then run against it. What only one kind can do has tests in that kind's own file.
"""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from doorctl.devices.lines import BytesReceived, Line, LineConnected, LineEvent, LineLost
from tests.fakes.waiting import LIMIT_S, until

CARD, OLD_CARD = "3000001234", "3000009999"

READ_S = 7.25
"""What the clock of a stage shows."""

SILENT_S = 0.6
"""How long nothing more must come: two looks at the device, and more than one turn of polling."""


class Inbox:
    """What a door's loop would do: take the events one by one."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[LineEvent] = queue.SimpleQueue()

    def take(self) -> LineEvent:
        """Return the next event."""
        return self.events.get(timeout=LIMIT_S)

    def bytes(self, count: int) -> tuple[str, bytes]:
        """Return the line and the next bytes of it, however they were cut."""
        names, data = set(), b""
        while len(data) < count:
            event = self.take()
            assert isinstance(event, BytesReceived), event
            assert event.read_s == READ_S, "each chunk has its time of reading"
            names.add(event.line)
            data += event.data
        (name,) = names
        return name, data


class Stage(ABC):
    """A device that is not plugged in yet, and its line, which is not started.

    `names` are the lines that the device posts to, `where` is what a person has to look for when it
    is lost. `line` is made once, by `built`.
    """

    names: tuple[str, ...] = ("reader",)
    where: str

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.line = self.built(self.inbox.events.put, self.inbox.events.qsize, lambda: READ_S)

    @abstractmethod
    def built(
        self,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> Line:
        """Return the line to the device; a device that comes long after the start is new."""

    @abstractmethod
    def plug(self) -> None:
        """Put the device in; it is switched on and ready."""

    @abstractmethod
    def unplug(self) -> None:
        """Pull it out; nothing happens if it is out."""

    @abstractmethod
    def read(self, number: str) -> None:
        """Let the reader read a card, or a keypad have these keys pressed if it is that alone."""

    def press(self, keys: str) -> None:
        """Press keys of the keypad, for a device with the line ``keypad``."""
        self.read(keys)

    def close(self) -> None:
        """End the line, and pull out the device."""
        self.line.stop()
        self.unplug()

    def is_heard(self, number: str = CARD) -> bool:
        """Let a card be read, and tell whether it and nothing else arrives."""
        self.read(number)
        text = number if self.names == ("keypad",) else f"{number}\r"
        return self.inbox.bytes(len(text)) == (self.names[0], text.encode())

    def connected(self) -> None:
        """Wait until each of the lines is, and see that nothing was heard before."""
        events = [self.inbox.take() for _ in self.names]
        assert {*map(repr, events)} == {repr(LineConnected(name)) for name in self.names}

    def lost(self) -> list[str]:
        """Wait until each of the lines is, see that nothing was heard before, and return why."""
        whys = {}
        for _ in self.names:
            event = self.inbox.take()
            assert isinstance(event, LineLost), event
            whys[event.line] = event.why
        assert whys.keys() == {*self.names}
        return [*whys.values()]

    def is_silent(self) -> bool:
        """Tell whether nothing comes for a while."""
        time.sleep(SILENT_S)
        return self.inbox.events.empty()

    def begin(self) -> None:
        """Plug in the device and start the line."""
        self.plug()
        self.line.start()
        self.connected()


def open_descriptors() -> int:
    """Count what this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class LineContract:
    """The rules; a kind's class has the fixture `stage`."""

    def test_it_is_connected_before_bytes_come(self, stage: Stage) -> None:
        """A device that is there is connected, then heard: one LineConnected for each line."""
        stage.begin()

        assert stage.is_heard()
        assert stage.is_heard("3000005678")
        assert stage.is_silent()

    def test_a_missing_device_is_lost_once_and_used_when_it_comes(self, stage: Stage) -> None:
        """One LineLost for each line says where to look, and the thread goes on looking."""
        stage.line.start()

        assert all(stage.where in why for why in stage.lost())
        assert stage.is_silent()
        assert stage.line.alive
        stage.plug()
        stage.connected()
        assert stage.is_heard()

    def test_each_of_several_losses_is_one_and_heals(self, stage: Stage) -> None:
        """Lost, connected, heard, in that order; no descriptor is left behind, no digit is told."""
        stage.begin()
        assert stage.is_heard()
        before = open_descriptors()
        for _ in range(3):
            stage.unplug()
            assert not any(CARD in why for why in stage.lost())
            stage.plug()
            stage.connected()
            assert stage.is_heard()

        assert until(lambda: open_descriptors() <= before)
        assert stage.is_silent()

    def test_what_was_read_while_the_door_was_away_is_dropped(self, stage: Stage) -> None:
        """A card that waits in a buffer at the start never opens; the first one afterwards does."""
        stage.plug()
        stage.read(OLD_CARD)
        stage.line.start()
        stage.connected()

        assert stage.is_silent()
        assert stage.is_heard()

    def test_nothing_is_posted_after_a_stop(self, stage: Stage) -> None:
        """The device is let go of, whatever it says then; stopping twice is fine."""
        before = open_descriptors()
        stage.begin()
        running = stage.line.alive

        stage.line.stop()
        stage.line.stop()

        assert (running, stage.line.alive) == (True, False)
        stage.read(CARD)
        stage.unplug()
        assert stage.is_silent()
        assert until(lambda: open_descriptors() <= before)

    def test_a_stop_ends_the_search_for_a_device(self, stage: Stage) -> None:
        """A process ends although nothing was ever plugged in."""
        stage.line.start()
        stage.lost()

        stage.line.stop()

        assert not stage.line.alive
        stage.plug()
        assert stage.is_silent()

    def test_each_key_is_one_byte(self, stage: Stage) -> None:
        """Digits, ``*`` and ``#`` come on the line ``keypad`` as they are, in their order."""
        if "keypad" not in stage.names:
            pytest.skip("it has no keypad")
        keys = "0123456789*#"
        stage.begin()
        for key in keys:
            stage.press(key)

        assert stage.inbox.bytes(len(keys)) == ("keypad", keys.encode())

    def test_events_do_not_show_what_was_read(self, stage: Stage) -> None:
        """No card gets into a log or an assertion's message."""
        stage.begin()
        stage.read(CARD)

        event = stage.inbox.take()
        assert isinstance(event, BytesReceived)
        assert event.data.decode() not in repr(event)
