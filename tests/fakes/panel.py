"""The screen at the door: one that remembers what it showed, and a door that a page looks at."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from doorctl.access.panel import AGAIN, HELP_KEYS, Kind, PanelState, PanelView
from doorctl.cards.keys import KEYS
from doorctl.core.errors import InputError, NotAnsweringError
from doorctl.rpc.panel import PanelOverSocket

AT_FIRST: Final = PanelState(Kind.WORKING)


@dataclass
class FakePanel:
    """Every state that was shown, in order."""

    shown: list[PanelState] = field(default_factory=list)

    def show(self, state: PanelState) -> None:
        """Remember a state."""
        self.shown.append(state)


class FakePanelDoor(PanelOverSocket):
    """A door without a process: what a test lets it show it shows.

    `longest_s`: longest wait for something new.
    """

    def __init__(self, longest_s: float = 20.0) -> None:
        self.pressed: list[tuple[str, int]] = []
        self.away = False
        self._longest_s = longest_s
        self._view = PanelView(1, AT_FIRST)
        self._changed = threading.Condition()

    def show(self, state: PanelState) -> None:
        """Show this from now on."""
        with self._changed:
            self._view = PanelView(self._view.seq + 1, state)
            self._changed.notify_all()

    def go_away(self) -> None:
        """Answer nobody any more."""
        with self._changed:
            self.away = True
            self._changed.notify_all()

    def come_back(self) -> None:
        """Answer again."""
        self.away = False

    def look(self, after: int) -> PanelView:
        """Return what is shown as soon as its number is another, or after a while."""
        with self._changed:
            self._changed.wait_for(lambda: self.away or self._view.seq != after, self._longest_s)
            self._refuse_away()
            return self._view

    def press(self, key: str, attempt: int) -> None:
        """Remember a key, which no other door does."""
        self._refuse_away()
        if key not in {AGAIN, *HELP_KEYS} and (len(key) != 1 or ord(key) not in KEYS):
            raise InputError("that is no key")
        self.pressed.append((key, attempt))

    def _refuse_away(self) -> None:
        if self.away:
            raise NotAnsweringError("the door process does not answer")
