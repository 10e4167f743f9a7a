"""A scanner or keypad that is a USB keyboard, for ``reader.kind = "usb"`` and ``keypad.kind``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doorctl.config.tables import Keypad, Reader, key
from doorctl.extras.extra import Extra, LineParts, Lines

if TYPE_CHECKING:
    from doorctl.devices.lines import Line

LayoutName = Literal["danish", "us"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbReader(Reader):
    """What a USB scanner alone reads of [reader]."""

    layout: LayoutName = key("danish")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbKeypad(Keypad):
    """What a USB keypad alone reads of [keypad]."""

    layout: LayoutName = key("danish")


def lines(parts: LineParts) -> Lines:
    """Return a device for each of the lines."""
    from doorctl.extras.usb.device import InputLine
    from doorctl.extras.usb.layouts import LAYOUTS

    def line(name: str, section: Reader) -> Line | None:
        if name not in parts.names or not isinstance(section, UsbReader | UsbKeypad):
            return None
        return InputLine(
            name,
            section.port,
            LAYOUTS[section.layout],
            parts.post,
            parts.pending,
            is_keypad=name == "keypad",
            monotonic_s=parts.monotonic_s,
        )

    config = parts.config
    made = (line("reader", config.reader), line("keypad", config.keypad))
    return Lines(tuple(filter(None, made)))


def plugged(dev: Path) -> list[Path]:
    """Return what types as a keyboard does, scanners too, by names that survive re-plugging."""
    return sorted(dev.glob("input/by-id/*-event-kbd"))


EXTRA = Extra(sections={"reader": UsbReader, "keypad": UsbKeypad}, lines=lines, plugged=plugged)
