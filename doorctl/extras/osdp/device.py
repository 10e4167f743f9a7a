"""An OSDP reader with its keypad and its lamps: one thread, and a secure channel on one line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from errno import ENOENT
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

import osdp_sys

from doorctl.core.errors import DeviceError, KeyFileError
from doorctl.core.ports import AlarmOnce, EventLog
from doorctl.devices.line_thread import LineThread
from doorctl.devices.lines import KEYPAD, NO_NUMBER, READER, LineEvent
from doorctl.devices.serial_line import FAILURES, WHAT_TO_CHECK, what_to_check
from doorctl.door.lamps import Lamps
from doorctl.extras.osdp.keys import MADE_BY, read_keys
from doorctl.extras.osdp.numbers import card_text
from doorctl.extras.osdp.packets import Replies
from doorctl.extras.osdp.panel import Channel, Panel, PanelEvent, opened_line
from doorctl.extras.osdp.session import FLAWS, Session

if TYPE_CHECKING:
    from doorctl.extras.osdp import OsdpTable

POLL_S = 0.052
"""libosdp asks the reader again so soon after its answer: 50 ms, and two clocks of whole ones."""

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

CALM_S = 60.0
"""So long after the last forged packet the cable is taken to be untouched again."""

KEYS = bytes.maketrans(b"\x7f\r", b"*#")
"""The standard writes the two keys that are no digits as DEL and CR."""


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
        table: OsdpTable,
        names: tuple[str, ...],
        *,
        post: Callable[[LineEvent], None],
        pending: Callable[[], int],
        monotonic_s: Callable[[], float],
        log: EventLog,
    ) -> None:
        self._table, self.names, self.port = table, names, table.port
        self.post, self.pending, self.monotonic_s = post, pending, monotonic_s
        self._housing = AlarmOnce(log, "reader_tampered", "housing")
        self._cable = AlarmOnce(log, "reader_tampered", "cable")
        self._replies = Replies(table.osdp_address)
        self._channel = Channel(self._replies, monotonic_s)
        self._session: Session | None = None
        self._tries = 0
        self._pause_s = PAUSE_S
        self._forged_s = -inf
        self._wanted = Lamps()
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
            line = opened_line(self.port, self._table.baud)
        except FAILURES as failure:
            return f"{self.port} {what_to_check(failure)}"
        try:
            with line:
                self._channel.use(line)
                self._flaws.clear()
                while not self._stopping.is_set():
                    self._try()
        except FAILURES:
            return f"{self.port} was unplugged or stopped answering; check the cable"
        finally:
            self._channel.use(None)
        return None

    def _try(self) -> None:
        """Have one secure channel, for as long as it stands."""
        try:
            self._session = self._new_session()
            self._talk(self._session)
        except _LostError as lost:
            self._lose(str(lost), answered=lost.answered)
            self._stopping.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        finally:
            self._session = None

    def _new_session(self) -> Session:
        try:
            # Read anew each time: a key put right in this very file is used without a restart.
            keys = read_keys(self._table.osdp_key_file).known
        except KeyFileError as error:
            raise _LostError(str(error), answered=True) from None
        # The next key is in the file before the reader has it: they are tried in turn.
        self._tries += 1
        key = keys[self._tries % len(keys)]
        # Late answers to a channel before would pass for forged ones.
        self._channel.flush()
        self._channel.heard_s = self._channel.sent_s = self.monotonic_s()
        panel = Panel(self._channel, self._table.osdp_address, key, self._take_event)
        return Session(panel, self._replies, self._take, self._flaws)

    def _talk(self, session: Session) -> None:
        panel = session.panel
        while not self._stopping.is_set():
            # Before what has come is read: after a standstill that is old, and nothing may count.
            silent_s = self.monotonic_s() - self._channel.heard_s
            if session.has_stood and silent_s >= DEAF_S:
                raise _LostError(f"{self._where} does not answer any more; check cable and power")
            panel.refresh()
            if self._channel.failure is not None:
                raise self._channel.failure
            now_s = self.monotonic_s()
            self._look_at_cable(now_s)
            if panel.is_up:
                if session.serve(self._wanted, now_s):
                    self._pause_s = PAUSE_S
                    self._reopening = self._reopening.worked()
                    self._connected()
            elif session.has_stood:
                session.fell(now_s)
                raise _LostError(f"{self._where} ended its secure channel; was it restarted?")
            elif now_s - self._channel.sent_s >= SILENT_S:
                raise self._refused()
            elif not self._replies.seen and now_s - self._channel.heard_s >= DEAF_S:
                # Said now: libosdp goes on to ask for some seconds more.
                self._lose(str(self._refused()))
            self._wait(panel, now_s)
        self._darken(session)

    @property
    def _where(self) -> str:
        return f"{self.port}: the reader at address {self._table.osdp_address}"

    def _refused(self) -> _LostError:
        """Return why there is no channel, by what the reader has answered."""
        if not self._replies.seen:
            # Another reader may be wired next.
            self._flaws.clear()
            return _LostError(
                f"{self._where} does not answer; check cable (A and B), power, address and speed"
            )
        what = f"has another key than {self._table.osdp_key_file}; give it this one: {MADE_BY}"
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

    def _darken(self, session: Session) -> None:
        """Leave no lamp on behind a door that has stopped."""
        for _ in range(DARK_TURNS):
            if session.panel.is_up:
                now_s = self.monotonic_s()
                session.darken(now_s)
                session.panel.refresh()
                self._wait(session.panel, now_s)

    def _wait(self, panel: Panel, now_s: float) -> None:
        """Wait until a byte comes, a lamp is to be switched, or libosdp has to be turned."""
        self._hold_back()
        limit_s = TURN_S
        if panel.has_queued:
            limit_s = 0.0
        elif not self._replies.awaits:
            due_s = self._channel.heard_s + (POLL_S if panel.is_up else HANDSHAKE_S)
            limit_s = max(due_s - now_s, 0.001)
        if self._channel.wait(limit_s, self._awake):
            os.eventfd_read(self._awake)

    def _take_event(self, _reader: int, event: PanelEvent) -> None:
        try:
            if self._session is not None and self._session.panel.is_up:
                self._session.take(event)
        finally:
            event.clear()

    def _take(self, event: PanelEvent) -> None:
        kind = event["event"]
        if kind == osdp_sys.EVENT_STATUS and event["type"] == osdp_sys.STATUS_REPORT_LOCAL:
            is_open = event["report"][:1] not in (b"", b"\0")
            why = f"{self._where} was opened or taken off the wall" if is_open else None
            self._housing.tell(why)
        elif kind == osdp_sys.EVENT_CARDREAD:
            data = event["data"]
            text = card_text(data, event.get("length", 8 * len(data)), self._table.osdp_number)
            self._heard(READER, NO_NUMBER if text is None else text + b"\r")
        elif kind == osdp_sys.EVENT_KEYPRESS and KEYPAD in self.names:
            self._heard(KEYPAD, event["data"].translate(KEYS))
