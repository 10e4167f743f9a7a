"""One secure channel that stands: when the reader begins to count, and its lamps and buzzer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

import osdp_sys

from doorctl.door.lamps import Lamps
from doorctl.extras.osdp.packets import Replies
from doorctl.extras.osdp.panel import Panel, PanelEvent

FLAW_S = 0.5
FLAWS = 3
"""A command after which the channel falls so soon, so often in succession, is not sent any more."""

ASK_STATUS: Mapping[str, object] = MappingProxyType(
    {"command": osdp_sys.CMD_STATUS, "type": osdp_sys.STATUS_REPORT_LOCAL}
)

TONE, NO_TONE = 2, 1
LONGEST_TONE = 100
"""In units of 0.1 s: longer than any tone of `door/lamps.py`, and it ends though the door dies."""

COLOURS = MappingProxyType(
    {
        (False, False): osdp_sys.LED_COLOR_NONE,
        (True, False): osdp_sys.LED_COLOR_GREEN,
        (False, True): osdp_sys.LED_COLOR_RED,
        (True, True): osdp_sys.LED_COLOR_AMBER,
    }
)
"""Green lamp and red lamp -> the colour of the reader's one."""


def lamp_command(lamps: Lamps) -> dict[str, object]:
    """Return the command that lights the reader's lamp."""
    colour = COLOURS[lamps.green, lamps.red]
    return {
        "command": osdp_sys.CMD_LED,
        "reader": 0,
        "led_number": 0,
        "temporary": False,
        "control_code": 1,
        "on_count": 1,
        "off_count": 0,
        "on_color": colour,
        "off_color": colour,
    }


def tone_command(lamps: Lamps) -> dict[str, object]:
    """Return the command that starts the reader's buzzer, or silences it."""
    return {
        "command": osdp_sys.CMD_BUZZER,
        "reader": 0,
        "control_code": TONE if lamps.buzzer else NO_TONE,
        "on_count": LONGEST_TONE if lamps.buzzer else 0,
        "off_count": 0,
        "rep_count": 1,
    }


class Session:
    """What is known of one channel; there is a new one for each. One thread.

    Args:
        panel: whose events go to :meth:`take`.
        heard: takes each event that counts.
        flaws: command -> how often in succession the channel fell after it, in sessions before too.

    Attributes:
        has_stood: whether the channel stood once.
        accepts: whether what comes of it counts.
    """

    def __init__(
        self,
        panel: Panel,
        replies: Replies,
        heard: Callable[[PanelEvent], None],
        flaws: Counter[str],
    ) -> None:
        self.panel = panel
        self.has_stood = self.accepts = False
        self._replies, self._heard, self._flaws = replies, heard, flaws
        self._polls = 0
        self._has_more = False
        self._shown: Lamps | None = None
        self._lit_polls = -1
        self._last_command: tuple[str, float] | None = None

    def take(self, event: PanelEvent) -> None:
        """Take what the panel heard; a card or a key counts only where this session accepts it."""
        if event["event"] != osdp_sys.EVENT_STATUS:
            self._has_more = True
            if not self.accepts:
                return
        self._heard(event)

    def serve(self, wanted: Lamps, now_s: float) -> bool:
        """Keep a channel that stands; return whether what comes counts from now on."""
        if not self.has_stood:
            self.has_stood = True
            self._polls = self._replies.polls
            self._submit("status", ASK_STATUS, now_s)
        begins = not self.accepts and self._has_said_all()
        if self._last_command is not None and now_s - self._last_command[1] >= FLAW_S:
            self._flaws[self._last_command[0]] = 0
            self._last_command = None
        self._light(wanted, now_s)
        return begins

    def _has_said_all(self) -> bool:
        """Begin to listen once a poll has been answered with nothing.

        What the reader held back while nothing asked it comes first, an event with each poll, and
        is dropped: a swipe made while the door was away opens nothing.
        """
        if self._replies.polls > self._polls:
            self._polls = self._replies.polls
            self.accepts, self._has_more = not self._has_more, False
        return self.accepts

    def _light(self, wanted: Lamps, now_s: float) -> None:
        shown = self._shown
        # Once between two polls, or the reader's keys would wait for its lamps.
        if wanted == shown or self._replies.polls == self._lit_polls:
            return
        self._lit_polls = self._replies.polls
        was = None if shown is None else (shown.green, shown.red)
        commands = []
        able = self.panel.is_able
        if (wanted.green, wanted.red) != was and able(osdp_sys.CAP_READER_LED_CONTROL):
            commands.append(lamp_command(wanted))
        sounds = shown is None or wanted.buzzer != shown.buzzer
        if sounds and able(osdp_sys.CAP_READER_AUDIBLE_OUTPUT):
            commands.append(tone_command(wanted))
        taken = [self._submit("lamps", command, now_s) for command in commands]
        if all(taken):
            self._shown = wanted

    def _submit(self, what: str, command: Mapping[str, object], now_s: float) -> bool:
        """Have a command sent; False where libosdp has no room, and it is to be tried again."""
        if self._flaws[what] >= FLAWS:
            return True
        if not self.panel.submit(command):
            return False
        self._last_command = what, now_s
        return True

    def darken(self, now_s: float) -> None:
        """Accept nothing any more, and put the lamps out, whenever the last poll was."""
        self.accepts = False
        self._lit_polls = -1
        self._light(Lamps(), now_s)

    def fell(self, now_s: float) -> None:
        """Note that the channel is gone: a reader that answers NAK to a command ends it so."""
        if self._last_command is not None and now_s - self._last_command[1] < FLAW_S:
            self._flaws[self._last_command[0]] += 1
