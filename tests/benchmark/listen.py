"""Reads the lines of a configuration, and says when a card is an identifier and a key is a digit.

Run as a script with ``--config=FILE`` and ``--set KEY=VALUE``, as doorctl is; a process of its own,
as the door is.
"""

from __future__ import annotations

import queue
import time
from contextlib import ExitStack
from pathlib import Path

import click

from doorctl.cards.keys import KeypadLine
from doorctl.config import load
from doorctl.core.readings import CardRead
from doorctl.devices.lines import KEYPAD, BytesReceived, LineConnected, LineEvent
from doorctl.doord.self_test import card_reader
from doorctl.extras.extra import LineParts
from doorctl.wiring.lines import built_lines, line_names


class SilentLog:
    """Keeps nothing."""

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Drop one line."""


@click.command()
@click.option("--config", type=Path, required=True)
@click.option("--set", "overrides", multiple=True)
def listen(config: Path, overrides: tuple[str, ...]) -> None:
    """Print ``open`` for each line, then CLOCK_MONOTONIC in nanoseconds at each card and key."""
    loaded = load(config, overrides)
    events: queue.SimpleQueue[LineEvent] = queue.SimpleQueue()
    reader, keypad = card_reader(loaded), KeypadLine(loaded.keypad.key_bytes)
    with ExitStack() as stack:
        parts = LineParts(
            loaded,
            line_names(loaded),
            post=events.put,
            pending=events.qsize,
            monotonic_s=time.monotonic,
            log=SilentLog(),
        )
        for device in (device for lines in built_lines(parts) for device in lines.devices):
            device.start()
            stack.callback(device.stop)
        while True:
            event = events.get()
            match event:
                case LineConnected():
                    click.echo("open")
                case BytesReceived(line=line, data=data) if line == KEYPAD:
                    for _ in keypad.receive(data, time.monotonic())[0]:
                        click.echo(time.monotonic_ns())
                case BytesReceived(data=data):
                    reader.receive(data, time.monotonic())
                    while (found := reader.next_reading(awaiting_pin=False)) is not None:
                        if isinstance(found, CardRead):
                            click.echo(time.monotonic_ns())


if __name__ == "__main__":
    listen()
