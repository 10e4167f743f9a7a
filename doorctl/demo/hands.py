"""What a visitor of the demo can do at the door: swipe, press, pull a plug, kill the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from doorctl.core.errors import NotAnsweringError
from doorctl.demo.door import Plug, Stage
from doorctl.demo.patrons import Role
from doorctl.demo.window import Window

PROMPT_LIMIT_S = 20.0
"""Longest wait for the door to ask for a PIN."""

KEY_S = 0.25
"""Between two keys that the demo types: visible, and as fast as people type."""

DEAD_S = 2.0
"""How long a killed door stays dead, as in its unit: to be seen."""

PLUGS = ("reader", "keypad")

KEYS = frozenset("0123456789#*")


class ActResult(Enum):
    """How an act at the door ended; the values are the page's own names of a notice."""

    DONE = "done"
    BUSY = "busy"
    UNPLUGGED = "unplugged"
    NOT_ASKED = "not_asked"


class Hands:
    """Acts at the door. Thread-safe; an act during another one is refused, not queued.

    Who has taken `lock` has the door; it may be released from another thread.
    """

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self.lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Take the door for the block if it is free, and yield whether it was; never wait."""
        ours = self.lock.acquire(blocking=False)
        try:
            yield ours
        finally:
            if ours:
                self.lock.release()

    def swipe(self, data: bytes) -> ActResult:
        """Pull a card through the reader."""
        return self._alone(lambda: self._send(self._stage.reader, data))

    def swipe_and_type(self, role: Role) -> ActResult:
        """Pull a card through the reader and type its PIN once the door asks for it."""
        return self._alone(lambda: self._swipe_and_type(role))

    def press(self, key: str) -> ActResult:
        """Press one of :data:`KEYS`."""
        return self._alone(lambda: self._send(self._stage.keypad, key.encode()))

    def plug(self, what: str, *, is_in: bool) -> ActResult:
        """Pull the reader's or the keypad's plug, or put it in; no change if it is so already."""
        return self._alone(lambda: self._move(what, is_in=is_in))

    def kill(self) -> ActResult:
        """Kill the door's process and start it again, as systemd would.

        Return when it is ready; NotAnsweringError if it does not start again.
        """
        return self._alone(self._kill)

    def plug_in(self) -> None:
        """Plug in all that is out; only for the caller who has the turn."""
        for what in PLUGS:
            self._move(what, is_in=True)

    def _alone(self, act: Callable[[], ActResult]) -> ActResult:
        with self.turn() as ours:
            return act() if ours else ActResult.BUSY

    def _swipe_and_type(self, role: Role) -> ActResult:
        if (done := self._send(self._stage.reader, role.swipe)) is not ActResult.DONE:
            return done
        try:
            self._stage.wait_for_attempt(timeout_s=PROMPT_LIMIT_S)
        except NotAnsweringError:
            return ActResult.NOT_ASKED
        for key in role.pin:
            done = self._send(self._stage.keypad, key.encode())
            threading.Event().wait(KEY_S)
        return done

    def _kill(self) -> ActResult:
        self._stage.cut()
        # The kernel releases its pins, and all is off.
        self._window.note(lit=frozenset())
        threading.Event().wait(DEAD_S)
        self._stage.start_door()
        return ActResult.DONE

    def _move(self, what: str, *, is_in: bool) -> ActResult:
        plug = self._stage.reader if what == "reader" else self._stage.keypad
        if is_in:
            plug.put_in()
        else:
            plug.pull()
        return ActResult.DONE

    def _send(self, plug: Plug, data: bytes) -> ActResult:
        if not plug.is_in:
            return ActResult.UNPLUGGED
        plug.send(data)
        return ActResult.DONE
