"""A temporary library, the real door, and the evening from its first scene to its last."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from doorctl.demo.old_visit import Forgotten, Traces, plant, traces
from doorctl.demo.paper import Paper
from doorctl.demo.patrons import write_feed
from doorctl.demo.play import AT_ONCE, Outcome, Player, as_written
from doorctl.demo.scenes import EVENING, Words
from doorctl.demo.stage import Line, Stage, shipped
from doorctl.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.ops.clock import BUILD_FLOOR, utc_now

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
    """The door on its stage, as the player wants it; implements `Doorway`. One thread.

    Args:
        stage: the door.
        old_at: when the old visit was.
        before: its traces before the door started.
        plugged: told whether the reader is plugged in.
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
        """Send a card; if it is one, return when the door asks for the PIN."""
        self._stage.skip()
        self._stage.reader.send(data)
        if readable:
            self._stage.wait_for_attempt()

    def press(self, key: str) -> None:
        """Press one key."""
        self._stage.keypad.send(key.encode("utf-8", "surrogateescape"))

    def pull(self) -> None:
        """Unplug the reader; return when the door has noticed."""
        self._stage.reader.pull()
        self._plugged("reader", False)
        self._stage.wait_for("reader", state="lost")

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in, with a swipe in its memory; return when the door has it back."""
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
    """Play the evening and return how each scene ended; nobody is waited for.

    Nothing is left behind: the door is stopped and the directory removed, also on Ctrl-C.

    Args:
        paper: where it is told.

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
        NotAnsweringError: it did not end well.
    """
    if code := stage.stop():
        raise NotAnsweringError(f"the door ended with exit code {code}: {stage.complaint()}")
    paper.tell(CLOSING)


def complaint(outcomes: Sequence[Outcome]) -> str | None:
    """Return one line that names the scenes that went wrong; None if none did."""
    wrong = [outcome.scene.name for outcome in outcomes if outcome.wrong is not None]
    return f"scenes that went wrong: {', '.join(wrong)}" if wrong else None


def refuse_wrong_clock(now: datetime) -> None:
    """Refuse to play where the clock says that it is before doorctl was made.

    Raises:
        DeviceError: as above; with it no age, block or retention would be right.
    """
    if now < BUILD_FLOOR:
        raise DeviceError(f"this machine's clock says {now:%Y-%m-%d}; set it and try again")


@contextmanager
def temporary() -> Iterator[Path]:
    """Yield a directory that is gone afterwards; raises StoreError."""
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
    """Make the library and open its door.

    Args:
        stage: where.
        paper: tells of each step.
        now: aware; UTC or local.
        plugged: told whether the reader is plugged in.

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
    """Run a command that must succeed; return what it printed."""
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
