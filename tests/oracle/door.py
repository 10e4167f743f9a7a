"""A real door on pseudo-terminals, at which ten people are refused for what they must not learn.

Whoever stands there without the right PIN must not learn whether the card is known, waits, is
blocked or banned: neither from what is seen and heard, nor from how long it takes.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from doorctl.demo.door import LIMIT_S, Line
from tests.e2e.conftest import Loaded
from tests.e2e.door import BUZZER, RELAY, Door, Drive, until
from tests.e2e.people import (
    ALSO_ENTITLED,
    CHILD,
    DATED,
    DEBTOR,
    ENTITLED,
    NOT_RESIDENT,
    PAST_EXPIRY,
    STOLEN,
    STRANGER,
    THIRD_ENTITLED,
    Person,
)

GREEN, RED = "GPIO23", "GPIO24"
LAMPS = (GREEN, RED, BUZZER, RELAY)

REST_S = 0.02
"""Before the last digit: what is got ready while somebody types is ready then."""

SEAL = "seal.memory_kib=4096"
"""Dear enough for a card that is stretched once more than another to stand out of the noise."""

BANNED, THROTTLED = ALSO_ENTITLED, DEBTOR
ABROAD = Person("1102801234", "5050", kind="CPR")
"""Whose health card is like everybody's, and known to no branch."""


class Span(Enum):
    """From when to when is measured."""

    ANSWER = "swipe -> first answer"
    HURRIED = "swipe -> red lamp, typed at once"
    WORK = "the door's own work meanwhile"
    LAST_DIGIT = "last digit -> red lamp"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be refused before the PIN is proved.

    `pin`: what is typed; `reason`: what the log says of it, and nothing else.
    """

    person: Person
    pin: str
    reason: str


def _wrong(person: Person) -> Refusal:
    return Refusal(person, person.wrong_pin, "wrong_pin")


REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "unknown card": Refusal(STRANGER, STRANGER.pin, "unknown_card"),
        "wrong PIN": _wrong(DATED),
        "throttled, right PIN": Refusal(THROTTLED, THROTTLED.pin, "throttled"),
        "wrong PIN, not resident": _wrong(NOT_RESIDENT),
        "wrong PIN, blocked": _wrong(STOLEN),
        "wrong PIN, banned": _wrong(BANNED),
        "wrong PIN, under age": _wrong(CHILD),
        "wrong PIN, expired": _wrong(PAST_EXPIRY),
        "health card, unknown": Refusal(ABROAD, ABROAD.pin, "unknown_card"),
        "health card, wrong PIN": _wrong(ENTITLED),
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """All that a refusal shows, but for its reason and its number.

    `drives`: each level that an output was driven to, in order; `asked`: what stood on the screen
    after the swipe; `screen`: what stood there at the end.
    """

    drives: tuple[tuple[str, int], ...]
    lines: tuple[str, ...]
    asked: str
    screen: str


class Watched:
    """One running door; one thread.

    `door`: it is started already, and the cards are as :data:`REFUSALS` wants them.
    """

    def __init__(self, door: Door, pins: Path) -> None:
        self.door = door
        self._record = pins / f"pins-{door.pid}"
        # As clock_getcpuclockid(3) makes it; Python has no name for it.
        self._work = (~door.pid << 3) | 2
        self._read = 0

    def look(self, refusal: Refusal) -> Look:
        """Refuse somebody slowly; return all that was to be seen until every output is off."""
        self._await_dark()
        self._drives()
        seen = len(self.door.lines)
        attempt = self.door.swipe(refusal.person.swipe)
        asked = until(lambda: self._screen(attempt))
        self.door.press_heard(refusal.pin)
        self._decided(attempt, refusal)
        screen = until(lambda: self._screen(attempt))
        self._await_dark()
        drives = tuple((drive.pin, drive.level) for drive in self._drives())
        lines = tuple(map(_stripped, self._lines_of(attempt, seen)))
        return Look(drives, lines, asked, screen)

    def times_ns(self, refusal: Refusal) -> Mapping[Span, int]:
        """Refuse somebody twice, once in a hurry; return how long each span takes."""
        return {**self._hurry(refusal), Span.LAST_DIGIT: self._rest(refusal)}

    def _hurry(self, refusal: Refusal) -> Mapping[Span, int]:
        """Have all digits typed before the card can have been looked up."""
        until(lambda: not self.door.open_attempts())
        self._drives()
        worked = time.clock_gettime_ns(self._work)
        before = time.monotonic_ns()
        self.door.reader.send(refusal.person.swipe)
        while not (asked := self._lit(BUZZER)):
            """Sleep would come out as time that the preparation took."""
        self.door.press(refusal.pin)
        (lit, *_) = until(lambda: self._lit(RED))
        self.door.wait_for("decision", verdict="refused", reason=refusal.reason)
        worked = time.clock_gettime_ns(self._work) - worked
        return {Span.ANSWER: asked[0] - before, Span.HURRIED: lit - before, Span.WORK: worked}

    def _rest(self, refusal: Refusal) -> int:
        attempt = self.door.swipe(refusal.person.swipe)
        self.door.press(refusal.pin[:-1])
        time.sleep(REST_S)
        self._drives()
        before = time.monotonic_ns()
        self.door.press(refusal.pin[-1])
        self._decided(attempt, refusal)
        lit: list[int] = until(lambda: self._lit(RED))
        return lit[0] - before

    def forgive(self) -> None:
        """Forget the failures of cards and reader, but for the card that is to wait.

        Nobody else writes then: all attempts have ended.
        """
        until(lambda: not self.door.open_attempts())
        self.door.change("DELETE FROM reader")
        self.door.change("DELETE FROM throttles WHERE failures < 10")
        self.door.change("DELETE FROM wrong_pins")

    def throttle(self, person: Person) -> None:
        """Have a card wait for staff."""
        attempt = self.door.swipe(person.swipe)
        self.door.press(person.wrong_pin)
        self.door.settled(attempt)
        self.door.change(
            "UPDATE throttles SET failures = 10 "
            "WHERE row_key = (SELECT row_key FROM attempts WHERE attempt = ?)",
            attempt,
        )

    def _decided(self, attempt: int, refusal: Refusal) -> None:
        line = self.door.wait_for("decision", attempt=attempt)
        assert (line["verdict"], line["reason"]) == ("refused", refusal.reason), line

    def _lines_of(self, attempt: int, seen: int) -> Iterator[Line]:
        # An alarm speaks of many refusals, to staff.
        for line in self.door.lines[seen:]:
            if line["event"] != "alarm":
                assert line.get("attempt") in {attempt, None}
                yield line

    def _lit(self, pin: str) -> list[int]:
        """Return when an output was driven high since the last time."""
        return [
            drive.monotonic_ns for drive in self._drives() if (drive.pin, drive.level) == (pin, 1)
        ]

    def _await_dark(self) -> None:
        def dark() -> bool:
            levels = {drive.pin: drive.level for drive in _drives(self._record.read_text())}
            return not any(levels.get(lamp) for lamp in LAMPS)

        until(dark)

    def _drives(self) -> list[Drive]:
        """Return the drives since the last time."""
        with self._record.open("rb") as record:
            record.seek(self._read)
            # The door may be in the middle of a line.
            fresh, newline, _ = record.read().rpartition(b"\n")
        self._read += len(fresh + newline)
        return _drives((fresh + newline).decode("ascii"))

    def _screen(self, attempt: int) -> str | None:
        """Return what stands on the screen, None until it is about that attempt."""
        with closing(socket.socket(socket.AF_UNIX)) as asking:
            asking.settimeout(LIMIT_S)
            asking.connect(str(self.door.directory / "door.sock"))
            asking.sendall(b'{"ask":"panel","about":{"after":0}}\n')
            with asking.makefile() as answer:
                said = json.loads(answer.readline())
        about = said["state"]["attempt"] == attempt
        return json.dumps(_unnumbered(said), sort_keys=True) if about else None


@contextmanager
def watched(root: Path) -> Iterator[Watched]:
    """Yield a running door with all cards as they have to be; files are below `root`."""
    loaded = Loaded(root, SEAL)
    with ExitStack() as stack:
        door = Door(loaded.directory, loaded.config, (SEAL,), pins=loaded.pins)
        stack.enter_context(door)
        door.start()
        banned = door.call("bans", "add", "-", "--reason", "uro", stdin=f"{BANNED.number}\n")
        assert banned.returncode == 0, banned.stderr
        one = Watched(door, loaded.pins)
        one.throttle(THROTTLED)
        # A ban that is not there would make a wrong PIN of it all the same.
        assert door.visit(BANNED)["reason"] == "banned"
        assert door.visit(THIRD_ENTITLED)["reason"] == "ok"
        one.forgive()
        yield one
        door.stop()


def _drives(written: str) -> list[Drive]:
    whole = written[: written.rfind("\n") + 1]
    fields = (line.split() for line in whole.splitlines())
    return [Drive(pin, int(level), int(ns)) for pin, level, ns in fields]


def _stripped(line: Line) -> str:
    kept = {key: value for key, value in line.items() if key not in {"at", "attempt", "reason"}}
    return json.dumps(kept, sort_keys=True)


def _unnumbered(said: object) -> object:
    if not isinstance(said, dict):
        return said
    return {key: _unnumbered(value) for key, value in said.items() if key not in {"seq", "attempt"}}
