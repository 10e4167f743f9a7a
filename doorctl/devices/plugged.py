"""What is plugged in that can be a reader or a keypad, by the names that udev gives it."""

from __future__ import annotations

from pathlib import Path


def serial_lines(dev: Path) -> list[Path]:
    """Return the serial adapters, by names that survive re-plugging; `dev` is ``/dev``."""
    return sorted(dev.glob("serial/by-id/*"))


def bare_lines(dev: Path) -> list[Path]:
    """Return the serial lines by their bare names, among them a Pi's own."""
    patterns = ("ttyACM*", "ttyUSB*", "ttyAMA*", "serial[0-9]")
    return sorted(path for pattern in patterns for path in dev.glob(pattern))
