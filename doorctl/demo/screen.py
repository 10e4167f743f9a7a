"""The screen at the door, asked for as the web process asks for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from doorctl.access.panel import PanelState
from doorctl.demo.sight import Window
from doorctl.errors import DoorctlError
from doorctl.transports.panel import PanelOverSocket

RETRY_S = 0.5
"""Between two questions to a door that does not answer."""


class Screen:
    """Follows the screen on a thread of its own.

    Args:
        socket: door's.
        window: shows it.
    """

    def __init__(self, socket: Path, window: Window) -> None:
        self._door = PanelOverSocket(socket)
        self._window = window
        self._ended = threading.Event()

    def start(self) -> None:
        """Follow it from now on."""
        threading.Thread(target=self._follow, name="screen", daemon=True).start()

    def stop(self) -> None:
        """Ask no more; the door answers the last question when it ends."""
        self._ended.set()

    def _follow(self) -> None:
        after = 0
        while not self._ended.is_set():
            state: PanelState | None = None
            try:
                view = self._door.look(after)
                after, state = view.seq, view.state
            except DoorctlError:
                after = 0
                self._ended.wait(RETRY_S)
            self._show(state)

    def _show(self, state: PanelState | None) -> None:
        self._window.change(lambda sight: replace(sight, screen=state))
