"""The screen at the door: it is sent what it shows when that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from doorctl.access.attempt import Attempt
from doorctl.access.calendar import Calendar
from doorctl.access.day import Override
from doorctl.access.messages import Concluded
from doorctl.access.panel import Display, PanelRules, PanelState, Standing, notice_of, turned_away
from doorctl.config import Config
from doorctl.core.errors import StuckError
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.doord.events import EventQueue, PanelKeyPressed
from doorctl.rpc.control import Answers
from doorctl.rpc.door import PanelBoard, panel_answers


class Panel(Protocol):
    """The screen at the door, as the loop sees it. Never blocks, never raises."""

    def show(self, state: PanelState) -> None:
        """Show this from now on; a waiting page gets it as soon as it can."""


class Screen:
    """Show people at the door their state; on the loop's thread. No screen: `panel` is None."""

    def __init__(
        self,
        panel: Panel | None = None,
        display: Display = Display(),  # noqa: B008 - frozen
    ) -> None:
        self._panel = panel
        self._display = display
        self._shown: PanelState | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a screen; else nothing need be computed for it."""
        return self._panel is not None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`show` has to be called next, monotonic seconds; None for no deadline."""
        return self._display.deadline_s

    def hear_hours(self, calendar: Calendar | None, override: Override | None) -> None:
        """Switch to other hours."""
        self._display = self._display.heard(calendar, override)

    def reload(self, rules: PanelRules) -> None:
        """Switch to other rules."""
        self._display = replace(self._display, rules=rules, found_for=None)

    def ask(self) -> None:
        """Remove the message to the person before."""
        self._display = self._display.telling(None)

    def tell(self, concluded: Concluded, now_s: float) -> None:
        """Show how an attempt ended."""
        if self._panel is not None:
            notice = notice_of(concluded, self._display.rules, now_s)
            self._display = self._display.telling(notice)

    def turn_away(self, now_s: float) -> None:
        """Ask a person to wait for those who came before."""
        if self._panel is not None:
            self._display = self._display.telling(turned_away(self._display.rules, now_s))

    def show(
        self, attempt: Attempt, now_s: float, moment: Moment, standing: Standing, *, broken: bool
    ) -> None:
        """Show the current attempt's state; `broken` where no card can be read.

        `now_s` is monotonic; `moment` is the same time by the wall clock.
        """
        if self._panel is None:
            return
        self._display = self._display.at(now_s, moment, standing)
        state = self._display.state(attempt, broken=broken)
        if state != self._shown:
            self._shown = state
            self._panel.show(state)


# The door's end of the screen.

# The door's end of the screen.

MOST_PENDING = 32
"""With this many events waiting the door takes no key: it hangs, and a late key is a danger."""


class DoorsPanel:
    """The door's end of the screen: what it shows, and the keys that are pressed on it.

    `clock` gives each run another first number.
    """

    def __init__(self, config: Config, clock: Clock, event_queue: EventQueue) -> None:
        self._event_queue = event_queue
        self._rules = panel_rules(config)
        self.board = PanelBoard(round(clock.monotonic_s() * 1000) + 1)

    @property
    def display(self) -> Display:
        """The display before anything has happened."""
        return Display(self._rules)

    def answers(self) -> Answers:
        """Return the answers on the door's socket."""
        return panel_answers(self.board, self._press if self._rules.keys else None)

    def _press(self, key: str, attempt: int) -> None:
        if self._event_queue.qsize() >= MOST_PENDING:
            raise StuckError("the door does not keep up; press the key again")
        self._event_queue.put(PanelKeyPressed(key, attempt))


def panel_rules(config: Config) -> PanelRules:
    """Return how the screen behaves; it has keys only where no keypad is wired."""
    panel = config.panel
    return PanelRules(
        keys=panel.keypad and not config.keypad.port,
        codes=config.policy.code_entry,
        message_s=panel.message_s,
        countdown_min=max(panel.countdown_min, config.closing.no_entry_min),
    )
