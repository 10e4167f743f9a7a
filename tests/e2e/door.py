"""A real door process for a test: swiped at, typed at, killed, and read from every side."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar, cast

from doorctl.demo import tether
from doorctl.demo.door import Line, Stage
from tests.e2e.commands import Forking
from tests.e2e.people import Person
from tests.fakes.waiting import LIMIT_S, until

KEY_GAP_S = 0.05
"""Between two keys on the reader's own line, where keys that come faster are a card's."""

UNHEARD_S = 0.5
"""Long enough for keys that make no click, because nobody awaits them, to be through."""

RELAY = "GPIO17"
BUZZER = "GPIO25"

CONTACT, EXIT, FIRE, OTHER_DOOR = "GPIO22", "GPIO27", "GPIO5", "GPIO6"

WIRED = (
    "gpio.contact_pin=22",
    "gpio.exit_button_pin=27",
    "gpio.fire_pin=5",
    "gpio.other_door_pin=6",
)
"""What lays all four inputs over a configuration that has none."""

LEFT_ALONE = {CONTACT: 0, EXIT: 1, FIRE: 0, OTHER_DOOR: 0}
"""The levels of a door that is shut, with nobody at the button, no fire, and the other shut."""

T = TypeVar("T")
COMMANDS = Forking()
DOORS = Forking("doorctl.wiring.door")


@dataclass(frozen=True)
class Row:
    """An attempt as it stands in the door log."""

    attempt: int
    at_ms: int
    clock: str
    row_key: bytes | None
    verdict: str | None
    reason: str | None


@dataclass(frozen=True)
class Drive:
    """One time that a pin was driven."""

    pin: str
    level: int
    monotonic_ns: int


class Staged(Stage):
    """A `Stage` whose processes may be spared their imports, unless it begins them in its own way.

    Args:
        forked: whether the door is; not where a test looks at the process.
        calls_forked: whether commands are.
        doors, commands: fork them.
    """

    forked = False
    doors, commands = DOORS, COMMANDS

    @property
    def calls_forked(self) -> bool:
        """As the door."""
        return self.forked

    def environment(self) -> dict[str, str]:
        """Return what is laid over this process's environment."""
        return {}

    @property
    def _as_usual(self) -> bool:
        return type(self).command in {Stage.command, Door.command} and self._wires is None

    def run_door(self, errors: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the door's process: its own, or a fork of one that has imported doorctl."""
        if not self.forked or not self._as_usual:
            return super().run_door(errors)
        environment = {**os.environ, **self.environment()}
        words = ("run", *self.options)
        started: Any = self.doors.start(words, environment, tether(), errors.fileno())
        return cast("subprocess.Popen[bytes]", started)

    def wait_for(self, event: str, *, timeout_s: float = LIMIT_S, **fields: object) -> Line:
        """Return the next line of that name with those fields; a test waits longer for it."""
        return super().wait_for(event, timeout_s=timeout_s, **fields)

    def call(
        self, *words: str, stdin: str = "", aloud: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, in a fork of a process that has imported doorctl."""
        if not self.calls_forked or not self._as_usual or aloud:
            return super().call(*words, stdin=stdin, aloud=aloud)
        environment = {**os.environ, **self.environment()}
        return self.commands.run([*words, *self.options], environment, stdin)


class Door(Staged):
    """A `Stage` with pins that leave a record.

    `pins`: a directory with the entry point of :class:`tests.e2e.recorded_pins.RecordedPin`.
    """

    calls_forked = True
    most_of_a_card = 1000
    """Bytes that its reader can send of one card."""

    def __init__(
        self, directory: Path, config: Path, overrides: Sequence[str] = (), *, pins: Path
    ) -> None:
        super().__init__(directory, config, overrides)
        self._paced = "keypad.port=" in overrides
        if self._paced:
            self.keypad = self.reader
        self._pins = pins
        self._outside = dict(LEFT_ALONE)
        self.busy_pins = ""

    def command(self, *words: str, tethered: bool = False) -> list[str]:
        """Return the command line, with the pins' entry point laid over the environment."""
        environment = (f"{name}={value}" for name, value in self.environment().items())
        return [*LEASH, "env", *environment, *super().command(*words, tethered=tethered)]

    def environment(self) -> dict[str, str]:
        """Return what lays the recorded pins over a process's environment."""
        path = os.pathsep.join(filter(None, (str(self._pins), os.environ.get("PYTHONPATH"))))
        return {
            "GPIOZERO_MOCK_PIN_CLASS": "recorded",
            "RECORDED_PINS": str(self._pins),
            "OUTSIDE": " ".join(f"{pin}={level}" for pin, level in self._outside.items()),
            "BUSY_PINS": self.busy_pins,
            "PYTHONPATH": path,
            # A full disk would cut off what Python writes, and all others would read it.
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def configured(self, *overrides: str) -> Self:
        """Lay more over the configuration, for everything that is started from now on."""
        for override in overrides:
            self.options += ["--set", override]
        return self

    def own_config(self, more: str = "") -> Path:
        """Give the door a file of its own, with more in it, and return it."""
        own = self.directory / "door.toml"
        shared = Path(self.options[0].removeprefix("--config="))
        own.write_text(shared.read_text(encoding="utf-8") + more, encoding="utf-8")
        self.options[0] = f"--config={own}"
        return own

    def swipe(self, card: bytes) -> int:
        """Swipe a card, wait until the attempt is on record, and return its number."""
        before = self.open_attempts()
        self.reader.send(card)
        return until(lambda: max(self.open_attempts() - before, default=0))

    def press(self, keys: str) -> None:
        """Press keys one by one."""
        for key in keys:
            self.keypad.send(key.encode())
            if self._paced:
                time.sleep(KEY_GAP_S)

    def contact(self, *, open: bool) -> None:  # noqa: A002 - what a leaf is
        """Open or close the leaf."""
        self._bring(CONTACT, int(open))

    def other_door(self, *, open: bool) -> None:  # noqa: A002 - what a leaf is
        """Open or close the lobby's other door."""
        self._bring(OTHER_DOOR, int(open))

    def fire(self, *, active: bool) -> None:
        """Let the fire alarm go off or be over."""
        self._bring(FIRE, int(active))

    def press_exit(self) -> None:
        """Hold the exit button until the door has felt it."""
        self._reach_in(f"{EXIT}=0 {EXIT}=1")

    def _bring(self, pin: str, level: int) -> None:
        self._outside[pin] = level
        if self._process is not None:
            self._reach_in(f"{pin}={level}")

    def _reach_in(self, steps: str) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT_S)
            connection.connect(str(self._pins / f"inputs-{self.pid}"))
            connection.sendall(steps.encode())
            connection.shutdown(socket.SHUT_WR)
            # The end of the connection says that all was done.
            connection.recv(1)

    def hear_click(self, do: Callable[[], None]) -> None:
        """Do something that the buzzer answers, and wait for its click."""
        clicks = len(self.edges(self.pid, BUZZER))
        do()
        until(lambda: len(self.edges(self.pid, BUZZER)) > clicks)

    def press_heard(self, keys: str) -> None:
        """Press keys, each once the click of the one before is over; wait for every click.

        Two lines have no order between them: only a key that was heard came before the next card.
        """

        def quiet() -> bool:
            return not self.drives(self.pid, BUZZER) or not self.drives(self.pid, BUZZER)[-1].level

        until(quiet)
        for key in keys:
            self.hear_click(partial(self.keypad.send, key.encode()))
            until(quiet)

    def visit(self, person: Person, pin: str | None = None) -> Line:
        """Have somebody swipe and type; return the decision."""
        attempt = self.swipe(person.swipe)
        self.press(pin or person.pin)
        return self.wait_for("decision", attempt=attempt)

    def let_in(self, person: Person) -> Line:
        """Have somebody in, wait until the door is locked again and return the decision."""
        decision = self.visit(person)
        assert decision["reason"] == "ok"
        self.wait_for("door", state="locked")
        return decision

    def signalled(self, number: int) -> int:
        """Send the process a signal; return its exit code, negative where the signal killed it.

        All that it said is in `lines` then.
        """
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        code = process.wait(LIMIT_S)
        while self._unheard.get(timeout=LIMIT_S) is not None:
            pass
        return code

    def alarms(self) -> list[str]:
        """Return the kinds of all alarms so far."""
        return [line["kind"] for line in self.said("alarm")]

    def stop(self) -> int:
        """Stop the door as systemd does, hear all that it said, and return its exit code."""
        return self.signalled(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait until the process ends by itself."""
        return self.signalled(0)

    def said(self, event: str) -> list[Line]:
        """Return all lines of that name so far."""
        return [line for line in self.lines if line["event"] == event]

    def processes(self) -> set[int]:
        """Return the numbers of all processes that ever drove a pin of any door."""
        return {int(record.name.removeprefix("pins-")) for record in self._pins.glob("pins-*")}

    def drives(self, pid: int, pin: str = RELAY) -> list[Drive]:
        """Return each time that a process drove a pin."""
        record = self._pins / f"pins-{pid}"
        written = record.read_text(encoding="ascii") if record.exists() else ""
        fields = (line.split() for line in written.splitlines())
        return [Drive(name, int(level), int(ns)) for name, level, ns in fields if name == pin]

    def edges(self, pid: int, pin: str = RELAY) -> list[Drive]:
        """Return each time that a process changed a pin's level, which is 0 at first."""
        level, changes = 0, []
        for drive in self.drives(pid, pin):
            if drive.level != level:
                changes.append(drive)
            level = drive.level
        return changes

    def rows(self) -> list[Row]:
        """Return the whole door log."""
        columns = "attempt, at_ms, clock, row_key, verdict, reason"
        return [Row(*row) for row in self.query(f"SELECT {columns} FROM attempts ORDER BY attempt")]  # noqa: S608 - a constant

    def levels(self, pin: str = RELAY, pid: int | None = None) -> list[int]:
        """Return what a pin was, in order, by the process that runs or another one."""
        return [edge.level for edge in self.edges(pid or self.pid, pin)]

    def settled(self, attempt: int) -> Row:
        """Wait until an attempt's outcome is on record and return it."""

        def row() -> Row | None:
            found = (row for row in self.rows() if row.attempt == attempt)
            return next((row for row in found if row.verdict is not None), None)

        return until(row)

    def open_attempts(self) -> set[int]:
        """Return the attempts with a card whose outcome is not on record yet."""
        return {number for (number,) in self.query(_OPEN)}

    def query(self, sql: str, *, database: str = "visits.db") -> list[tuple[Any, ...]]:
        """Read a database as it stands on the disk."""
        path = self.directory / database
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def change(self, sql: str, *values: object, database: str = "visits.db") -> None:
        """Change a database behind the door's back."""
        with closing(sqlite3.connect(self.directory / database)) as connection, connection:
            connection.execute(sql, values)

    def dump(self, database: str) -> str:
        """Return a database's whole content as text."""
        with closing(sqlite3.connect(self.directory / database)) as connection:
            return "\n".join(connection.iterdump())


LEASH = ("setpriv", "--pdeathsig", "KILL")
"""An orphan of tests that were killed would go on looking for its reader, under a name that leads
to a number which the kernel gives to the next pseudo-terminal: a later door would find it in use.
"""

_OPEN = "SELECT attempt FROM attempts WHERE verdict IS NULL AND row_key IS NOT NULL"
"""An unreadable card is never waited for: its row is opened and closed at once."""


@contextmanager
def web(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Have a real web process serve, for a block."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert any(b'"ready"' in line for line in process.stdout)
            yield process
        finally:
            process.terminate()
            process.stdout.read()


def redirected(
    command: Sequence[str], redirection: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with its streams as a shell redirects them."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
    )


def refusal(door: Door, *words: str, stdin: str = "") -> str:
    """Run a command that has to fail with exit 1, one line on stderr and no stdout; return it."""
    done = door.call(*words, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    return done.stderr


def said(door: Stage, *words: str, stdin: str = "") -> str:
    """Run a command that has to work, in silence on stderr; return what it said."""
    done = door.call(*words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def told(door: Stage, *words: str) -> Any:
    """Run a command that has to print JSON; return it."""
    return json.loads(said(door, *words, "--json"))
