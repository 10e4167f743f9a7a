"""The evening: its scenes as a table, who plays them at a door, and the library made for it."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from doorctl.access.patron import SENTENCES, Reason
from doorctl.core.errors import DeviceError, NotAnsweringError, StoreError
from doorctl.core.moments import BootTime, ClockState, Stamped
from doorctl.demo.door import EVER, Line, Stage, shipped
from doorctl.demo.paper import Paper, Words, visible
from doorctl.demo.patrons import CAST, Role, write_feed
from doorctl.ops.clock import BUILD_FLOOR, utc_now
from doorctl.store.door_log import CARD_HEX_DIGITS, VisitHistory
from doorctl.store.visits import VisitStore

# The table: who comes, what the reader and the keypad send, how the door must answer.


@dataclass(frozen=True, slots=True)
class Swipe:
    """The reader sends a card; the door then asks for a PIN, if it is `readable`."""

    data: bytes
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Type:
    """Digits on the keypad, one at a time."""

    pin: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The door must decide with this reason."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Silence:
    """The door must not decide anything."""


@dataclass(frozen=True, slots=True)
class Pull:
    """The reader's plug comes out."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """The plug goes in again; the reader sends what it stored meanwhile."""

    stored: bytes


@dataclass(frozen=True, slots=True)
class Forget:
    """The visit of 31 days ago must be gone."""


Act = Swipe | Type | Answer | Silence | Pull | PutBack | Forget


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: who comes (`title`), what they do and why it ends as it does (`story`).

    `at` is the evening's time, as Danes write it; `name` is fixed, for the summary.
    """

    at: str
    name: str
    title: Words
    story: Words
    acts: tuple[Act, ...]

    @property
    def expected(self) -> tuple[Reason, ...]:
        """Every decision of the scene; one more or one less is wrong."""
        return tuple(act.reason for act in self.acts if isinstance(act, Answer))


ANNA, BO, CARL, DORTE, EMIL, FREJA = CAST

WORN_STRIPE = b"%DOE^J#\x00 ?;92081#04\xff11?\r"
WRONG_PIN = "4712"


def comes(role: Role, pin: str = "", reason: Reason | None = None) -> tuple[Act, ...]:
    """Return what a visitor does and gets: by default their own PIN, and what is expected of it."""
    return Swipe(role.swipe), Type(pin or role.pin), Answer(reason or role.expected)


EVENING = (
    Scene(
        "19.02",
        "granted",
        Words("Anna kommer med sit sundhedskort", "Anna comes with her health card"),
        Words(
            "Hun bor i kommunen og kan sin pinkode. Kun CPR-nummeret læses fra kortet.",
            "She lives here and knows her PIN. Only the CPR number is read from the card.",
        ),
        comes(ANNA),
    ),
    Scene(
        "19.15",
        "wrong_pin_then_right",
        Words("Anna har glemt sin paraply", "Anna has left her umbrella behind"),
        Words(
            "Hun taster forkert og prøver igen. Tre fejl er gratis; derefter holder kortet pause.",
            "She mistypes and tries again. Three mistakes are free; then the card has to wait.",
        ),
        (*comes(ANNA, WRONG_PIN, Reason.WRONG_PIN), *comes(ANNA)),
    ),
    Scene(
        "19.31",
        "not_resident",
        Words("Bo kommer fra nabokommunen", "Bo comes from the next municipality"),
        Words(
            "Han er låner her, men om aftenen er døren for kommunens egne.",
            "He is a patron here, but after hours the door is for residents.",
        ),
        comes(BO),
    ),
    Scene(
        "19.48",
        "stolen",
        Words("Nogen kommer med Carls stjålne kort", "Somebody comes with Carl's stolen card"),
        Words(
            "Pinkoden lå i samme pung, men kortet er meldt stjålet (spærring O).",
            "The PIN was in the same purse, but the card is reported stolen (block O).",
        ),
        comes(CARL),
    ),
    Scene(
        "20.05",
        "debt_only",
        Words("Dorte skylder et gebyr", "Dorte owes a fee"),
        Words(
            "Gæld (spærring E) lukker for lån, ikke for læsesalen: hun kommer ind.",
            "A debt (block E) stops loans, not the reading room: she gets in.",
        ),
        comes(DORTE),
    ),
    Scene(
        "20.20",
        "under_age",
        Words(f"Emil på {EMIL.age} år vil ind alene", f"Emil, aged {EMIL.age}, wants in alone"),
        Words(
            "Grænsen er 14 år her; hvert bibliotek sætter sin egen.",
            "The limit here is 14 years; each library sets its own.",
        ),
        comes(EMIL),
    ),
    Scene(
        "20.33",
        "unknown_card",
        Words("Freja har et kort, ingen kender", "Freja has a card that nobody knows"),
        Words(
            "Hun ser det samme som ved en forkert kode: døren røber ikke, hvilke kort der findes.",
            "She sees the same as for a wrong PIN: the door does not tell which cards exist.",
        ),
        comes(FREJA),
    ),
    Scene(
        "20.47",
        "worn_stripe",
        Words("Et kort med slidt magnetstribe", "A card with a worn stripe"),
        Words(
            "Læseren sender volapyk. Kun dets art kommer i loggen, ikke tegnene.",
            "The reader sends gibberish. Only its kind is logged, not what it said.",
        ),
        (Swipe(WORN_STRIPE, readable=False), Answer(Reason.CARD_UNREADABLE)),
    ),
    Scene(
        "21.00",
        "reader_unplugged",
        Words("Nogen snubler over læserens ledning", "Somebody trips over the reader's cable"),
        Words(
            "Læseren afleverer et gemt strøg, når stikket er i igen; et gammelt strøg åbner ikke.",
            "Back in, the reader hands over a swipe that it kept: an old swipe never opens.",
        ),
        (Pull(), PutBack(ANNA.swipe), Type(ANNA.pin), Silence(), *comes(ANNA)),
    ),
    Scene(
        "22.00",
        "purged",
        Words("Besøget for 31 dage siden er glemt", "The visit of 31 days ago is forgotten"),
        Words(
            "Besøg gemmes i 30 dage. Da døren startede, blev det gamle slettet for alvor.",
            "Visits are kept for 30 days. When the door started, the old one was deleted for good.",
        ),
        (Forget(),),
    ),
)
"""The times are the story's; the door's own lines carry the real time, in UTC."""


# A visit of 31 days ago: put into the door log before the evening, looked for after it.

AGE = timedelta(days=31)

ROW_KEY = b"demo-old-visitor"
"""16 bytes that no HMAC will ever give, so that each trace of them comes from this visit."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Where the old visit can still be found: in a row, in the files' bytes, in the list."""

    in_rows: bool
    in_bytes: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The old visit's traces before the door started and now, and the door's line of its purge."""

    before: Traces
    purge: Line | None
    after: Traces

    @property
    def as_expected(self) -> bool:
        """Whether the visit was there, was never listed, and is gone without a trace."""
        there, gone = Traces(True, True, False), Traces(False, False, False)
        return (self.before, self.after) == (there, gone)


def plant(visits: Path, now: datetime) -> None:
    """Put the visit into a door log that no process has open."""
    stamped = Stamped(now - AGE, ClockState.TRUSTED, BootTime("a boot 31 days ago", 0))
    with closing(VisitStore(visits)) as store:
        attempt = store.last_attempt() + 1
        store.open_attempt(attempt, stamped, ROW_KEY, None)
        store.close_attempt(attempt, Reason.OK)


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

    def send_card(self, data: bytes, *, readable: bool) -> None:
        """Send a card; if the card is readable, return when the door asks for the PIN."""

    def press(self, key: str) -> None:
        """Press one key."""

    def pull(self) -> None:
        """Unplug the reader; return when the door has noticed."""

    def put_back(self, stored: bytes) -> None:
        """Plug the reader in, with a stored swipe; return when the door has the reader back."""

    def wait_for(self, event: str, *, timeout_s: float = ..., **fields: object) -> Line:
        """Return the next line of that name with those fields."""


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

ANSWER_LIMIT_S = 20.0
"""Longer than the PIN's time-out and the reader's own wait together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene ended; `wrong` is None if as expected."""

    scene: Scene
    wrong: Words | None


class Player:
    """Plays scenes and writes them down.

    `old_visit` looks for the visit of 31 days ago; `follow` is called with each scene as it begins.
    """

    def __init__(
        self,
        door: Doorway,
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
    ) -> tuple[Outcome, ...]:
        """Play the scenes; a scene that fails does not stop the others.

        Once `enough` is set, all waits end and no other scene begins.
        """
        self._enough = enough or threading.Event()
        return tuple(
            self._scene(scene, f"{number}/{len(scenes)}")
            for number, scene in enumerate(scenes, start=1)
            if not self._enough.is_set()
        )

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

    def _scene(self, scene: Scene, count: str) -> Outcome:
        self._follow(scene)
        self._paper.heading(scene.at, scene.title, count)
        self._paper.tell(scene.story)
        self._paper.write()
        self._beat()
        start = len(self._door.lines)
        try:
            complaints = [self._act(act) for act in scene.acts]
        except NotAnsweringError as err:
            wrong: Words | None = Words(str(err), str(err))
        else:
            judged = judge(scene.expected, self._door.lines[start:])
            wrong = next((complaint for complaint in complaints if complaint), judged)
        if wrong is None:
            reasons = ", ".join(reason.value for reason in scene.expected)
            what = f"som ventet / as expected{': ' if reasons else ''}{reasons}"
            self._paper.item("✓", what, "good")
        else:
            self._paper.item("✗", f"{wrong.da} / {wrong.en}", "bad")
        self._enough.wait(self._pace.scene_s)
        return Outcome(scene, wrong)

    def _act(self, act: Act) -> Words | None:
        match act:
            case Swipe(data=data, readable=readable):
                self.swipe(data, readable=readable)
            case Type(pin=pin):
                self.type(pin)
            case Answer():
                self.answer()
            case Silence():
                return self._hear_nothing()
            case Pull():
                self._paper.item("stik/plug", "taget ud / pulled out")
                self._door.pull()
                self._beat()
            case PutBack(stored=stored):
                self._paper.item("kort/card", visible(stored))
                self._paper.item("", "gemt i læseren / kept in the reader", "quiet")
                self._beat()
                self._paper.item("stik/plug", "sat i / put back")
                self._door.put_back(stored)
                self._beat()
            case Forget():
                return self._show_forgotten(self._old_visit())
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

    def _show_traces(self, label: str, left: Traces) -> None:
        places = {
            "i databasen / in the database": left.in_rows,
            "i filens bytes / in the file's bytes": left.in_bytes,
            "i / in doorctl visits list": left.listed,
        }
        for number, (place, there) in enumerate(places.items()):
            self._paper.item("" if number else label, f"{'●' if there else '○'} {place}")
        self._beat()


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
    "Klokken er 19, og personalet er gået hjem. Lånere, kort og klokkeslæt er opfundet; kun læser, "
    "tastatur og relæ er efterlignet. Linjerne ved log er dørens egne, i UTC.",
    "It is 7 p.m. and the staff have gone home. Patrons, cards and times are invented; only "
    "reader, keypad and relay are imitated. The lines at log are the door's own, in UTC.",
)
PREPARING = Words(
    f"{PATRONS} opfundne lånere forsegles, så intet CPR-nummer kan læses på disken.",
    f"{PATRONS} invented patrons are sealed, so that no CPR number can be read from the disk.",
)
CLOSING = Words(
    "Døren er låst, dens proces standset og den midlertidige mappe slettet.",
    "The door is locked, its process stopped and the temporary directory deleted.",
)


def spend(paper: Paper) -> str | None:
    """Play the evening without pauses; return a line that names the scenes that failed, or None.

    Nothing is left behind: the door is stopped and the directory removed, also on Ctrl-C.

    Raises:
        DoorctlError: the demo can't be played on this machine.
    """
    now = utc_now()
    refuse_wrong_clock(now)
    with temporary() as directory, Stage(directory, shipped("demo.toml")) as stage:
        outcomes = Player(stage, paper, AT_ONCE, opened(stage, paper, now)).play(EVENING)
        good = sum(outcome.wrong is None for outcome in outcomes)
        paper.write()
        paper.rule()
        danish = f"{good} af {len(outcomes)} optrin endte som ventet"
        english = f"{good} of {len(outcomes)} scenes ended as expected"
        paper.write(f"  {danish} / {english}", "good" if good == len(outcomes) else "bad")
        close(stage, paper)
    return complaint(outcomes)


def close(stage: Stage, paper: Paper) -> None:
    """Stop the door and say so; NotAnsweringError where it ended with an error."""
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


def opened(stage: Stage, paper: Paper, now: datetime) -> Callable[[], Forgotten]:
    """Make the library and open its door; `now` is aware. Return what looks for the old visit.

    Raises:
        DoorctlError: it can't be done on this machine.
    """
    paper.write(TITLE.da, "heading", end=" / ")
    paper.write(TITLE.en, "quiet")
    for words in (OPENING, PREPARING):
        paper.write()
        paper.tell(words)
    paper.write()
    feed = stage.directory / "patrons.ndjson"
    write_feed(feed, PATRONS, SEED, now.date())
    paper.write("  $ doorctl init")
    printed(stage, "init")
    paper.write("  $ doorctl patrons load patrons.ndjson --full")
    printed(stage, "patrons", "load", str(feed), "--full", aloud=True)
    plant(stage.directory / "visits.db", now.astimezone(UTC))
    before = traces(stage)
    paper.write("  $ doorctl run")
    paper.raw("log", as_written(stage.start()))

    def old_visit() -> Forgotten:
        purge = next((line for line in stage.lines if line["event"] == "purge"), None)
        return Forgotten(before, purge, traces(stage))

    return old_visit


def printed(stage: Stage, *words: str, aloud: bool = False) -> str:
    """Return what a command printed; it must succeed."""
    done = stage.call(*words, aloud=aloud)
    if done.returncode:
        last = done.stderr.strip().rsplit("\n", 1)[-1]
        raise StoreError(last.removeprefix("doorctl: "))
    return done.stdout or ""
