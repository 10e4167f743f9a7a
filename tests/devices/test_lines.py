"""Serial lines, of a reader and of a keypad, keep what every kind of line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from doorctl.demo.door import Plug
from doorctl.devices.lines import Line, LineEvent
from doorctl.devices.serial_line import SerialLine
from tests.devices.line_contract import LineContract, Stage


class SerialStage(Stage):
    """A device on a pseudo-terminal."""

    def __init__(self, directory: Path, name: str) -> None:
        self.names = (name,)
        self._plug = Plug(directory / name)
        self.where = str(self._plug.name)
        super().__init__()

    def built(
        self,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> Line:
        """Return a serial line."""
        (name,) = self.names
        return SerialLine(name, self.where, 9600, post, pending, monotonic_s=monotonic_s)

    def plug(self) -> None:
        """Make the node."""
        self._plug.put_in()

    def unplug(self) -> None:
        """Take the node away."""
        self._plug.pull()

    def read(self, number: str) -> None:
        """Send what a reader or a keypad sends."""
        end = "" if self.names == ("keypad",) else "\r"
        self._plug.send(f"{number}{end}".encode())


class TestSerialLine(LineContract):
    """The contract."""

    @pytest.fixture(params=["reader", "keypad"])
    def stage(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
        """A line of that name."""
        with closing(SerialStage(tmp_path, request.param)) as stage:
            yield stage
