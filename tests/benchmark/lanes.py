"""Whole doors at which people come and go, as fast as the shortest release allows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from doorctl.demo.stage import Stage, shipped
from doorctl.errors import NotAnsweringError
from doorctl.moments import BootTime
from doorctl.store.visits_reader import VisitHistory
from tests.benchmark.register import Register, cards

RELEASE_S = 0.5
"""The shortest that the configuration allows; the next grant is timed once it is over."""

LOOK_S = 0.005
PREPARE_LIMIT_S = 10.0
TYPING_S = 0.03


class Lane:
    """One running door and its patrons.

    Args:
        stage: a started door.
        history: its door log.
    """

    def __init__(self, stage: Stage, history: VisitHistory) -> None:
        self.stage = stage
        self._history = history
        self._cards = cards()
        self._attempts = 0
        self._last_digit = b""
        self._locked = True

    def approach(self) -> None:
        """Swipe the next card and type all digits but the last, once the attempt is on record."""
        card = next(self._cards)
        self.stage.reader.send(card.swipe)
        self._attempts += 1
        self._await_record()
        self.stage.keypad.send(card.pin[:-1].encode())
        self._last_digit = card.pin[-1:].encode()

    def enter_ns(self) -> int:
        """Type the last digit; return how long it takes until the relay is on."""
        before = time.monotonic_ns()
        self.stage.keypad.send(self._last_digit)
        line = self.stage.wait_for("relay", energised=True)
        self._locked = False
        return int(line["monotonic_ns"]) - before

    def await_lock(self) -> None:
        """Wait until the last patron's release is over."""
        if not self._locked:
            self.stage.wait_for("relay", energised=False)
            self._locked = True

    def _await_record(self) -> None:
        limit_s = time.monotonic() + PREPARE_LIMIT_S
        while self._history.last_attempt() < self._attempts:
            if time.monotonic() > limit_s:
                raise NotAnsweringError("a swipe was not put on record")
            time.sleep(LOOK_S)
