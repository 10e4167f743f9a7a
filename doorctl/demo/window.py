"""What the drawn door shows: pins, log lines, screen and door log of the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from doorctl.access.panel import PanelState
from doorctl.access.patron import Reason
from doorctl.config.tables import Gpio
from doorctl.demo.door import Line, as_written
from doorctl.demo.scenes import Scene

MOST_VISITS = 12

MOST_LINES = 30


@dataclass(frozen=True, slots=True)
class VisitShown:
    """One attempt, as staff see it; `card` is the pseudonym in the door log, None for no card."""

    at: datetime
    reason: Reason
    card: str | None


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that can be seen at one moment; visits and lines have the newest first.

    `lit` are those of green, red, buzzer and relay that are on; most of the buzzer's `beeps` are
    shorter than a look. `screen` is None while the door does not say what it shows, `staff_pages`
    0 while they are not there, and `hurdle` says why.
    """

    lit: frozenset[str] = frozenset()
    beeps: int = 0
    screen: PanelState | None = None
    plugs: frozenset[str] = frozenset()
    scene: Scene | None = None
    visits: tuple[VisitShown, ...] = ()
    lines: tuple[str, ...] = ()
    staff_pages: int = 0
    hurdle: str = ""


class Window:
    """Holds the `sight` of this moment; where nothing changed it is equal. Thread-safe.

    `card_of` returns the pseudonym of an attempt's card in the door log.
    """

    def __init__(self, gpio: Gpio, card_of: Callable[[int], str | None]) -> None:
        names = {
            gpio.green_pin: "green",
            gpio.red_pin: "red",
            gpio.buzzer_pin: "buzzer",
            gpio.relay_pin: "relay",
        }
        self._names = {f"GPIO{pin}": name for pin, name in names.items()}
        self._card_of = card_of
        self._lock = threading.Lock()
        self.sight = Sight()

    def change(self, step: Callable[[Sight], Sight]) -> None:
        """Replace the sight by what `step` makes of it."""
        with self._lock:
            self.sight = step(self.sight)

    def pin(self, name: str, high: bool) -> None:
        """Note that the door has set a pin."""
        if what := self._names.get(name):
            self.change(lambda sight: _driven(sight, what, high))

    def line(self, line: Line) -> None:
        """Note a log line of the door."""
        seen = (self._visit(line),) if line["event"] == "decision" else ()
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

    def note(self, **what: Any) -> None:
        """Note the new value of some of the fields of `Sight`, such as ``screen=``."""
        self.change(lambda sight: replace(sight, **what))

    def _visit(self, line: Line) -> VisitShown:
        at = datetime.fromisoformat(line["at"])
        return VisitShown(at, Reason(line["reason"]), self._card_of(line["attempt"]))


def _driven(sight: Sight, what: str, high: bool) -> Sight:
    if high == (what in sight.lit):
        return sight
    lit = sight.lit | {what} if high else sight.lit - {what}
    return replace(sight, lit=lit, beeps=sight.beeps + (high and what == "buzzer"))
