"""The word that the daemon leaves for systemd, which locks with it where no Python can start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from doorctl.config.tables import Gpio
from doorctl.devices.pins import leave_word


@dataclass
class Chip(MockFactory):  # type: ignore[misc]
    """Pins that say which chip they are on, as lgpio's do."""

    chip: int = 0


@pytest.mark.parametrize(
    ("gpio", "chip", "word"),
    [
        (Gpio(factory="mock"), 0, "/dev/gpiochip0 17 0\n"),
        (Gpio(factory="mock", relay_pin=20, relay_active_high=False), 4, "/dev/gpiochip4 20 1\n"),
    ],
)
def test_the_word_is_chip_pin_and_the_level_that_locks(
    tmp_path: Path, gpio: Gpio, chip: int, word: str
) -> None:
    """It follows the configuration and the chip in use; nothing else has to be known to lock."""
    leave_word(gpio, Chip(chip), {"RUNTIME_DIRECTORY": str(tmp_path)})

    assert (tmp_path / "relay").read_text() == word


def test_without_a_chip_there_is_no_word(tmp_path: Path) -> None:
    """Mock pins belong to none, and a word about one would drive a pin of this machine."""
    leave_word(Gpio(factory="mock"), MockFactory(), {"RUNTIME_DIRECTORY": str(tmp_path)})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("environment", [{}, {"RUNTIME_DIRECTORY": "/nowhere/at/all"}])
def test_a_word_that_cannot_be_left_keeps_nobody_out(environment: dict[str, str]) -> None:
    """Started by hand, or on a full disk: the daemon goes on, and our own command locks."""
    leave_word(Gpio(factory="mock"), Chip(0), environment)
