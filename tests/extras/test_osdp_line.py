"""An OSDP reader with its keypad keeps what every kind of line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from doorctl.devices.lines import Line, LineEvent
from doorctl.extras.osdp import OsdpTable
from doorctl.extras.osdp.device import OsdpReader
from doorctl.extras.osdp.keys import ReaderKey, ReaderKeys, write_keys
from tests.devices.line_contract import LineContract, Stage
from tests.fakes.event_log import FakeEventLog
from tests.fakes.osdp_peer import KEY, OsdpPeer, cable


class OsdpStage(Stage):
    """A real reader, at the end of a pseudo-terminal."""

    names = ("reader", "keypad")

    def __init__(self, directory: Path) -> None:
        self._port = directory / "osdp"
        self.where = str(self._port)
        self._key_file = directory / "reader.key"
        write_keys(self._key_file, ReaderKeys(ReaderKey(KEY)))
        self._plugged = ExitStack()
        self._peer: OsdpPeer | None = None
        super().__init__()

    def built(
        self,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> Line:
        """Return the device, for both of its lines."""
        table = OsdpTable(port=self.where, osdp_key_file=self._key_file)
        log = FakeEventLog()
        return OsdpReader(
            table, self.names, post=post, pending=pending, monotonic_s=monotonic_s, log=log
        )

    def plug(self) -> None:
        """Lay the cable, and switch the reader on."""
        self._peer = OsdpPeer(self._plugged.enter_context(cable(self._port)))
        self._plugged.callback(self._peer.stop)

    def unplug(self) -> None:
        """Take both away."""
        self._plugged.close()

    def read(self, number: str) -> None:
        """Swipe a card."""
        assert self._peer is not None, "read() before plug()"
        self._peer.swipe(number.encode())

    def press(self, keys: str) -> None:
        """Press keys."""
        assert self._peer is not None, "press() before plug()"
        self._peer.press(keys)


class TestOsdpLine(LineContract):
    """The contract."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        """A reader with keypad."""
        with closing(OsdpStage(tmp_path)) as stage:
            yield stage
