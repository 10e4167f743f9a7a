"""The parts of a running demo: its programme, and the screen at the door."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from doorctl.access.panel import PanelState
from doorctl.config import Config
from doorctl.core.errors import (
    DoorctlError,
)
from doorctl.demo.door import Stage
from doorctl.demo.evening import (
    Player,
)
from doorctl.demo.hands import ActResult, Hands
from doorctl.demo.paper import Paper
from doorctl.demo.scenes import EVENING
from doorctl.demo.window import Window
from doorctl.rpc.panel import PanelOverSocket


class Programme:
    """Plays the evening, once at a time. Thread-safe; nobody else is at the door meanwhile."""

    def __init__(self, player: Player, hands: Hands, window: Window) -> None:
        self._player = player
        self._hands = hands
        self._window = window
        self._enough = threading.Event()
        self._thread = threading.Thread()

    def begin(self) -> ActResult:
        """Play it on a thread of its own."""
        if not self._hands.lock.acquire(blocking=False):
            return ActResult.BUSY
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()
        return ActResult.DONE

    def play(self) -> None:
        """Play it, and wait for its end; do nothing where somebody is at the door."""
        if self.begin() is ActResult.DONE:
            self._thread.join()

    def stop(self) -> None:
        """End the evening after the present scene; do not wait."""
        self._enough.set()

    def close(self) -> None:
        """End the evening and wait for its end, while the door is still there."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def _play(self) -> None:
        try:
            self._hands.plug_in()
            self._player.play(EVENING, self._enough)
        finally:
            # In this order: who sees that the evening has ended may do something at once.
            self._hands.lock.release()
            self._window.note(scene=None)


RETRY_S = 0.5
"""Pause between two questions to a door that does not answer."""


def follow_screen(socket: Path, window: Window, ended: threading.Event) -> None:
    """Show the screen at the door in the window, until `ended` is set and the door answers."""
    door, after = PanelOverSocket(socket), 0
    while not ended.is_set():
        state: PanelState | None = None
        try:
            view = door.look(after)
            after, state = view.seq, view.state
        except DoorctlError:
            after = 0
            ended.wait(RETRY_S)
        window.note(screen=state)


@dataclass(frozen=True, slots=True)
class House:
    """The parts of a running demo."""

    paper: Paper
    stage: Stage
    config: Config
    window: Window
    hands: Hands
    player: Player
    programme: Programme
