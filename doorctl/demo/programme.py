"""The evening on demand: played in the terminal, watched on the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from doorctl.access.panel import Kind, PanelState
from doorctl.access.patron import Reason
from doorctl.config.tables import Gpio
from doorctl.core.errors import DoorctlError
from doorctl.demo.door import Line, Plug, Stage
from doorctl.demo.evening import Doorway, Outcome, Pace, Player, as_written
from doorctl.demo.paper import Paper
from doorctl.demo.patrons import Role
from doorctl.demo.scenes import Scene, Words
from doorctl.rpc.door import PanelOverSocket

# All that the drawn door shows comes from the real one: pins, log lines, screen, door log.

MOST_VISITS = 12
MOST_LINES = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, as staff see it; `card` is the pseudonym in the door log, None for no card."""

    at: datetime
    reason: Reason
    attempt: int
    card: str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that can be seen at one moment; visits and lines have the newest first.

    Args:
        lit: which of green, red, buzzer and relay are on.
        beeps: how often the buzzer has sounded; most beeps are shorter than a look.
        screen: what the screen at the door shows; None while the door does not say.
        plugs: which of reader and keypad are plugged in.
        scene: the title of the scene that is played; None outside an evening.
        staff_pages: port of the staff pages; 0 while they are not there, and `hurdle` says why.
    """

    lit: frozenset[str] = frozenset()
    beeps: int = 0
    screen: PanelState | None = None
    plugs: frozenset[str] = frozenset()
    scene: Words | None = None
    story: Words | None = None
    visits: tuple[Seen, ...] = ()
    lines: tuple[str, ...] = ()
    staff_pages: int = 0
    hurdle: str = ""


class Window:
    """Holds the sight of this moment and tells its watchers of each change. Thread-safe.

    `card_of` returns the pseudonym of an attempt's card in the door log.
    """

    def __init__(self, gpio: Gpio, card_of: Callable[[int], str | None]) -> None:
        names = {
            gpio.green_pin: "green",
            gpio.red_pin: "red",
            gpio.buzzer_pin: "buzzer",
            gpio.relay_pin: "relay",
        }
        self._names = MappingProxyType({f"GPIO{pin}": name for pin, name in names.items()})
        self._card_of = card_of
        self._lock = threading.Lock()
        self._changed: set[Callable[[], None]] = set()
        self._sight = Sight()

    @property
    def sight(self) -> Sight:
        """What can be seen now."""
        return self._sight

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` at each change for as long as this lasts, from any thread."""
        with self._lock:
            self._changed.add(changed)
        try:
            yield
        finally:
            with self._lock:
                self._changed.discard(changed)

    def wake(self) -> None:
        """Call all watchers, though nothing has changed."""
        with self._lock:
            told = tuple(self._changed)
        for changed in told:
            changed()

    def change(self, step: Callable[[Sight], Sight]) -> None:
        """Replace the sight by what `step` makes of it."""
        with self._lock:
            before, self._sight = self._sight, step(self._sight)
        if before != self._sight:
            self.wake()

    def pin(self, name: str, high: bool) -> None:
        """Note that the door has set a pin."""
        if what := self._names.get(name):
            self.change(lambda sight: _driven(sight, what, high))

    def dark(self) -> None:
        """Note that the door's process has ended: the kernel releases its pins, and all is off."""
        self.change(lambda sight: replace(sight, lit=frozenset()))

    def line(self, line: Line) -> None:
        """Note a log line of the door."""
        decided = line["event"] == "decision"
        seen = (self._visit(line),) if decided else ()
        self.change(
            lambda sight: replace(
                sight,
                lines=(as_written(line), *sight.lines)[:MOST_LINES],
                visits=(*seen, *sight.visits)[:MOST_VISITS],
            )
        )

    def plugged(self, what: str, is_in: bool) -> None:
        """Note whether the reader or the keypad is plugged in."""
        self.change(
            lambda sight: replace(
                sight, plugs=sight.plugs | {what} if is_in else sight.plugs - {what}
            )
        )

    def told(self, title: Words | None, story: Words | None) -> None:
        """Note which scene is played."""
        self.change(lambda sight: replace(sight, scene=title, story=story))

    def _visit(self, line: Line) -> Seen:
        attempt = line["attempt"]
        at = datetime.fromisoformat(line["at"])
        return Seen(at, Reason(line["reason"]), attempt, self._card_of(attempt))


def _driven(sight: Sight, what: str, high: bool) -> Sight:
    if high == (what in sight.lit):
        return sight
    lit = sight.lit | {what} if high else sight.lit - {what}
    return replace(sight, lit=lit, beeps=sight.beeps + (high and what == "buzzer"))


ASKED_LIMIT_S = 5.0
"""Longest wait for the door to ask for a PIN."""

KEY_S = 0.25
"""Between two keys that the demo types: visible, and as fast as people type."""

DEAD_S = 2.0
"""How long a killed door stays dead, as in its unit: to be seen."""

PLUGS = ("reader", "keypad")
KEYS = frozenset("0123456789#*")


class Deed(Enum):
    """How an act at the door ended; the values are the page's own names of a notice."""

    DONE = "done"
    BUSY = "busy"
    UNPLUGGED = "unplugged"
    NOT_ASKED = "not_asked"


class Hands:
    """Acts at the door. Thread-safe; an act during another one is refused, not queued."""

    def __init__(self, stage: Stage, window: Window) -> None:
        self._stage = stage
        self._window = window
        self._turn = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Yield whether the door is ours for as long as this lasts; never wait."""
        taken = self._turn.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._turn.release()

    def swipe(self, data: bytes) -> Deed:
        """Pull a card through the reader."""
        with self.turn() as ours:
            return self._send(self._stage.reader, data) if ours else Deed.BUSY

    def swipe_and_type(self, role: Role) -> Deed:
        """Pull a card through the reader and type its PIN once the door asks for it."""
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            before = _attempt(self._window.sight)
            done = self._send(self._stage.reader, role.swipe)
            if done is Deed.DONE and not self._asked(before):
                return Deed.NOT_ASKED
            for key in role.pin if done is Deed.DONE else "":
                done = self._send(self._stage.keypad, key.encode())
                threading.Event().wait(KEY_S)
            return done

    def press(self, key: str) -> Deed:
        """Press one of :data:`KEYS`."""
        with self.turn() as ours:
            return self._send(self._stage.keypad, key.encode()) if ours else Deed.BUSY

    def plug(self, what: str, *, is_in: bool) -> Deed:
        """Pull the reader's or the keypad's plug, or put it in; no change if it is so already."""
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            self._move(what, is_in=is_in)
            return Deed.DONE

    def kill(self) -> Deed:
        """Kill the door's process and start it again, as systemd would; return when it is ready.

        Raises:
            NotAnsweringError: the door does not start again.
        """
        with self.turn() as ours:
            if not ours:
                return Deed.BUSY
            self._stage.cut()
            self._window.dark()
            threading.Event().wait(DEAD_S)
            self._stage.start_door()
            return Deed.DONE

    def plug_in(self) -> None:
        """Plug in all that is out; only for the caller who has the turn."""
        for what in PLUGS:
            self._move(what, is_in=True)

    def _move(self, what: str, *, is_in: bool) -> None:
        plug = self._stage.reader if what == "reader" else self._stage.keypad
        if is_in and not plug.is_in:
            plug.put_in()
        elif not is_in:
            plug.pull()
        self._window.plugged(what, is_in)

    def _send(self, plug: Plug, data: bytes) -> Deed:
        if not plug.is_in:
            return Deed.UNPLUGGED
        plug.send(data)
        return Deed.DONE

    def _asked(self, before: int) -> bool:
        """Return whether the door asks for the PIN of a later attempt; wait for it."""
        news = threading.Event()
        with self._window.watched(news.set):
            for _ in range(round(ASKED_LIMIT_S / KEY_S)):
                sight = self._window.sight
                screen = sight.screen
                if screen is not None and screen.attempt > before and screen.kind is Kind.CARD_READ:
                    return True
                news.wait(KEY_S)
                news.clear()
        return False


def _attempt(sight: Sight) -> int:
    return 0 if sight.screen is None else sight.screen.attempt


class Programme:
    """Plays scenes, one evening at a time. Thread-safe.

    Nobody else is at the door meanwhile: `hands` has the turn.
    """

    def __init__(
        self, door: Doorway, paper: Paper, pace: Pace, hands: Hands, window: Window
    ) -> None:
        self._door = door
        self._paper = paper
        self._pace = pace
        self._hands = hands
        self._window = window
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def play(self, scenes: Sequence[Scene]) -> tuple[Outcome, ...] | None:
        """Play the scenes and return how each ended; None where somebody is at the door."""
        return self._play(scenes, Future())

    def begin(self, scenes: Sequence[Scene]) -> Deed:
        """Play the scenes on a thread of their own; return once it is clear whether they play."""
        ours: Future[bool] = Future()
        thread = threading.Thread(target=self._play, args=(scenes, ours), daemon=True)
        thread.start()
        if not ours.result():
            return Deed.BUSY
        self._thread = thread
        return Deed.DONE

    def stop(self) -> None:
        """End the evening after the present scene; do not wait."""
        self._enough.set()

    def close(self) -> None:
        """End the evening and wait for its end, while the door is still there."""
        self.stop()
        if self._thread is not None:
            self._thread.join()

    def _play(self, scenes: Sequence[Scene], begun: Future[bool]) -> tuple[Outcome, ...] | None:
        with self._hands.turn() as ours:
            if ours:
                self._enough = threading.Event()
                self._hands.plug_in()
            begun.set_result(ours)
            if not ours:
                return None
            pace = replace(self._pace, enough=self._enough)
            player = Player(self._door, self._paper, pace, self._follow)
            try:
                return player.play(scenes)
            finally:
                self._window.told(None, None)

    def _follow(self, scene: Scene) -> None:
        self._window.told(scene.title, scene.story)


# The screen at the door, fetched as the web process fetches it.

RETRY_S = 0.5
"""Pause between two questions to a door that does not answer."""


class Screen:
    """Follows the screen at the door on a thread of its own and shows it in the window."""

    def __init__(self, socket: Path, window: Window) -> None:
        self._door = PanelOverSocket(socket)
        self._window = window
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to follow it."""
        threading.Thread(target=self._follow, name="screen", daemon=True).start()

    def stop(self) -> None:
        """Ask no more; the door answers the last question when it ends."""
        self._ended.set()

    def _follow(self) -> None:
        after = 0
        while not self._ended.is_set():
            state: PanelState | None = None
            try:
                view = self._door.look(after)
                after, state = view.seq, view.state
            except DoorctlError:
                after = 0
                self._ended.wait(RETRY_S)
            self._show(state)

    def _show(self, state: PanelState | None) -> None:
        self._window.change(lambda sight: replace(sight, screen=state))
