"""The reader is given its key, or the next one, over a line that nothing else uses.

The key file always holds the key with which the reader answers: the next one is in it, behind the
present one, before the reader hears of it, and the present one goes out of it once the reader has
answered with the next.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Pause
from typing import Any, TypeVar

from osdp import Command, ControlPanel, Event, EventNotification, LibFlag, LogLevel, PDInfo
from serial import Serial
from serial.serialutil import Timeout

from doorctl.core.errors import DeviceError
from doorctl.core.identity import as_root, owner_of
from doorctl.devices.serial_line import FAILURES
from doorctl.extras.osdp.keys import (
    MADE_BY,
    ReaderKey,
    ReaderKeys,
    new_key,
    read_keys,
    write_keys,
)
from doorctl.extras.osdp.panel import seed_randomness

ANSWER_S = 2.0
"""Longest wait for a secure channel; at 9600 bits a second one is there after half a second."""

TRIES = 3
"""How often one is tried: a disturbed byte spoils it, and libosdp would wait 300 s."""

TURN_S = 0.005
"""Pause between two turns of libosdp, which never blocks."""

SECURE, BY_DEFAULT, ENDED, ONLINE, OFFLINE = "secure", "by SCBK-D", "ended", "online", "offline"
"""What libosdp says of a reader: a channel by our key, one by SCBK-D, its end; on line, or not."""

GIVEN, THERE = "the reader answers with a new key", "the reader answers with its key already"

DoneT = TypeVar("DoneT")

SET_UP_MODE = (
    "if it is new or was reset, put it into its set-up mode, as its manual says, and run "
    f"`{MADE_BY}`"
)


def give_key(file: Path, port: str, baud: int, address: int, *, installing: bool) -> str:
    """Give the reader a key that the file holds from before on; return how it went.

    A reader that answers with its present key is sent the next one over that channel, unless it is
    `installing`: then it has its key. One that does not answer so is sent a key only if it is
    `installing`, over a channel by SCBK-D, which a reader takes in its set-up mode alone. Stopped
    anywhere, the same call goes on.

    Raises DeviceError: the line is in use, no reader answers, or it does not take the key; the file
    then holds all with which it may answer. KeyFileError: the file can't be read or written.
    """
    if installing and not _is_there(file):
        # Before the line is opened: the door's unit starts without a reader, but not without this.
        write_keys(file, ReaderKeys(None, new_key()))
    keys = read_keys(file)
    with opened_line(port, baud, address) as line:
        coming = keys.coming
        if coming is None or not line.answers(coming):
            present = keys.present
            if present is not None and not line.answers(present):
                present = None
            if present is not None and installing and coming is None:
                return THERE
            if not line.heard:
                raise line.failure("")
            coming = _handed_next(line, file, keys, present, installing=installing)
        write_keys(file, ReaderKeys(coming))
    return GIVEN


def _is_there(file: Path) -> bool:
    with owner_of(file.parent):
        return file.exists()


def _handed_next(
    line: KeyingLine, file: Path, keys: ReaderKeys, present: ReaderKey | None, *, installing: bool
) -> ReaderKey:
    """Send the reader its next key and return it, once it has answered with that."""
    if present is None and not installing:
        raise line.failure(f"does not answer with the key of {file}; {SET_UP_MODE}")
    coming = keys.coming or new_key()
    write_keys(file, ReaderKeys(keys.present, coming))
    if present is None:
        line.install(coming)
    else:
        line.change(present, coming)
    if not line.answers(coming):
        kept = "has kept the key that it had, which is in force; try again"
        raise line.failure(kept if present else f"is not in its set-up mode; {SET_UP_MODE}")
    return coming


@contextmanager
def opened_line(port: str, baud: int, address: int) -> Iterator[KeyingLine]:
    """Open the reader's line exclusively; DeviceError: it can't be, or it goes away."""
    try:
        with as_root():
            serial = Serial(port, baud, timeout=0, write_timeout=ANSWER_S, exclusive=True)
        with serial:
            yield KeyingLine(serial, address)
    except DeviceError:
        raise
    except FAILURES as failure:
        if isinstance(failure, OSError) and failure.errno in (errno.EAGAIN, errno.EBUSY):
            what = "is in use; stop the door first: systemctl stop doorctl-door"
        else:
            what = "can't be used; check reader.port, the cable and the adapter"
        raise DeviceError(f"{port} {what}") from failure


class KeyingLine:
    """A reader's line, on which libosdp speaks; what it says of the reader is kept in `heard`."""

    id = 0
    """Asked of a channel by libosdp."""

    def __init__(self, serial: Serial, address: int) -> None:
        self._serial, self._address = serial, address
        self._broken: Exception | None = None
        self.heard: list[str] = []

    def failure(self, what: str) -> DeviceError:
        """Return what to raise: that the reader does this, or that there is none."""
        where = f"address {self._address} with {self._serial.baudrate} bits a second"
        nobody = f"no reader answers at {where}; check its cable (A and B), address and speed"
        return DeviceError(f"{self._serial.port}: {f'the reader {what}' if self.heard else nobody}")

    def answers(self, key: ReaderKey) -> bool:
        """Tell whether the reader opens a secure channel with this key and no other."""
        return any(self._opens(self._panel(key, LibFlag.EnforceSecure)) for _ in range(TRIES))

    def change(self, present: ReaderKey, coming: ReaderKey) -> None:
        """Send the next key over a channel by the present one; `answers` tells of it."""
        panel = self._panel(present, LibFlag.EnforceSecure)
        if self._opens(panel):
            keyset = {"command": Command.Keyset, "type": 1, "data": coming.reveal()}
            panel.ctx.submit_command(0, keyset)
            # The acknowledgement ends the channel.
            self._first(panel, ENDED, OFFLINE)

    def install(self, key: ReaderKey) -> None:
        """Send a key over a channel by SCBK-D; `answers` tells of it.

        libosdp does so by itself where no key is enforced and the reader does not take this one.
        """
        any(self._opens(self._panel(key)) for _ in range(TRIES))

    def _panel(self, key: ReaderKey, *flags: int) -> Any:
        seed_randomness()
        # A new one each time: one that was refused would wait 300 s.
        seed_randomness()
        reader = PDInfo(
            self._address, self, scbk=key.reveal(), flags=[LibFlag.EnableNotification, *flags]
        )
        return ControlPanel([reader], LogLevel.Emergency, event_handler=self._note)

    def _note(self, _reader: int, event: Mapping[str, Any]) -> int:
        if event["event"] == Event.Notification:
            kind, arg0, arg1 = event["type"], event["arg0"], event["arg1"]
            if kind == EventNotification.SecureChannelStatus:
                self.heard.append((BY_DEFAULT if arg1 else SECURE) if arg0 else ENDED)
            elif kind == EventNotification.PeripheralDeviceStatus:
                self.heard.append(ONLINE if arg0 else OFFLINE)
        return 0

    def _opens(self, panel: Any) -> bool:
        return self._first(panel, SECURE, ONLINE, OFFLINE) == SECURE

    def _first(self, panel: Any, *ends: str) -> str:
        """Turn libosdp until it says one of these; return which, or "" where it says none."""
        begun, limit, pause = len(self.heard), Timeout(ANSWER_S), Pause()
        while not limit.expired():
            panel.ctx.refresh()
            if self._broken is not None:
                raise self._broken
            for said in self.heard[begun:]:
                if said in ends:
                    return said
            pause.wait(TURN_S)
        return ""

    def read(self, most: int) -> bytes:
        """Return what has come, for libosdp; it must not wait, or raise."""
        return self._done(lambda: self._serial.read(most), b"")

    def write(self, data: bytes) -> int:
        """Send, for libosdp; it must not raise."""
        return self._done(lambda: self._serial.write(data) or 0, 0)

    def flush(self) -> None:
        """Drop nothing: a packet that is too late has another sequence number."""

    def _done(self, work: Callable[[], DoneT], otherwise: DoneT) -> DoneT:
        try:
            return work()
        except FAILURES as failure:
            self._broken = failure
            return otherwise
