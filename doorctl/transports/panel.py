"""The screen's state and its keys on their way between the two processes, over door's Unix socket.

The door keeps only what is shown now. A page that hangs, or none, costs it nothing: whoever looks
waits on a thread of the socket, and few may wait at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from doorctl.access.panel import Kind, PanelState
from doorctl.errors import InputError, StoreError
from doorctl.ports import PanelView
from doorctl.transports.control import Answer, Answers, Question, ask

LOOK_S: Final = 20.0
"""Longest wait for something new; shorter than any time-out on the way."""

MOST_WAITING: Final = 4
"""So many may wait; the one that has waited longest is answered when another comes."""

MARGIN_S: Final = 5.0
KEY_LIMIT_S: Final = 2.0
"""A key that was not taken by then is lost: whoever pressed it sees that nothing happened."""


class _After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: int


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key on its way; in memory only."""

    key: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#", "*"]
    attempt: int

    def __repr__(self) -> str:
        return "_Key(***)"


class PanelBoard:
    """What the screen shows, for whoever looks; implements `Panel`. Thread-safe.

    Args:
        first_seq: the number of the first view: another one after each start of the door, so that
            nobody takes the first view of this run for the last one of the run before.
        longest_s: longest wait of :meth:`look`.
    """

    def __init__(self, first_seq: int, longest_s: float = LOOK_S) -> None:
        self._changed = threading.Condition()
        self._view = PanelView(first_seq, PanelState(Kind.WORKING))
        self._longest_s = longest_s
        self._looks = 0

    def show(self, state: PanelState) -> None:
        """Show this from now on."""
        with self._changed:
            self._view = PanelView(self._view.seq + 1, state)
            self._changed.notify_all()

    def look(self, after: int) -> PanelView:
        """Return the view once its number is another than `after`, or when it was waited for."""
        with self._changed:
            self._looks += 1
            mine = self._looks
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._view.seq != after or self._looks - mine >= MOST_WAITING,
                self._longest_s,
            )
            return self._view


def panel_answers(board: PanelBoard, press: Callable[[str, int], None] | None) -> Answers:
    """Return what the door answers to the page.

    Args:
        board: what it shows.
        press: takes a key and its attempt; None where the screen has no keys.
    """

    def look(question: Question) -> Answer:
        view = board.look(msgspec.convert(question.about, _After).after)
        return {"seq": view.seq, "state": msgspec.to_builtins(view.state)}

    def key(question: Question) -> Answer:
        pressed = msgspec.convert(question.about, _Key)
        if press is None:
            raise InputError("the screen has no keys; see panel.keypad and keypad.port")
        press(pressed.key, pressed.attempt)
        return {}

    return {"panel": look, "key": key}


class PanelOverSocket:
    """Ask the door process; implements `PanelDoor`. Thread-safe.

    Args:
        path: door's socket.
        longest_s: longest wait for something new.
    """

    def __init__(self, path: Path, longest_s: float = LOOK_S) -> None:
        self._path = path
        self._limit_s = longest_s + MARGIN_S

    def look(self, after: int) -> PanelView:
        """Return what is shown as soon as its number is another, or after a while."""
        told = ask(self._path, Question("panel", {"after": after}), timeout_s=self._limit_s)
        try:
            return msgspec.convert(told, PanelView)
        except msgspec.ValidationError as err:
            raise StoreError("the door's answer about the screen can't be read") from err

    def press(self, key: str, attempt: int) -> None:
        """Press a key; it is kept nowhere."""
        try:
            about = msgspec.convert({"key": key, "attempt": attempt}, _Key)
        except msgspec.ValidationError:
            # Its text would quote what was typed.
            raise InputError("that is no key") from None
        question = Question("key", msgspec.to_builtins(about))
        ask(self._path, question, timeout_s=KEY_LIMIT_S)
