"""The lines of a door: each is built by its kind, serial lines here and others by their extra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from doorctl.config import Config
from doorctl.config.tables import Keypad, Reader
from doorctl.core.errors import DeviceError
from doorctl.devices.lines import KEYPAD, READER
from doorctl.devices.serial_line import SerialLine
from doorctl.extras.extra import LineParts, Lines, extra_named


def line_names(config: Config) -> tuple[str, ...]:
    """Return the lines that a configuration has."""
    return (READER, KEYPAD) if config.has_keypad_line else (READER,)


def built_lines(parts: LineParts) -> list[Lines]:
    """Return the devices of the named lines, by kind; none is started.

    Raises DeviceError, KeyFileError: what a kind needs can't be had.
    """
    kinds: dict[str, tuple[str, ...]] = {}
    for name in parts.names:
        kind = _section(parts.config, name).kind
        kinds[kind] = (*kinds.get(kind, ()), name)
    return [_builder(kind)(replace(parts, names=names)) for kind, names in kinds.items()]


def _builder(kind: str) -> Callable[[LineParts], Lines]:
    if kind == "serial":
        return serial_lines
    extra = extra_named(kind)
    if extra is None or extra.lines is None:
        raise DeviceError(f"this installation can't read a line of the kind {kind}")
    return extra.lines


def serial_lines(parts: LineParts) -> Lines:
    """Return the serial lines."""
    sections = {name: _section(parts.config, name) for name in parts.names}
    return Lines(
        tuple(
            SerialLine(
                name,
                section.port,
                section.baud,
                parts.post,
                parts.pending,
                bits=f"{section.data_bits}{section.parity[0].upper()}{section.stop_bits}",
                monotonic_s=parts.monotonic_s,
            )
            for name, section in sections.items()
        )
    )


def _section(config: Config, name: str) -> Reader | Keypad:
    return config.keypad if name == KEYPAD else config.reader
