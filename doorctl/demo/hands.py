"""What somebody does at the drawn door: bytes on the real lines, one hand at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from doorctl.access.panel import Kind
from doorctl.demo.patrons import Role
from doorctl.demo.plug import Plug
from doorctl.demo.sight import Sight, Window
from doorctl.demo.stage import Stage

ASKED_LIMIT_S = 5.0
"""Longest wait for the door to ask for a PIN."""

KEY_S = 0.25
"""Between two keys that are typed for somebody: to be seen, and as fast as people are."""

DEAD_S = 2.0
"""So long a killed door stays dead, as in its unit: to be seen."""

PLUGS = ("reader", "keypad")
KEYS = frozenset("0123456789#*")


class Deed(Enum):
    """What came of it; the values are the page's own names of a notice."""

    DONE = "done"
    BUSY = "busy"
    UNPLUGGED = "unplugged"
    NOT_ASKED = "not_asked"


class Hands:
    """Acts at the door. Thread-safe; a deed that meets another one is refused, not queued.

    Args:
        stage: the door.
        window: shows what comes of it.
    """

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._turn = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Yield whether the door is ours for as long as this lasts; never wait."""
        taken = self._turn.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._turn.release()

    def swipe(self, data: bytes) -> Deed:
        """Pull a card through the reader."""
        with self.turn() as ours:
            return self._send(self._stage.reader, data) if ours else Deed.BUSY

    def swipe_and_type(self, role: Role) -> Deed:
        """Pull a card through the reader and type its PIN once the door asks for it."""
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            before = _attempt(self._window.sight)
            done = self._send(self._stage.reader, role.swipe)
            if done is Deed.DONE and not self._asked(before):
                return Deed.NOT_ASKED
            for key in role.pin if done is Deed.DONE else "":
                done = self._send(self._stage.keypad, key.encode())
                threading.Event().wait(KEY_S)
            return done

    def press(self, key: str) -> Deed:
        """Press one of :data:`KEYS`."""
        with self.turn() as ours:
            return self._send(self._stage.keypad, key.encode()) if ours else Deed.BUSY

    def plug(self, what: str, *, is_in: bool) -> Deed:
        """Pull the reader's or the keypad's plug, or put it in; nothing where it is so."""
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            self._move(what, is_in=is_in)
            return Deed.DONE

    def kill(self) -> Deed:
        """Kill the door's process and start it again, as systemd would; return when it is ready.

        Raises:
            NotAnsweringError: it does not come up again.
        """
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            self._stage.cut()
            self._window.dark()
            threading.Event().wait(DEAD_S)
            self._stage.start_door()
            return Deed.DONE

    def plug_in(self) -> None:
        """Put in what is out; for whoever has the turn."""
        for what in PLUGS:
            self._move(what, is_in=True)

    def _move(self, what: str, *, is_in: bool) -> None:
        plug = self._stage.reader if what == "reader" else self._stage.keypad
        if is_in and not plug.is_in:
            plug.put_in()
        elif not is_in:
            plug.pull()
        self._window.plugged(what, is_in)

    def _send(self, plug: Plug, data: bytes) -> Deed:
        if not plug.is_in:
            return Deed.UNPLUGGED
        plug.send(data)
        return Deed.DONE

    def _asked(self, before: int) -> bool:
        """Wait for the door to ask for the PIN of a later attempt, and tell whether it does."""
        news = threading.Event()
        with self._window.watched(news.set):
            for _ in range(round(ASKED_LIMIT_S / KEY_S)):
                sight = self._window.sight
                screen = sight.screen
                if screen is not None and screen.attempt > before and screen.kind is Kind.CARD_READ:
                    return True
                news.wait(KEY_S)
                news.clear()
        return False


def _attempt(sight: Sight) -> int:
    return 0 if sight.screen is None else sight.screen.attempt
