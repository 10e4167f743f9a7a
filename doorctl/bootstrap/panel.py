"""The screen at the door: the door's end of it, and the page's in the web process."""

from __future__ import annotations

from doorctl.access.panel import PanelRules
from doorctl.access.panel_display import Display
from doorctl.config import Config
from doorctl.errors import StuckError
from doorctl.mailbox import Mailbox, PanelKeyPressed
from doorctl.ports import Clock
from doorctl.transports.control import Answers
from doorctl.transports.panel import PanelBoard, panel_answers

MOST_PENDING = 32
"""With so many events waiting the door takes no key: it hangs, and a key that waits is a danger."""


class DoorsPanel:
    """The door's end: what is shown, and the keys that are pressed on the screen.

    Args:
        config: the whole configuration.
        clock: gives each run another first number.
        mailbox: takes the keys.
    """

    def __init__(self, config: Config, clock: Clock, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._rules = panel_rules(config)
        self.board = PanelBoard(round(clock.monotonic_s() * 1000) + 1)

    @property
    def display(self) -> Display:
        """What stands before anything happened."""
        return Display(self._rules)

    def answers(self) -> Answers:
        """Return what can be asked on the socket."""
        return panel_answers(self.board, self._press if self._rules.keys else None)

    def _press(self, key: str, attempt: int) -> None:
        if self._mailbox.qsize() >= MOST_PENDING:
            raise StuckError("the door does not keep up; press the key again")
        self._mailbox.put(PanelKeyPressed(key, attempt))


def panel_rules(config: Config) -> PanelRules:
    """Return how the screen behaves; it has keys only where no keypad is wired."""
    panel = config.panel
    return PanelRules(
        keys=panel.keypad and not config.keypad.port,
        codes=config.policy.code_entry,
        message_s=panel.message_s,
        countdown_min=max(panel.countdown_min, config.closing.no_entry_min),
    )
