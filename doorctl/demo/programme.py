"""The evening as somebody asked for it: played in the terminal, watched on the page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from doorctl.demo.hands import Deed, Hands
from doorctl.demo.paper import Paper
from doorctl.demo.play import Doorway, Outcome, Pace, Player
from doorctl.demo.scenes import Scene
from doorctl.demo.sight import Window


class Programme:
    """Plays scenes, one evening at a time. Thread-safe.

    Args:
        door: where they are played.
        paper: where they are told.
        pace: how fast.
        hands: nobody else is at the door meanwhile.
        window: shows which scene it is.
    """

    def __init__(
        self, door: Doorway, paper: Paper, pace: Pace, hands: Hands, window: Window
    ) -> None:
        self._door = door
        self._paper = paper
        self._pace = pace
        self._hands = hands
        self._window = window
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def play(self, scenes: Sequence[Scene]) -> tuple[Outcome, ...] | None:
        """Play them and return how each ended; None where somebody is at the door."""
        return self._play(scenes, Future())

    def begin(self, scenes: Sequence[Scene]) -> Deed:
        """Play them on a thread of their own; return once it is known whether they are."""
        ours: Future[bool] = Future()
        thread = threading.Thread(target=self._play, args=(scenes, ours), daemon=True)
        thread.start()
        if not ours.result():
            return Deed.BUSY
        self._thread = thread
        return Deed.DONE

    def stop(self) -> None:
        """End the evening with the scene that is played; wait for nothing."""
        self._enough.set()

    def close(self) -> None:
        """End the evening and wait for it, while the door is still there."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _play(self, scenes: Sequence[Scene], begun: Future[bool]) -> tuple[Outcome, ...] | None:
        with self._hands.turn() as ours:
            if ours:
                self._enough = threading.Event()
                self._hands.plug_in()
            begun.set_result(ours)
            if not ours:
                return None
            pace = replace(self._pace, enough=self._enough)
            player = Player(self._door, self._paper, pace, self._follow)
            try:
                return player.play(scenes)
            finally:
                self._window.told(None, None)

    def _follow(self, scene: Scene) -> None:
        self._window.told(scene.title, scene.story)
