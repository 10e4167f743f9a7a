"""An OSDP reader with its keypad and its lamps: one thread, and a secure channel on one line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import ENOENT
from math import inf
from pathlib import Path
from select import select
from threading import Lock
from types import MappingProxyType

import osdp_sys
from serial import Serial

from doorctl.core.errors import DeviceError, KeyFileError
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.devices.line_thread import LineThread
from doorctl.devices.lines import LineEvent
from doorctl.devices.serial_line import FAILURES, WHAT_TO_CHECK, what_to_check
from doorctl.door.lamps import Lamps
from doorctl.extras.osdp.keys import MADE_BY, read_keys
from doorctl.extras.osdp.numbers import Number, card_text
from doorctl.extras.osdp.packets import Replies
from doorctl.extras.osdp.panel import Channel, Panel, PanelEvent, opened_line

READER, KEYPAD = "reader", "keypad"

POLL_S = 0.051
"""libosdp asks the reader again so soon after its answer."""

TURN_S = 0.05
"""Pause between two turns while an answer is awaited: libosdp counts to 0.2 and 0.8 s by itself."""

HANDSHAKE_S = 0.005
"""As short while the channel is being opened."""

PAUSE_S, LONGEST_PAUSE_S = 0.3, 3.0
"""Pause after the first try that failed, and after many: libosdp loses 128 bytes with each panel.
With two keys in the file another reader is still heard within 10 s."""

DARK_TURNS = 8
"""Most turns until the lamps are out when the door stops: each takes at most :data:`TURN_S`."""

SILENT_S = 1.2
"""libosdp asks an absent reader again each second. Where it has asked nothing for so long it has
given up, and would wait 300 s: a panel built anew hears a mended key or another reader at once."""

DEAF_S = 2.5
"""So long without an answer a reader is lost: three questions, and libosdp would ask nine."""

FLAW_S = 0.5
FLAWS = 3
"""A command after which the channel falls so soon, so often in succession, is not sent any more."""

CALM_S = 60.0
"""So long after the last forged packet the cable is taken to be untouched again."""

UNREADABLE = b"?"
"""Frame of a card whose bits are no number: `cards/identify.py` takes it for garbage."""

KEYS = bytes.maketrans(b"\x7f\r", b"*#")
"""The standard writes the two keys that are no digits as DEL and CR."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """Where the reader is, what it speaks with, and what its cards' bits are."""

    port: str
    baud: int
    address: int
    key_file: Path
    number: Number


class _LostError(Exception):
    """The channel is gone, and why; `answered` where the reader's own answers show it."""

    def __init__(self, why: str, *, answered: bool = False) -> None:
        super().__init__(why)
        self.answered = answered


class OsdpReader(LineThread):
    """A Line that serves ``reader``, and ``keypad`` if that is among `names`; and its Signals.

    Nothing is accepted but on the secure channel. A LineLost is posted for each loss, and another
    where the reader's answers then show a deeper cause, such as another key. The alarm
    ``reader_tampered`` stands while the housing is open, and for a minute after a forged packet.
    """

    missing = WHAT_TO_CHECK[ENOENT]
    monotonic_s: Callable[[], float]

    def __init__(
        self,
        wired: Wired,
        names: tuple[str, ...],
        *,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
        log: EventLog,
    ) -> None:
        self._wired, self.names, self.port = wired, names, wired.port
        self.post, self.pending, self.monotonic_s = post, pending, monotonic_s
        self._housing = AlarmOnce(log, "reader_tampered", "housing")
        self._cable = AlarmOnce(log, "reader_tampered", "cable")
        self._replies = Replies(wired.address)
        self._channel = Channel(self._replies, monotonic_s)
        self._panel: Panel | None = None
        self._tries = 0
        self._pause_s = PAUSE_S
        self._accepts = False
        self._polls = 0
        self._has_more = False
        self._forged_s = -inf
        self._wanted = Lamps()
        self._shown: Lamps | None = None
        self._lit_polls = -1
        self._asked: tuple[str, float] | None = None
        self._flaws: Counter[str] = Counter()
        self._waking = Lock()
        self._awake = -1
        self._prepare("osdp")

    def start(self) -> None:
        """Begin to look for the reader; call once."""
        self._awake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().start()

    def stop(self) -> None:
        """Let go of the line; nothing is posted afterwards. Idempotent, from any thread."""
        super().stop()
        with self._waking:
            if self._awake >= 0 and not self._thread.is_alive():
                os.close(self._awake)
                self._awake = -1

    def show(self, lamps: Lamps) -> None:
        """Have the reader's lamp and buzzer switched by its own thread, without a wait.

        What the reader does not have, and a reader that is lost, count as shown: its loss is an
        alarm of its own. Raises DeviceError: the reader breaks the channel off when told to.
        """
        self._wanted = lamps
        self._wake()
        if self._flaws["lamps"] >= FLAWS:
            raise DeviceError("the reader's lamps can't be switched: it breaks off when told to")

    def _wake(self) -> None:
        with self._waking:
            if self._awake >= 0:
                os.eventfd_write(self._awake, 1)

    def _use(self, *, fresh: bool) -> str | None:  # noqa: ARG002 - each channel drops what was held
        """Use the line until it is gone."""
        try:
            line = opened_line(self.port, self._wired.baud)
        except FAILURES as failure:
            return f"{self.port} {what_to_check(failure)}"
        try:
            with line:
                self._channel.use(line)
                self._flaws.clear()
                while not self._stopping.is_set():
                    self._try(line)
        except FAILURES:
            return f"{self.port} was unplugged or stopped answering; check the cable"
        finally:
            self._channel.use(None)
        return None

    def _try(self, line: Serial) -> None:
        """Have one secure channel, for as long as it stands."""
        try:
            self._talk(line, self._new_panel())
        except _LostError as lost:
            self._lose(str(lost), answered=lost.answered)
            self._stopping.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        finally:
            self._accepts = False
            self._panel = None

    def _new_panel(self) -> Panel:
        try:
            # Read anew each time: a key put right in this very file is used without a restart.
            keys = read_keys(self._wired.key_file).known
        except KeyFileError as error:
            raise _LostError(str(error), answered=True) from None
        # The next key is in the file before the reader has it: they are tried in turn.
        self._tries += 1
        key = keys[self._tries % len(keys)]
        # Late answers to a channel before would pass for forged ones.
        self._channel.flush()
        self._channel.heard_s = self._channel.sent_s = self.monotonic_s()
        self._panel = Panel(self._channel, self._wired.address, key, self._take_event)
        return self._panel

    def _talk(self, line: Serial, panel: Panel) -> None:
        was_up = False
        while not self._stopping.is_set():
            # Before what has come is read: after a standstill that is old, and nothing may count.
            if was_up and self.monotonic_s() - self._channel.heard_s >= DEAF_S:
                raise _LostError(f"{self._where} does not answer any more; check cable and power")
            panel.refresh()
            if self._channel.failure is not None:
                raise self._channel.failure
            now_s = self.monotonic_s()
            self._look_at_cable(now_s)
            if panel.is_up:
                if not was_up:
                    self._greet(panel)
                was_up = True
                self._serve(panel, now_s)
            elif was_up:
                self._note_flaw(now_s)
                raise _LostError(f"{self._where} ended its secure channel; was it restarted?")
            elif now_s - self._channel.sent_s >= SILENT_S:
                raise self._refused()
            elif not self._replies.seen and now_s - self._channel.heard_s >= DEAF_S:
                # Said now: libosdp goes on to ask for some seconds more.
                self._lose(str(self._refused()))
            self._wait(line, panel, now_s)
        self._darken(line, panel)

    @property
    def _where(self) -> str:
        return f"{self.port}: the reader at address {self._wired.address}"

    def _refused(self) -> _LostError:
        """Return why there is no channel, by what the reader has answered."""
        if not self._replies.seen:
            # Another reader may be wired next.
            self._flaws.clear()
            return _LostError(
                f"{self._where} does not answer; check cable (A and B), power, address and speed"
            )
        what = f"has another key than {self._wired.key_file}; give it this one: {MADE_BY}"
        if self._replies.lacks_security:
            what = "has no Secure Channel, without which nothing is believed; switch it on there"
        return _LostError(f"{self._where} {what}", answered=True)

    def _look_at_cable(self, now_s: float) -> None:
        if self._replies.forged:
            self._replies.forged = 0
            self._forged_s = now_s
            what = (
                "answered twice or in clear text: is a second one there, or somebody at the cable?"
            )
            self._cable.tell(f"{self._where} {what}")
            raise _LostError(f"{self._where} {what}", answered=True)
        if now_s - self._forged_s >= CALM_S:
            self._cable.tell(None)

    def _greet(self, panel: Panel) -> None:
        self._reopening = self._reopening.worked()
        self._polls = self._replies.polls
        self._shown, self._lit_polls = None, -1
        self._ask(panel, "status", ASK_STATUS)

    def _serve(self, panel: Panel, now_s: float) -> None:
        """Keep a channel that stands."""
        if not self._accepts and self._replies.polls > self._polls:
            self._polls = self._replies.polls
            self._accept_if_all_said()
        if self._asked is not None and now_s - self._asked[1] >= FLAW_S:
            self._flaws[self._asked[0]] = 0
            self._asked = None
        self._light(panel)

    def _accept_if_all_said(self) -> None:
        """Begin to listen once a poll has been answered with nothing.

        What the reader held back while nobody asked it comes first, an event with each poll, and is
        dropped: a swipe made while the door was away opens nothing.
        """
        self._accepts, self._has_more = not self._has_more, False
        if self._accepts:
            self._pause_s = PAUSE_S
            self._connected()

    def _light(self, panel: Panel) -> None:
        wanted, shown = self._wanted, self._shown
        # Once between two polls, or the reader's keys would wait for its lamps.
        if wanted == shown or self._replies.polls == self._lit_polls:
            return
        self._lit_polls = self._replies.polls
        was = None if shown is None else (shown.green, shown.red)
        commands = []
        if (wanted.green, wanted.red) != was and panel.is_able(osdp_sys.CAP_READER_LED_CONTROL):
            commands.append(lamp_command(wanted))
        sounds = shown is None or wanted.buzzer != shown.buzzer
        if sounds and panel.is_able(osdp_sys.CAP_READER_AUDIBLE_OUTPUT):
            commands.append(tone_command(wanted))
        asked = [self._ask(panel, "lamps", command) for command in commands]
        if all(asked):
            self._shown = wanted

    def _ask(self, panel: Panel, what: str, command: Mapping[str, object]) -> bool:
        """Have a command sent; False where libosdp has no room, and it is to be asked again."""
        if self._flaws[what] >= FLAWS:
            return True
        if not panel.submit(command):
            return False
        self._asked = what, self.monotonic_s()
        return True

    def _note_flaw(self, now_s: float) -> None:
        # A reader that answers NAK to a command: libosdp then gives the channel up.
        if self._asked is not None and now_s - self._asked[1] < FLAW_S:
            self._flaws[self._asked[0]] += 1
        self._asked = None

    def _darken(self, line: Serial, panel: Panel) -> None:
        """Leave no lamp on behind a door that has stopped."""
        self._accepts = False
        self._wanted = Lamps()
        for _ in range(DARK_TURNS):
            self._lit_polls = -1
            if panel.is_up:
                self._light(panel)
                panel.refresh()
                self._wait(line, panel, self.monotonic_s())

    def _wait(self, line: Serial, panel: Panel, now_s: float) -> None:
        """Wait until a byte comes, a lamp is to be switched, or libosdp has to be turned."""
        self._hold_back()
        limit_s = TURN_S
        if panel.has_queued:
            limit_s = 0.0
        elif not self._replies.awaits:
            due_s = self._channel.heard_s + (POLL_S if panel.is_up else HANDSHAKE_S)
            limit_s = min(max(due_s - now_s, 0.001), TURN_S)
        ready, _, _ = select((line.fileno(), self._awake), (), (), limit_s)
        if self._awake in ready:
            os.eventfd_read(self._awake)

    def _take_event(self, _reader: int, event: PanelEvent) -> None:
        try:
            if self._panel is not None and self._panel.is_up:
                self._take(event)
        finally:
            event.clear()

    def _take(self, event: PanelEvent) -> None:
        kind = event["event"]
        if kind == osdp_sys.EVENT_STATUS:
            if event["type"] == osdp_sys.STATUS_REPORT_LOCAL:
                is_open = event["report"][:1] not in (b"", b"\0")
                why = f"{self._where} was opened or taken off the wall" if is_open else None
                self._housing.tell(why)
            return
        self._has_more = True
        if not self._accepts:
            return
        if kind == osdp_sys.EVENT_CARDREAD:
            data = event["data"]
            text = card_text(data, event.get("length", 8 * len(data)), self._wired.number)
            self._heard(READER, (text or UNREADABLE) + b"\r")
        elif kind == osdp_sys.EVENT_KEYPRESS and KEYPAD in self.names:
            self._heard(KEYPAD, event["data"].translate(KEYS))
