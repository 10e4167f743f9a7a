"""The evening as it is played: the old visit, the player, and the library made for it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import SENTENCES, Reason
from doorctl.config.shipped import shipped
from doorctl.core.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.core.moments import BootTime, ClockState, Stamped
from doorctl.demo.door import Line, Stage, as_written, last_line
from doorctl.demo.paper import Paper, in_both, visible
from doorctl.demo.patrons import write_feed
from doorctl.demo.scenes import EVENING, Scene, Visit
from doorctl.ops.clock import BUILD_FLOOR, utc_now
from doorctl.store.visits import VisitStore

AGE = timedelta(days=31, hours=-1)
"""A whole day over the retention would be an alarm, for then a clock may be wrong."""

ROW_KEY = b"demo-old-visitor"
"""16 bytes that no HMAC will ever give, so that each trace of them comes from this visit."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whether the visit was there before the door started and is now, and the line of its purge."""

    before: bool
    purge: Line | None
    after: bool


def plant(visits: Path, now: datetime) -> None:
    """Put the visit into a door log that no process has open."""
    stamped = Stamped(now - AGE, ClockState.TRUSTED, BootTime("a boot 31 days ago", 0))
    with closing(VisitStore(visits)) as store:
        attempt = store.last_attempt() + 1
        store.open_attempt(Opened(attempt, stamped, ROW_KEY, None))
        store.close_attempt(Closed(attempt, Reason.OK))


def is_left(directory: Path) -> bool:
    """Tell whether a byte of the visit is left in any file of the door log."""
    return any(ROW_KEY in file.read_bytes() for file in directory.glob("visits.db*"))


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes: seconds after each key, between two things to see, after a scene."""

    key_s: float
    beat_s: float
    scene_s: float


AT_ONCE = Pace(0.01, 0.0, 0.0)
READABLE = Pace(0.3, 1.5, 2.5)
"""The whole evening in some 70 seconds, with time to read one of the two languages."""

LONGEST_PIN = 12
"""Most keys that are pressed: the longest PIN that can be configured."""

SILENCE_S = 0.3
"""How long the door must stay silent: an answer takes a few milliseconds."""

ANSWER_LIMIT_S = 60.0
"""Longer than the PIN's time-out and the reader's own wait together."""


class Player:
    """Plays scenes and writes them down.

    `old_visit` looks for the visit of 31 days ago; `follow` is called with each scene as it begins.
    """

    def __init__(
        self,
        door: Stage,
        paper: Paper,
        pace: Pace,
        old_visit: Callable[[], Forgotten],
        follow: Callable[[Scene], None] = lambda _scene: None,
    ) -> None:
        self._door = door
        self._old_visit = old_visit
        self._paper = paper
        self._pace = pace
        self._follow = follow
        self._enough = threading.Event()

    def play(
        self, scenes: Sequence[Scene], enough: threading.Event | None = None
    ) -> dict[str, str | None]:
        """Play the scenes; return for each, by its name, what is wrong in both languages, or None.

        A scene that fails does not stop the others. Once `enough` is set, all waits end and no
        other scene begins.
        """
        self._enough = enough or threading.Event()
        return {
            scene.name: self._scene(scene, f"{number}/{len(scenes)}")
            for number, scene in enumerate(scenes, start=1)
            if not self._enough.is_set()
        }

    def swipe(self, data: bytes, *, readable: bool = True) -> None:
        """Send a card."""
        self._paper.item("kort/card", visible(data))
        self._door.send_card(data, readable=readable)
        self._beat()

    def type(self, pin: str) -> None:
        """Press the keys of a PIN, one at a time."""
        self._paper.label("pin")
        for number, key in enumerate(pin[:LONGEST_PIN]):
            self._door.press(key)
            shown = visible(key.encode("utf-8", "surrogateescape"))
            self._paper.write(f" {shown}" if number else shown, end="")
            self._enough.wait(self._pace.key_s)
        self._paper.write("" if pin else "(ingen / none)")

    def answer(self) -> None:
        """Wait for the decision and show it; if the door opens, also how it locks again."""
        line = self._door.wait_for("decision", timeout_s=ANSWER_LIMIT_S)
        granted = line["verdict"] == "granted"
        lamp, shade = ("● TIL / on", "good") if granted else ("○ bliver FRA / stays off", "plain")
        self._paper.item("relæ/relay", lamp, shade)
        danish, english = SENTENCES[Reason(line["reason"])]
        self._paper.item("svar/answer", f"{danish} / {english}", "good" if granted else "bad")
        self._paper.raw("log", as_written(line))
        if granted:
            self._show_locking()

    def _beat(self) -> None:
        self._enough.wait(self._pace.beat_s)

    def _scene(self, scene: Scene, count: str) -> str | None:
        self._follow(scene)
        self._paper.heading(scene.at, scene.title, count)
        self._paper.tell(scene.story)
        self._paper.write()
        self._beat()
        start = len(self._door.lines)
        try:
            for visit in scene.visits:
                self._visit(visit)
            wrong = None if scene.visits else self._show_forgotten(self._old_visit())
            wrong = wrong or judge(scene.expected, self._door.lines[start:])
        except NotAnsweringError as err:
            wrong = f"{err} / {err}"
        if wrong is None:
            reasons = ", ".join(reason.value for reason in scene.expected)
            what = f"som ventet / as expected{': ' if reasons else ''}{reasons}"
            self._paper.item("✓", what, "good")
        else:
            self._paper.item("✗", wrong, "bad")
        self._enough.wait(self._pace.scene_s)
        return wrong

    def _visit(self, visit: Visit) -> None:
        if visit.kept:
            self._swipe_unheard(visit.data)
        else:
            self.swipe(visit.data, readable=bool(visit.pin))
        if visit.pin:
            self.type(visit.pin)
        if visit.reason is not None:
            self.answer()
            return
        # What the door decides all the same is found among the scene's lines.
        with suppress(NotAnsweringError):
            self._door.wait_for("decision", timeout_s=SILENCE_S)
            return
        self._paper.item("svar/answer", "intet / nothing")

    def _swipe_unheard(self, data: bytes) -> None:
        self._paper.item("stik/plug", "taget ud / pulled out")
        self._door.pull()
        self._beat()
        self._paper.item("kort/card", visible(data))
        self._paper.item("", "gemt i læseren / kept in the reader", "quiet")
        self._beat()
        self._paper.item("stik/plug", "sat i / put back")
        self._door.put_back(data)
        self._beat()

    def _show_locking(self) -> None:
        off = self._door.wait_for("relay", energised=False)
        on = next(line for line in reversed(self._door.lines) if line.get("energised") is True)
        seconds = f"{(off['monotonic_ns'] - on['monotonic_ns']) / 1e9:.2f}"
        danish = seconds.replace(".", ",")
        self._paper.item("relæ/relay", f"○ FRA efter {danish} s / off after {seconds} s")

    def _show_forgotten(self, case: Forgotten) -> str | None:
        place = "i filens bytes / in the file's bytes"
        self._paper.item("før/before", f"{'●' if case.before else '○'} {place}")
        self._beat()
        if case.purge is not None:
            self._paper.raw("log", as_written(case.purge))
        self._paper.item("nu/now", f"{'●' if case.after else '○'} {place}")
        self._beat()
        forgotten = case.before and not case.after
        return None if forgotten else " / ".join(in_both("it is not forgotten"))


def judge(expected: Sequence[Reason], lines: Iterable[Line]) -> str | None:
    """Compare what a door logged with what was expected; None if it is the same.

    The reasons must be these and no more, and the relay must have been on and off again once
    for each ``ok``.
    """
    heard = list(lines)
    wanted = [reason.value for reason in expected]
    got = [line["reason"] for line in heard if line["event"] == "decision"]
    if got != wanted:
        want, have = ", ".join(wanted) or "-", ", ".join(got) or "-"
        return " / ".join(in_both("expected {want}, got {have}", want=want, have=have))
    edges = [line["energised"] for line in heard if line["event"] == "relay"]
    if edges != [True, False] * wanted.count(Reason.OK.value):
        return " / ".join(in_both("the relay did not follow the answer"))
    return None


PATRONS = 1000
SEED = 1


def spend(paper: Paper) -> str | None:
    """Play the evening without pauses; return a line that names the scenes that failed, or None.

    Nothing is left behind: the door is stopped and the directory removed, also on Ctrl-C.
    DoorctlError where the demo can't be played on this machine.
    """
    now = utc_now()
    refuse_wrong_clock(now)
    with temporary() as directory, Stage(directory, shipped("demo.toml")) as stage:
        outcomes = Player(stage, paper, AT_ONCE, opened(stage, paper, now)).play(EVENING)
        good = list(outcomes.values()).count(None)
        paper.write()
        paper.rule()
        danish = f"{good} af {len(outcomes)} optrin endte som ventet"
        english = f"{good} of {len(outcomes)} scenes ended as expected"
        paper.write(f"  {danish} / {english}", "good" if good == len(outcomes) else "bad")
        close(stage, paper)
    wrong = [name for name, why in outcomes.items() if why is not None]
    return f"scenes that went wrong: {', '.join(wrong)}" if wrong else None


def close(stage: Stage, paper: Paper) -> None:
    """Stop the door and say so; NotAnsweringError where it ended with an error."""
    if code := stage.stop():
        raise NotAnsweringError(f"the door ended with exit code {code}: {stage.complaint()}")
    paper.tell("The door is locked, its process stopped and the temporary directory deleted.")


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


def opened(stage: Stage, paper: Paper, now: datetime) -> Callable[[], Forgotten]:
    """Make the library, open its door and return what looks for the old visit; `now` is aware.

    DoorctlError where it can't be done on this machine.
    """
    danish, english = in_both("an evening at the door")
    paper.write(danish, "heading", end=" / ")
    paper.write(english, "quiet")
    paper.write()
    paper.tell(
        "It is 7 p.m. and the staff have gone home. Patrons, cards and times are invented; only "
        "reader, keypad and relay are imitated. The lines at log are the door's own, in UTC."
    )
    paper.write()
    paper.tell(
        "{patrons} invented patrons are sealed, so that no CPR number can be read from the disk.",
        patrons=PATRONS,
    )
    paper.write()
    feed = stage.directory / "patrons.ndjson"
    write_feed(feed, PATRONS, SEED, now.date())
    paper.write("  $ doorctl init")
    printed(stage, "init")
    paper.write("  $ doorctl patrons load patrons.ndjson --full")
    printed(stage, "patrons", "load", str(feed), "--full", aloud=True)
    plant(stage.directory / "visits.db", now.astimezone(UTC))
    before = is_left(stage.directory)
    paper.write("  $ doorctl run")
    paper.raw("log", as_written(stage.start()))

    def old_visit() -> Forgotten:
        purge = next((line for line in stage.lines if line["event"] == "purge"), None)
        return Forgotten(before, purge, is_left(stage.directory))

    return old_visit


def printed(stage: Stage, *words: str, aloud: bool = False) -> str:
    """Return what a command printed; it must succeed."""
    done = stage.call(*words, aloud=aloud)
    if done.returncode:
        raise StoreError(last_line(done.stderr))
    return done.stdout or ""
