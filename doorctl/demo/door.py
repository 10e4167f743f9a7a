"""The real door process on pseudo-terminals and mock pins."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

from gpiozero.pins.mock import MockPin

from doorctl.core.errors import DeviceError, NotAnsweringError
from doorctl.demo import TETHERED, tether
from doorctl.store.door_log import VisitHistory


class Plug:
    """A serial device made of a pty, at a symbolic link as a by-id name would be. One thread.

    `moved` is called with whether it is in, each time that this changes.
    """

    def __init__(self, name: Path, moved: Callable[[bool], None] = lambda _is_in: None) -> None:
        self.name = name
        self._moved = moved
        self._master = -1

    @property
    def is_in(self) -> bool:
        """Whether the device is plugged in."""
        return self._master >= 0

    def put_in(self, stored: bytes = b"") -> None:
        """Make the device appear; idempotent. DeviceError: this machine makes no pseudo-terminals.

        It sends at once what it has `stored` while it was out, at most 4095 bytes: they lie in the
        kernel's buffer when the daemon opens the line.
        """
        if self.is_in:
            return
        try:
            master, slave = os.openpty()
        except OSError as err:
            raise DeviceError(f"no pseudo-terminal: {err.strerror}; is /dev/pts mounted?") from err
        self._master = master
        # Without raw mode the line discipline would echo, and turn CR into LF.
        tty.setraw(slave)
        terminal = os.ttyname(slave)
        os.close(slave)
        self.send(stored)
        fresh = self.name.with_name(f"{self.name.name}.new")
        fresh.symlink_to(terminal)
        fresh.replace(self.name)
        self._moved(True)

    def pull(self) -> None:
        """Make the device vanish; idempotent."""
        if self._master >= 0:
            self.name.unlink(missing_ok=True)
            os.close(self._master)
            self._master = -1
            self._moved(False)

    def send(self, data: bytes) -> None:
        """Let the device send bytes; DeviceError while it is out."""
        if not self.is_in:
            raise DeviceError(f"the plug of the {self.name.name} is out; put it in")
        while data:
            data = data[os.write(self._master, data) :]


PIPE = "DOORCTL_DEMO_PIPE"
"""Variable with the descriptor of the pipe's end."""


class Wires:
    """The demo's end of the pins of one door process after another.

    `driven` is called on a thread of its own for each level, in order: with a pin (``GPIO17``) and
    whether it is high.
    """

    def __init__(self, driven: Callable[[str, bool], None]) -> None:
        self._driven = driven
        # A pin's write is shorter than PIPE_BUF, and so in one piece.
        self._reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self._listener = threading.Thread(target=self._listen, name="pins", daemon=True)
        self._listener.start()

    def environment(self, around: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a door process that writes its pins' levels to us."""
        return {**around, "GPIOZERO_MOCK_PIN_CLASS": "doorctl", PIPE: str(self.writing)}

    def close(self) -> None:
        """Stop listening, once the door's processes have ended; idempotent."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1
            self._listener.join()

    def _listen(self) -> None:
        with os.fdopen(self._reading, encoding="ascii") as lines:
            for line in lines:
                name, _, level = line.strip().partition(" ")
                self._driven(name, level == "1")


Line = dict[str, Any]


def as_written(line: Line) -> str:
    """Return a log line with its keys in the door's order."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


LIMIT_S = 60.0
"""Longest wait for a line, or for the end: a busy machine is slow."""

START_LIMIT_S = 120.0

LOOK_S = 0.01
"""Between two looks at the door log."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Stage:
    """Start a door, send it cards and keys, and read its log lines. One thread.

    The stage's own paths and ports replace those in the configuration; `directory` is empty and
    gets the databases, the key and the devices. `heard` is called with each log line, on a thread
    of its own; `plugged` with a device and whether it is in.
    """

    def __init__(
        self,
        directory: Path,
        config: Path,
        overrides: Sequence[str] = (),
        *,
        wires: Wires | None = None,
        heard: Callable[[Line], None] = lambda _line: None,
        plugged: Callable[[str, bool], None] = lambda _what, _is_in: None,
    ) -> None:
        self.directory = directory
        self._wires = wires
        self._heard = heard
        self.reader, self.keypad = (
            Plug(directory / what, partial(plugged, what)) for what in ("reader", "keypad")
        )
        self.lines: list[Line] = []
        self._unheard: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self.options = [f"--config={config}"]
        self.overrides = (
            f"storage.directory={directory}",
            f"secrets.installation_key_file={directory / 'installation.key'}",
            f"control.socket={directory / 'door.sock'}",
            f"reader.port={self.reader.name}",
            f"keypad.port={self.keypad.name}",
            *overrides,
        )
        for override in self.overrides:
            self.options += ["--set", override]

    @property
    def pid(self) -> int:
        """The door process's number."""
        assert self._process is not None  # noqa: S101 - asked for before the start
        return self._process.pid

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return a command line of doorctl for this stage's configuration.

        If it is tethered, with `tether()` as its stdin, it ends with this process, even by SIGKILL.
        """
        program = ("-c", TETHERED) if tethered else ("-m", "doorctl")
        return [sys.executable, *program, *words, *self.options]

    def call(
        self, *words: str, stdin: str = "", aloud: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of doorctl to its end; `aloud` shows its stdout and progress bars."""
        return subprocess.run(  # noqa: S603 - our own command
            self.command(*words),
            input=stdin,
            stdout=None if aloud else subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=None if aloud else {**os.environ, "PYTHONIOENCODING": "utf-8"},
            check=False,
        )

    def start(self) -> Line:
        """Put the devices in, start the door and return its `ready` line."""
        self.reader.put_in()
        self.keypad.put_in()
        return self.start_door()

    def run_door(self, errors: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the door's process, tethered to this one; it writes its log to a pipe."""
        return subprocess.Popen(  # noqa: S603 - our own command
            self.command("run", tethered=True),
            stdin=tether(),
            stdout=subprocess.PIPE,
            stderr=errors,
            env=None if self._wires is None else self._wires.environment(os.environ),
            pass_fds=() if self._wires is None else (self._wires.writing,),
        )

    def start_door(self) -> Line:
        """Start the door alone and return its `ready` line."""
        with (self.directory / "door.stderr").open("ab") as errors:
            self._process = self.run_door(errors)
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        return self.wait_for("ready", timeout_s=START_LIMIT_S)

    def stop(self) -> int:
        """Stop the door as systemd does and return its exit code; NotAnsweringError if it stays."""
        assert self._process is not None  # noqa: S101 - stopped before the start
        self._process.terminate()
        try:
            code = self._process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            raise NotAnsweringError(f"the door did not stop within {LIMIT_S} s") from None
        self._process = None
        return code

    def cut(self) -> None:
        """Kill the door at once, as a power cut would."""
        assert self._process is not None  # noqa: S101 - killed before the start
        process, self._process = self._process, None
        process.kill()
        process.wait()
        # Nobody waits any more for the lines that it wrote up to its end.
        while self._unheard.get(timeout=LIMIT_S) is not None:
            pass

    def wait_for(self, event: str, *, timeout_s: float = LIMIT_S, **fields: object) -> Line:
        """Return the next line of that name with those fields; NotAnsweringError if none comes."""
        wanted = {"event": event, **fields}
        while True:
            try:
                line = self._unheard.get(timeout=timeout_s)
            except queue.Empty:
                raise NotAnsweringError(f"no line {wanted} within {timeout_s} s") from None
            if line is None:
                self._unheard.put(None)
                raise NotAnsweringError(f"the door ended: {self.complaint()}")
            if wanted.items() <= line.items():
                return line

    def send_card(self, data: bytes, *, readable: bool) -> None:
        """Send a card; if the card is readable, return when the door asks for the PIN."""
        self.skip()
        self.reader.send(data)
        if readable:
            self.wait_for_attempt()

    def press(self, key: str) -> None:
        """Press one key."""
        self.keypad.send(key.encode("utf-8", "surrogateescape"))

    def pull(self) -> None:
        """Unplug the reader; return when the door has noticed."""
        self.reader.pull()
        self.wait_for("reader", state="lost")

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in, with a stored swipe; return when the door has the reader back."""
        self.reader.put_in(stored)
        self.wait_for("reader", state="connected")

    def skip(self) -> None:
        """Drop the lines so far: nobody waits for them."""
        with contextlib.suppress(queue.Empty):
            while (line := self._unheard.get_nowait()) is not None:
                pass
            self._unheard.put(line)

    def wait_for_attempt(self, *, timeout_s: float = LIMIT_S) -> int:
        """Return the number of the attempt that a swipe began, once the door asks for its PIN.

        The door ignores keys that come earlier. No log line says when, but the attempt is stored.
        NotAnsweringError if it does not come in time.
        """
        last = max(
            (line["attempt"] for line in self.lines if line["event"] == "decision"), default=0
        )
        pause = threading.Event()
        with contextlib.closing(VisitHistory(self.directory / "visits.db")) as history:
            for _ in range(round(timeout_s / LOOK_S)):
                for visit in history.visits(EVER):
                    if visit.attempt > last and visit.verdict is None:
                        return visit.attempt
                pause.wait(LOOK_S)
        raise NotAnsweringError(f"no swipe was heard within {timeout_s} s")

    def complaint(self) -> str:
        """Return the last line that the door wrote on stderr."""
        return last_line((self.directory / "door.stderr").read_text(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.reader.pull()
        self.keypad.pull()

    def _listen(self, stdout: BinaryIO) -> None:
        with stdout:
            for written in stdout:
                line = json.loads(written)
                self.lines.append(line)
                self._heard(line)
                self._unheard.put(line)
        self._unheard.put(None)


def last_line(written: str) -> str:
    """Return the last line that a command wrote on stderr, without its name."""
    return written.strip().rpartition("\n")[2].removeprefix("doorctl: ")


class ReportingPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Write ``<pin> <level>`` for each change; the door goes on if the demo no longer reads.

    The real door process loads it by gpiozero's own way for other mock pins, an entry point and
    ``GPIOZERO_MOCK_PIN_CLASS``. The demo reads the pipe that it writes into.
    """

    def _set_state(self, value: Any) -> None:
        super()._set_state(value)
        with contextlib.suppress(OSError):
            os.write(int(os.environ[PIPE]), f"{self.info.name} {int(value)}\n".encode())

    def _change_state(self, value: Any) -> bool:
        changed = bool(super()._change_state(value))
        # gpiozero keeps every state of a mock pin: 0.25 KiB for each visit (measured in a soak).
        del self.states[:-1]
        return changed
