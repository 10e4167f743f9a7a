"""What can be seen at the drawn door: lamps, relay, screen, plugs and the last visits.

Everything in it was said by the real door: its pins, its log lines, its screen, its door log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from doorctl.access.panel import PanelState
from doorctl.access.reasons import Reason
from doorctl.config.wiring import Gpio
from doorctl.demo.play import as_written
from doorctl.demo.scenes import Words
from doorctl.demo.stage import Line

MOST_VISITS = 12
MOST_LINES = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, as staff see it.

    Args:
        at: when it was decided.
        reason: how it ended.
        attempt: its number.
        card: what stands for the card in the door log; None for no card.
    """

    at: datetime
    reason: Reason
    attempt: int
    card: str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything at one moment.

    Args:
        lit: which of green, red, buzzer and relay are on.
        beeps: how often the buzzer has sounded; most beeps are shorter than a look.
        screen: what the screen at the door shows; None while the door does not say.
        plugs: which of reader and keypad are plugged in.
        scene: the title of the scene that is played; None while no evening is.
        story: what happens in it.
        visits: the last ones, newest first.
        lines: the door's last log lines, newest first.
        staff_pages: port of the staff pages; 0 while they are not there.
        hurdle: why there are none.
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
    """Holds the sight of this moment and tells whoever looks that it is another. Thread-safe.

    Args:
        gpio: which pin is which.
        card_of: returns what stands for an attempt's card in the door log.
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
        """What is to be seen now."""
        return self._sight

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call something, from any thread, at each change for as long as this lasts."""
        with self._lock:
            self._changed.add(changed)
        try:
            yield
        finally:
            with self._lock:
                self._changed.discard(changed)

    def wake(self) -> None:
        """Call all that watch, though nothing has changed."""
        with self._lock:
            told = tuple(self._changed)
        for changed in told:
            changed()

    def change(self, step: Callable[[Sight], Sight]) -> None:
        """Take a step from the sight that is to the one that will be."""
        with self._lock:
            before, self._sight = self._sight, step(self._sight)
        if before != self._sight:
            self.wake()

    def pin(self, name: str, high: bool) -> None:
        """Hear that the door has driven a pin."""
        if what := self._names.get(name):
            self.change(lambda sight: _driven(sight, what, high))

    def dark(self) -> None:
        """Note that the door's process is gone: the kernel lets go of its pins, and all is off."""
        self.change(lambda sight: replace(sight, lit=frozenset()))

    def line(self, line: Line) -> None:
        """Hear a log line of the door."""
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
