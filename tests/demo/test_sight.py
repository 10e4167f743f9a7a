"""Bugs that were found.

Bug (soak): mock pins kept every state they ever had: 0.25 KiB a visit (the demo's own).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from doorctl.access.patron import Reason
from doorctl.config.tables import Gpio
from doorctl.demo.door import MOST_LINES, MOST_VISITS, Plug, Seen, Window, Wires

GPIO = Gpio(factory="mock", green_pin=23, red_pin=24, buzzer_pin=25)
AT = "2026-01-02T20:00:00Z"


def window() -> Window:
    """Return a window on a door whose every visitor has the same card."""
    return Window(GPIO, lambda attempt: "9cfa8b28" if attempt else None)


def test_what_the_pins_are_driven_to_is_seen() -> None:
    """Lamps, relay and buzzer by their pins; a beep counts once, another pin not at all."""
    seen = window()

    for name, high in (("GPIO17", 1), ("GPIO25", 1), ("GPIO25", 1), ("GPIO25", 0), ("GPIO4", 1)):
        seen.pin(name, bool(high))

    assert (seen.sight.lit, seen.sight.beeps) == (frozenset({"relay"}), 1)


def test_a_decision_is_a_visit_and_old_ones_are_let_go() -> None:
    """The newest stands first, with its card's pseudonym; memory is bounded."""
    seen = window()
    wrong = {"event": "decision", "at": AT, "reason": "wrong_pin", "attempt": 7}

    for _ in range(MOST_LINES + 1):
        seen.line(wrong)
        seen.line({"event": "relay", "energised": False})
    seen.line({**wrong, "reason": "card_unreadable", "attempt": 0})

    newest, before = seen.sight.visits[:2]
    assert (newest.reason, newest.card) == (Reason.CARD_UNREADABLE, None)
    assert before == Seen(before.at, Reason.WRONG_PIN, "9cfa8b28")
    assert (len(seen.sight.visits), len(seen.sight.lines)) == (MOST_VISITS, MOST_LINES)


def test_only_changes_are_told_and_only_while_somebody_looks() -> None:
    """A pin that is driven to where it is wakes nobody."""
    seen, told = window(), []

    with seen.watched(lambda: told.append(seen.sight.lit)):
        seen.pin("GPIO23", high=True)
        seen.pin("GPIO23", high=True)
    seen.pin("GPIO23", high=False)

    assert told == [frozenset({"green"})]


def test_a_pin_says_each_level_down_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, by name; without a listener it goes on, and it keeps nothing of what it was."""
    heard: list[tuple[str, bool]] = []
    wires = Wires(lambda name, high: heard.append((name, high)))
    for name, value in wires.environment({}).items():
        monkeypatch.setenv(name, value)
    factory = MockFactory()
    pin = factory.pin(17)
    pin.function = "output"
    pin.state = 1
    pin.state = 0
    wires.close()
    wires.close()
    pin.state = 1
    kept = len(pin.states)
    factory.close()

    assert kept == 1
    assert heard[-2:] == [("GPIO17", True), ("GPIO17", False)]


def test_a_plug_tells_when_it_is_moved(tmp_path: Path) -> None:
    """Who watches the door sees it, whoever moved it; what is out already is not pulled again."""
    moved: list[bool] = []
    plug = Plug(tmp_path / "reader", moved.append)

    plug.put_in()
    plug.pull()
    plug.pull()

    assert moved == [True, False]
