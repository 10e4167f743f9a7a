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

import osdp_sys
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
from doorctl.extras.osdp.packets import Replies
from doorctl.extras.osdp.panel import Channel, Panel, PanelEvent, opened_line

ANSWER_S = 2.0
"""Longest wait for a secure channel; at 9600 bits a second one is there after half a second."""

QUIET_S = 0.2
"""Where libosdp has its answer and says nothing for so long it has given up for 300 s: it goes on
with the handshake at once, and polls each 0.05 s."""

TRIES = 3
"""How often one is tried: a disturbed byte spoils it, and libosdp would wait 300 s."""

TURN_S = 0.005
"""Pause between two turns of libosdp, which never blocks."""

GIVEN, THERE = "the reader answers with a new key", "the reader answers with its key already"

MADE, INSTALLED, TURNED_OVER = "made", "installed", "turned over"

SET_UP_MODE = (
    "if it is new or was reset, put it into its set-up mode, as its manual says, and run "
    f"`{MADE_BY}`"
)


def give_key(
    file: Path,
    port: str,
    baud: int,
    address: int,
    *,
    monotonic_s: Callable[[], float],
    note: Callable[[str], None],
    installing: bool,
) -> str:
    """Give the reader a key that the file holds from before on; return how it went.

    A reader that answers with its present key is sent the next one over that channel, unless it is
    `installing`: then it has its key. One that does not answer so is sent a key only if it is
    `installing`, over a channel by SCBK-D, which a reader takes in its set-up mode alone. Stopped
    anywhere, the same call goes on.

    `note` is told that a key was :data:`MADE`, :data:`INSTALLED` or :data:`TURNED_OVER`, as soon as
    it was.

    Raises DeviceError: the line is in use, no reader answers, or it does not take the key; the file
    then holds all with which it may answer. KeyFileError: the file can't be read or written.
    """
    if installing and not _is_there(file):
        # Before the line is opened: the door's unit starts without a reader, but not without this.
        write_keys(file, ReaderKeys(None, new_key()))
        note(MADE)
    keys = read_keys(file)
    with keying_line(port, baud, address, monotonic_s) as line:
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
        note(INSTALLED if installing else TURNED_OVER)
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
def keying_line(
    port: str, baud: int, address: int, monotonic_s: Callable[[], float]
) -> Iterator[KeyingLine]:
    """Open the reader's line exclusively; DeviceError: it can't be, or it goes away."""
    try:
        with as_root():
            serial = opened_line(port, baud)
        with serial:
            yield KeyingLine(serial, address, monotonic_s)
    except DeviceError:
        raise
    except FAILURES as failure:
        if isinstance(failure, OSError) and failure.errno in (errno.EAGAIN, errno.EBUSY):
            what = "is in use; stop the door first: systemctl stop doorctl-door"
        else:
            what = "can't be used; check reader.port, the cable and the adapter"
        raise DeviceError(f"{port} {what}") from failure


class KeyingLine:
    """A reader's line while it is given a key; `heard` once any reader has answered there."""

    def __init__(self, serial: Serial, address: int, monotonic_s: Callable[[], float]) -> None:
        self._serial, self._address, self._monotonic_s = serial, address, monotonic_s
        self._replies = Replies(address)
        self._channel = Channel(self._replies, monotonic_s)
        self._channel.use(serial)
        self.heard = False

    def failure(self, what: str) -> DeviceError:
        """Return what to raise: that the reader does this, or that there is none."""
        where = f"address {self._address} with {self._serial.baudrate} bits a second"
        none = f"no reader answers at {where}; check its cable (A and B), address and speed"
        return DeviceError(f"{self._serial.port}: {f'the reader {what}' if self.heard else none}")

    def answers(self, key: ReaderKey) -> bool:
        """Tell whether the reader opens a secure channel with this key and no other."""
        return any(self._opened(key) for _ in range(TRIES))

    def change(self, present: ReaderKey, coming: ReaderKey) -> None:
        """Send the next key over a channel by the present one; `answers` tells of it."""
        if (panel := self._opened(present)) is not None:
            panel.submit(keyset_command(coming))
            # The acknowledgement ends the channel.
            self._turn(panel, until_up=False)

    def install(self, key: ReaderKey) -> None:
        """Send a key over a channel by SCBK-D; `answers` tells of it.

        libosdp does so by itself where no key is enforced and the reader does not take this one.
        """
        any(self._opened(key, enforced=False) for _ in range(TRIES))

    def _opened(self, key: ReaderKey, *, enforced: bool = True) -> Panel | None:
        """Return a panel whose channel stands; a new one, for one that was refused waits 300 s."""
        self._channel.flush()
        self._channel.sent_s = self._monotonic_s()
        panel = Panel(self._channel, self._address, key, _forget, enforced=enforced)
        is_up = self._turn(panel, until_up=True)
        self.heard = self.heard or bool(self._replies.seen)
        return panel if is_up else None

    def _turn(self, panel: Panel, *, until_up: bool) -> bool:
        """Turn libosdp until its channel stands, or does not; return whether it came to that."""
        limit = Timeout(ANSWER_S)
        while not limit.expired():
            panel.refresh()
            if self._channel.failure is not None:
                raise self._channel.failure
            if panel.is_up is until_up:
                return True
            if self._is_quiet():
                break
            self._channel.wait(TURN_S)
        return False

    def _is_quiet(self) -> bool:
        return not self._replies.awaits and self._monotonic_s() - self._channel.sent_s >= QUIET_S


def keyset_command(key: ReaderKey) -> Mapping[str, object]:
    """Return the command that gives the reader this key, on its secure channel."""
    return {"command": osdp_sys.CMD_KEYSET, "type": 1, "data": key.reveal()}


def _forget(_reader: int, event: PanelEvent) -> None:
    """Drop a card or a key that comes meanwhile, for libosdp keeps it."""
    event.clear()
