"""The screen at the door, between the door and the web process: what it shows, and its keys.

The door keeps only what is shown now. A page that hangs, or none, costs it nothing: each page waits
on a thread of the socket, and few may wait at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Condition
from typing import Final

import msgspec

from doorctl.access.panel import Kind, PanelState, PanelView
from doorctl.core.ports import Unshown
from doorctl.rpc.question import Answers, Empty, Question

LOOK_S: Final = 20.0
"""Longest wait for something new; shorter than any time-out on the way."""

MOST_WAITING: Final = 4
"""So many pages may wait; the one that has waited longest is answered when another comes."""

MARGIN_S: Final = 5.0
KEY_LIMIT_S: Final = 2.0
"""A key that was not taken by then is lost: the patron sees that nothing happened."""


class _After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: int


class _Key(Unshown, frozen=True):
    """A key on its way; in memory only."""

    key: str
    attempt: int


class PanelBoard:
    """What the screen shows, for every page that asks; implements `Panel`. Thread-safe.

    `first_seq`, the number of the first view, differs after each start of the door, so that nobody
    takes the first view of this run for the last one of the run before.
    """

    def __init__(self, first_seq: int, longest_s: float = LOOK_S) -> None:
        self._changed = Condition()
        self._view = PanelView(first_seq, PanelState(Kind.WORKING))
        self._longest_s = longest_s
        self._looks = 0

    def show(self, state: PanelState) -> None:
        """Show this from now on."""
        with self._changed:
            self._view = PanelView(self._view.seq + 1, state)
            self._changed.notify_all()

    def look(self, after: int) -> PanelView:
        """Return the view once its number is not `after`, or once the longest wait is over."""
        with self._changed:
            self._looks += 1
            mine = self._looks
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._view.seq != after or self._looks - mine >= MOST_WAITING,
                self._longest_s,
            )
            return self._view


PANEL = Question("panel", _After, PanelView, "door", limit_s=LOOK_S + MARGIN_S)
KEY = Question("key", _Key, Empty, "door", limit_s=KEY_LIMIT_S)


def panel_answers(board: PanelBoard, press: Callable[[str, int], None]) -> Answers:
    """Return the door's answers to the page."""

    def key(pressed: _Key) -> Empty:
        press(pressed.key, pressed.attempt)
        return Empty()

    return {**PANEL.answered(lambda look: board.look(look.after)), **KEY.answered(key)}


class PanelOverSocket:
    """The door, as the screen's page sees it; `longest_s` limits a look. Thread-safe.

    Raises NotAnsweringError: the door doesn't run, or it gave no answer in time. StoreError: it
    answered that it could not do it.
    """

    def __init__(self, path: Path, longest_s: float = LOOK_S) -> None:
        self._path = path
        self._limit_s = longest_s + MARGIN_S

    def look(self, after: int) -> PanelView:
        """Return the view as soon as its number is not `after`, 0 for none, or after a while."""
        return PANEL.ask(self._path, _After(after), timeout_s=self._limit_s)

    def press(self, key: str, attempt: int) -> None:
        """Press a key of the screen; it is stored nowhere, and void for any attempt but this one.

        Raises InputError: the screen has no such key.
        """
        KEY.ask(self._path, _Key(key, attempt))
