"""A temporary library, the real door, and the evening from its first scene to its last."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from doorctl.access.patron import SENTENCES, Reason
from doorctl.core.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.core.moments import BootTime, ClockState
from doorctl.demo.door import EVER, Line, Stage, shipped
from doorctl.demo.paper import Paper, visible
from doorctl.demo.patrons import write_feed
from doorctl.demo.scenes import (
    EVENING,
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
from doorctl.ops.clock import BUILD_FLOOR, utc_now
from doorctl.ports import Stamped
from doorctl.store.door_log import CARD_HEX_DIGITS, VisitHistory
from doorctl.store.visits import VisitStore

# A visit of 31 days ago: put into the door log before the evening, looked for after it.

AGE = timedelta(days=31)

ROW_KEY = b"demo-old-visitor"
"""16 bytes that no HMAC will ever give, so that each trace of them comes from this visit."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Where the old visit can still be found.

    Args:
        in_bytes: the database's files hold its row key, in a row or in the remains of one.
        listed: ``doorctl visits list`` shows it.
    """

    in_rows: bool
    in_bytes: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The old visit, at `at` (UTC), and its traces before the door started and now.

    `purge` is the door's own line about the purge at its start, if there was one.
    """

    at: datetime
    before: Traces
    purge: Line | None
    after: Traces

    @property
    def as_expected(self) -> bool:
        """Whether the visit was there, was never listed, and is gone without a trace."""
        return self.before == Traces(True, True, False) and self.after == Traces(
            False, False, False
        )


def plant(visits: Path, now: datetime) -> datetime:
    """Put the visit into a door log that no process has open; return its time, UTC."""
    at = now - AGE
    stamped = Stamped(at, ClockState.TRUSTED, BootTime("a boot 31 days ago", 0))
    with closing(VisitStore(visits)) as store:
        attempt = store.last_attempt() + 1
        store.open_attempt(attempt, stamped, ROW_KEY, None)
        store.close_attempt(attempt, Reason.OK)
    return at


def traces(stage: Stage) -> Traces:
    """Look for the visit in every place."""
    visits = stage.directory / "visits.db"
    card = ROW_KEY.hex()[:CARD_HEX_DIGITS]
    with closing(VisitHistory(visits)) as history:
        in_rows = any(visit.card == card for visit in history.visits(EVER))
    in_bytes = any(ROW_KEY in file.read_bytes() for file in visits.parent.glob("visits.db*"))
    shown = json.loads(stage.call("visits", "list", "--json").stdout)
    return Traces(in_rows, in_bytes, any(visit["card"] == card for visit in shown))


class Doorway(Protocol):
    """A door with its reader, keypad and log lines. One thread.

    Raises:
        NotAnsweringError: what was expected did not come in time.
    """

    @property
    def lines(self) -> Sequence[Line]:
        """Every log line so far."""

    def swipe(self, data: bytes, *, readable: bool) -> None:
        """Send a card; if the card is readable, return when the door asks for the PIN."""

    def press(self, key: str) -> None:
        """Press one key."""

    def pull(self) -> None:
        """Unplug the reader; return when the door has noticed."""

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in, with a stored swipe; return when the door has the reader back."""

    def wait_for(self, event: str, *, timeout_s: float = ..., **fields: object) -> Line:
        """Return the next line of that name with those fields."""

    def old_visit(self) -> Forgotten:
        """Look for the visit of 31 days ago."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the story is told: seconds after each key, between two things to see, after a scene.

    Once `enough` is set, all waits end and no other scene begins.
    """

    key_s: float
    beat_s: float
    scene_s: float
    enough: threading.Event = field(default_factory=threading.Event)

    def rest(self, seconds: float) -> None:
        """Give the viewer time to read; Ctrl-C ends it."""
        self.enough.wait(seconds)


AT_ONCE = Pace(0.01, 0.0, 0.0)
READABLE = Pace(0.3, 1.5, 2.5)
"""The whole evening in some 70 seconds, with time to read one of the two languages."""

LONGEST_PIN = 12
"""Most keys that are pressed: the longest PIN that can be configured."""

SILENCE_S = 0.3
"""How long the door must stay silent: an answer takes a few milliseconds."""

ANSWER_LIMIT_S = 20.0
"""Longer than the PIN's time-out and the reader's own wait together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene ended; `wrong` is None if as expected."""

    scene: Scene
    wrong: Words | None


class Player:
    """Plays scenes and writes them down; `follow` is called with each scene as it begins."""

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
        """Play the scenes until `enough` is set; a scene that fails does not stop the others."""
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
    """Compare what a door logged with what was expected; None if it is the same.

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
    """Return a log line with its keys in the door's order."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


PATRONS = 1000
SEED = 1

TITLE = Words("doorctl demo: en aften ved døren", "an evening at the door")
OPENING = Words(
    "Klokken er 19, og personalet er gået hjem. Lånere, kort og klokkeslæt er opfundet; "
    "programmet er det rigtige, kun læser, tastatur og relæ er efterlignet. Linjerne ved log er "
    "dørens egne, med den rigtige tid i UTC.",
    "It is 7 p.m. and the staff have gone home. Patrons, cards and times are invented; the "
    "program is the real one, only reader, keypad and relay are imitated. The lines at log are the "
    "door's own, with the real time in UTC.",
)
PREPARING = Words(
    f"Først laves en nøgle og tomme databaser, og {PATRONS} opfundne lånere forsegles, så "
    "intet CPR-nummer kan læses på disken.",
    f"First a key and empty databases are made, and {PATRONS} invented patrons are sealed, so "
    "that no CPR number can be read from the disk.",
)
CLOSING = Words(
    "Døren er låst, dens proces standset og den midlertidige mappe slettet.",
    "The door is locked, its process stopped and the temporary directory deleted.",
)


class StagedDoor:
    """The door on its stage; implements `Doorway`. One thread.

    `before` holds the old visit's traces before the door started.
    """

    def __init__(
        self,
        stage: Stage,
        old_at: datetime,
        before: Traces,
        plugged: Callable[[str, bool], None] = lambda _what, _is_in: None,
    ) -> None:
        self._stage = stage
        self._plugged = plugged
        self._old_at = old_at
        self._before = before

    @property
    def lines(self) -> Sequence[Line]:
        """Every log line so far."""
        return self._stage.lines

    def swipe(self, data: bytes, *, readable: bool) -> None:
        """Send a card."""
        self._stage.skip()
        self._stage.reader.send(data)
        if readable:
            self._stage.wait_for_attempt()

    def press(self, key: str) -> None:
        """Press one key."""
        self._stage.keypad.send(key.encode("utf-8", "surrogateescape"))

    def pull(self) -> None:
        """Unplug the reader."""
        self._stage.reader.pull()
        self._plugged("reader", False)
        self._stage.wait_for("reader", state="lost")

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in."""
        self._stage.reader.put_in(stored)
        self._plugged("reader", True)
        self._stage.wait_for("reader", state="connected")

    def wait_for(self, event: str, *, timeout_s: float = 5.0, **fields: object) -> Line:
        """Return the next line of that name with those fields."""
        return self._stage.wait_for(event, timeout_s=timeout_s, **fields)

    def old_visit(self) -> Forgotten:
        """Look for the visit of 31 days ago."""
        purge = next((line for line in self.lines if line["event"] == "purge"), None)
        return Forgotten(self._old_at, self._before, purge, traces(self._stage))


def spend(paper: Paper) -> tuple[Outcome, ...]:
    """Play the evening without pauses for a viewer and return how each scene ended.

    Nothing is left behind: the door is stopped and the directory removed, also on Ctrl-C.

    Raises:
        DoorctlError: the demo can't be played on this machine.
    """
    now = utc_now()
    refuse_wrong_clock(now)
    with temporary() as directory, Stage(directory, shipped("demo.toml")) as stage:
        door = opened(stage, paper, now)
        outcomes = Player(door, paper, AT_ONCE).play(EVENING)
        _sum_up(paper, outcomes)
        close(stage, paper)
    return outcomes


def close(stage: Stage, paper: Paper) -> None:
    """Stop the door and say so.

    Raises:
        NotAnsweringError: the door ended with an error.
    """
    if code := stage.stop():
        raise NotAnsweringError(f"the door ended with exit code {code}: {stage.complaint()}")
    paper.tell(CLOSING)


def complaint(outcomes: Sequence[Outcome]) -> str | None:
    """Return one line that names the scenes that failed; None if none did."""
    wrong = [outcome.scene.name for outcome in outcomes if outcome.wrong is not None]
    return f"scenes that went wrong: {', '.join(wrong)}" if wrong else None


def refuse_wrong_clock(now: datetime) -> None:
    """Raise DeviceError where the clock is earlier than doorctl itself.

    With such a clock no age, block or retention would be right.
    """
    if now < BUILD_FLOOR:
        raise DeviceError(f"this machine's clock says {now:%Y-%m-%d}; set it and try again")


@contextmanager
def temporary() -> Iterator[Path]:
    """Yield a directory that is removed afterwards; raises StoreError."""
    try:
        made = tempfile.TemporaryDirectory(prefix="doorctl-demo-")
    except OSError as err:
        raise StoreError(f"no temporary directory can be made: {err.strerror}") from err
    with made as name:
        yield Path(name)


def opened(
    stage: Stage,
    paper: Paper,
    now: datetime,
    plugged: Callable[[str, bool], None] = lambda _what, _is_in: None,
) -> StagedDoor:
    """Make the library and open its door; `now` is aware.

    Raises:
        DoorctlError: it can't be done on this machine.
    """
    paper.write(TITLE.da, "heading", end=" / ")
    paper.write(TITLE.en, "quiet")
    paper.write()
    paper.tell(OPENING)
    paper.write()
    paper.tell(PREPARING)
    paper.write()
    feed = stage.directory / "patrons.ndjson"
    write_feed(feed, PATRONS, SEED, now.date())
    paper.write("  $ doorctl init")
    told(stage, "init")
    paper.write("  $ doorctl patrons load patrons.ndjson --full")
    told(stage, "patrons", "load", str(feed), "--full", aloud=True)
    old_at = plant(stage.directory / "visits.db", now.astimezone(UTC))
    before = traces(stage)
    paper.write("  $ doorctl run")
    ready = stage.start()
    paper.raw("log", as_written(ready))
    return StagedDoor(stage, old_at, before, plugged)


def told(stage: Stage, *words: str, aloud: bool = False) -> str:
    """Return what a command printed; it must succeed."""
    done = stage.call(*words, aloud=aloud)
    if done.returncode:
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        raise StoreError(last.removeprefix("doorctl: "))
    return done.stdout or ""


def _sum_up(paper: Paper, outcomes: Sequence[Outcome]) -> None:
    good = sum(outcome.wrong is None for outcome in outcomes)
    paper.write()
    paper.rule()
    shade = "good" if good == len(outcomes) else "bad"
    danish = f"{good} af {len(outcomes)} optrin endte som ventet"
    paper.write(f"  {danish} / {good} of {len(outcomes)} scenes ended as expected", shade)
