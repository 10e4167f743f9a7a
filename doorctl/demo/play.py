"""Playing scenes at a door and comparing what it does with what the table expects."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.demo.old_visit import Forgotten, Traces
from doorctl.demo.paper import Paper, visible
from doorctl.demo.scenes import (
    Act,
    Answer,
    Forget,
    Pull,
    PutBack,
    Scene,
    Silence,
    Smear,
    Swipe,
    Type,
    Words,
)
from doorctl.demo.stage import Line
from doorctl.errors import NotAnsweringError


class Doorway(Protocol):
    """A door with its reader and keypad, and what it says. One thread.

    Raises:
        NotAnsweringError: what had to come did not come in time.
    """

    @property
    def lines(self) -> Sequence[Line]:
        """Every log line so far."""

    def swipe(self, data: bytes, *, readable: bool) -> None:
        """Send a card; if it is one, return when the door asks for the PIN."""

    def press(self, key: str) -> None:
        """Press one key."""

    def pull(self) -> None:
        """Unplug the reader; return when the door has noticed."""

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in, with a swipe in its memory; return when the door has it back."""

    def wait_for(self, event: str, *, timeout_s: float = ..., **fields: object) -> Line:
        """Return the next line of that name with those fields."""

    def old_visit(self) -> Forgotten:
        """Look for the visit of 31 days ago."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the story is told, in seconds.

    Args:
        key_s: after each key.
        beat_s: between two things to look at.
        scene_s: after a scene.
        enough: once it is set, nobody waits any more and no other scene begins.
    """

    key_s: float
    beat_s: float
    scene_s: float
    enough: threading.Event = field(default_factory=threading.Event)

    def rest(self, seconds: float) -> None:
        """Let the viewer read; Ctrl-C ends it."""
        self.enough.wait(seconds)


AT_ONCE = Pace(0.01, 0.0, 0.0)
READABLE = Pace(0.3, 1.5, 2.5)
"""The whole evening in some 70 seconds, with time to read one of the two languages."""

LONGEST_PIN = 12
"""Keys that are pressed at most: the longest PIN that can be configured."""

SILENCE_S = 0.3
"""How long nothing must come: an answer takes a few milliseconds."""

ANSWER_LIMIT_S = 20.0
"""Longer than the PIN's time-out and the reader's own wait together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene ended; `wrong` is None if as expected."""

    scene: Scene
    wrong: Words | None


class Player:
    """Plays scenes and writes them down.

    Args:
        door: where they are played.
        paper: where they are told.
        pace: how fast.
        follow: told of each scene as it begins.
    """

    def __init__(
        self,
        door: Doorway,
        paper: Paper,
        pace: Pace,
        follow: Callable[[Scene], None] = lambda _scene: None,
    ) -> None:
        self._door = door
        self._paper = paper
        self._pace = pace
        self._follow = follow

    def play(self, scenes: Sequence[Scene]) -> tuple[Outcome, ...]:
        """Play all of them until it is enough; one that goes wrong does not stop the others."""
        return tuple(
            self._scene(scene, f"{number}/{len(scenes)}")
            for number, scene in enumerate(scenes, start=1)
            if not self._pace.enough.is_set()
        )

    def swipe(self, data: bytes, *, readable: bool = True) -> None:
        """Send a card."""
        self._paper.item("kort/card", visible(data))
        self._door.swipe(data, readable=readable)
        self._pace.rest(self._pace.beat_s)

    def type(self, pin: str) -> None:
        """Press the keys of a PIN, one at a time."""
        self._paper.label("pin")
        for number, key in enumerate(pin[:LONGEST_PIN]):
            self._door.press(key)
            shown = visible(key.encode("utf-8", "surrogateescape"))
            self._paper.write(f" {shown}" if number else shown, end="")
            self._pace.rest(self._pace.key_s)
        self._paper.write("" if pin else "(ingen / none)")

    def answer(self) -> None:
        """Wait for the decision and show it; if the door opens, also how it locks again."""
        line = self._door.wait_for("decision", timeout_s=ANSWER_LIMIT_S)
        granted = line["verdict"] == "granted"
        lamp, shade = ("● TIL / on", "good") if granted else ("○ bliver FRA / stays off", "plain")
        self._paper.item("relæ/relay", lamp, shade)
        danish, english = SENTENCES[Reason(line["reason"])]
        shade = "good" if granted else "bad"
        self._paper.item("svar/answer", f"{danish} / {english}", shade)
        self._paper.raw("log", as_written(line))
        if granted:
            self._show_locking()

    def _scene(self, scene: Scene, count: str) -> Outcome:
        self._follow(scene)
        self._paper.heading(scene.at, scene.title, count)
        self._paper.tell(scene.story)
        self._paper.write()
        self._pace.rest(self._pace.beat_s)
        start = len(self._door.lines)
        try:
            complaints = [self._act(act) for act in scene.acts]
        except NotAnsweringError as err:
            wrong: Words | None = Words(str(err), str(err))
        else:
            judged = judge(scene.expected, self._door.lines[start:])
            wrong = next((said for said in complaints if said is not None), judged)
        self._conclude(scene, wrong)
        return Outcome(scene, wrong)

    def _act(self, act: Act) -> Words | None:
        match act:
            case Swipe(data=data):
                self.swipe(data)
            case Smear(data=data):
                self.swipe(data, readable=False)
            case Type(pin=pin):
                self.type(pin)
            case Answer():
                self.answer()
            case Silence():
                return self._hear_nothing()
            case Pull():
                self._paper.item("stik/plug", "taget ud / pulled out")
                self._door.pull()
                self._pace.rest(self._pace.beat_s)
            case PutBack(stored=stored):
                self._paper.item("kort/card", visible(stored))
                self._paper.item("", "gemt i læseren / kept in the reader", "quiet")
                self._pace.rest(self._pace.beat_s)
                self._paper.item("stik/plug", "sat i / put back")
                self._door.put_back(stored)
                self._pace.rest(self._pace.beat_s)
            case Forget():
                return self._show_forgotten(self._door.old_visit())
        return None

    def _hear_nothing(self) -> Words | None:
        try:
            line = self._door.wait_for("decision", timeout_s=SILENCE_S)
        except NotAnsweringError:
            self._paper.item("svar/answer", "intet / nothing")
            return None
        return Words(f"ventet intet, men fik {line['reason']}", f"unexpected {line['reason']}")

    def _show_locking(self) -> None:
        off = self._door.wait_for("relay", energised=False)
        on = next(line for line in reversed(self._door.lines) if line.get("energised") is True)
        seconds = f"{(off['monotonic_ns'] - on['monotonic_ns']) / 1e9:.2f}"
        danish = seconds.replace(".", ",")
        self._paper.item("relæ/relay", f"○ FRA efter {danish} s / off after {seconds} s")

    def _show_forgotten(self, case: Forgotten) -> Words | None:
        self._show_traces("før/before", case.before)
        if case.purge is not None:
            self._paper.raw("log", as_written(case.purge))
        self._show_traces("nu/now", case.after)
        return None if case.as_expected else Words("besøget er ikke glemt", "it is not forgotten")

    def _show_traces(self, label: str, traces: Traces) -> None:
        places = (
            (traces.in_rows, "i databasen / in the database"),
            (traces.in_bytes, "i filens bytes / in the file's bytes"),
            (traces.listed, "i / in doorctl visits list"),
        )
        for number, (there, place) in enumerate(places):
            self._paper.item("" if number else label, f"{'●' if there else '○'} {place}")
        self._pace.rest(self._pace.beat_s)

    def _conclude(self, scene: Scene, wrong: Words | None) -> None:
        if wrong is None:
            told = ", ".join(reason.value for reason in scene.expected)
            reasons = f": {told}" if told else ""
            self._paper.item("✓", f"som ventet / as expected{reasons}", "good")
        else:
            self._paper.item("✗", f"{wrong.da} / {wrong.en}", "bad")
        self._pace.rest(self._pace.scene_s)


def judge(expected: Sequence[Reason], lines: Iterable[Line]) -> Words | None:
    """Compare what a door logged with what had to happen; None if it is the same.

    The reasons must be these and no more, and the relay must have been on and off again once
    for each ``ok``.
    """
    heard = list(lines)
    wanted = [reason.value for reason in expected]
    got = [line["reason"] for line in heard if line["event"] == "decision"]
    if got != wanted:
        want, have = ", ".join(wanted) or "-", ", ".join(got) or "-"
        return Words(f"ventet {want}, men fik {have}", f"expected {want}, got {have}")
    edges = [line["energised"] for line in heard if line["event"] == "relay"]
    if edges != [True, False] * wanted.count(Reason.OK.value):
        return Words("relæet fulgte ikke svaret", "the relay did not follow the answer")
    return None


def as_written(line: Line) -> str:
    """Return a log line as the door wrote it: the order of its keys is kept."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
