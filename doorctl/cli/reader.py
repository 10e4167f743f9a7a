"""``doorctl reader``: what is plugged in, and what comes of a card, while no door runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic  # noqa: TID251 - how long a line is quiet
from typing import TYPE_CHECKING, TypeAlias

import click

from doorctl.cards.inspection import (
    SENTENCES,
    Inspected,
    Inspector,
    keypad_inspector,
    masked,
    reader_inspector,
)
from doorctl.cli.options import config_options, json_option, print_json, root_option
from doorctl.config import Config, load
from doorctl.core.errors import DeviceError, DoorctlError, InputError
from doorctl.core.language import own as language
from doorctl.core.ports import WELL

if TYPE_CHECKING:
    from doorctl.devices.lines import LineEvent
    from doorctl.extras.extra import Probe

Heard: TypeAlias = "SimpleQueue[LineEvent | _Interrupted]"

Say = Callable[[str], str]
"""English -> the branch's language."""


@click.group()
def reader() -> None:
    """Find readers, and see what comes of a card."""


@reader.command()
@json_option
@config_options
def watch(config_path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show what comes of each card and key, until Ctrl-C.

    Nothing is stored, and digits show as 9, letters as A. A door that runs holds its lines: stop
    it before.
    """
    config = load(config_path, overrides, os.environ)
    say = language(config.branch.language).words.gettext
    if not as_json:
        click.echo(say("Swipe cards and press keys; Ctrl-C ends this. Nothing is stored."))
    try:
        _watch(config, say, as_json=as_json)
    except KeyboardInterrupt:
        return


def _watch(config: Config, say: Say, *, as_json: bool) -> None:
    from doorctl.devices.lines import BytesReceived, LineLost
    from doorctl.extras.extra import LineParts
    from doorctl.wiring.lines import built_lines, line_names

    heard: Heard = SimpleQueue()
    names = line_names(config)
    inspectors = {name: _inspector(name, config) for name in names}
    with ExitStack() as stack:
        stack.enter_context(_interrupted_by(heard))
        log = _Output(say, as_json=as_json, has_bits=config.reader.kind == "osdp")
        parts = LineParts(config, names, heard.put, heard.qsize, monotonic, log)
        for device in [device for built in built_lines(parts) for device in built.devices]:
            device.start()
            stack.callback(device.stop)
        while True:
            event = _next(heard, inspectors.values())
            if isinstance(event, _Interrupted):
                return
            for name, inspector in inspectors.items():
                if (seen := inspector.ended(monotonic())) is not None:
                    log.inspected(name, seen)
            if isinstance(event, BytesReceived):
                inspectors[event.line].receive(event.data, monotonic())
            elif event is not None:
                why = event.why if isinstance(event, LineLost) else None
                log.emit(event.line, state="connected" if why is None else "lost", why=why)
                if why is not None and _door_runs(config):
                    text = "The door process runs and holds its lines. Stop it for a while: {stop}"
                    raise DeviceError(say(text).format(stop="systemctl stop doorctl-door"))


class _Interrupted:
    """Ctrl-C was pressed."""


@contextmanager
def _interrupted_by(heard: Heard) -> Iterator[None]:
    """Put Ctrl-C on the queue until the end of the block.

    An exception would end whatever runs in that moment, and Python complains of some of it.
    """
    before = signal.signal(signal.SIGINT, lambda *_: heard.put(_Interrupted()))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _next(heard: Heard, inspectors: Iterable[Inspector]) -> LineEvent | _Interrupted | None:
    """Return the next event; None once a line is to be looked at."""
    due = [each.deadline_s for each in inspectors if each.deadline_s is not None]
    try:
        return heard.get(timeout=max(0.0, min(due) - monotonic()) if due else None)
    except Empty:
        return None


def _inspector(name: str, config: Config) -> Inspector:
    from doorctl.devices.lines import KEYPAD

    keys = config.keypad.key_bytes
    if name == KEYPAD:
        return keypad_inspector(keys)
    return reader_inspector(carries_keys=not config.has_keypad_line, key_bytes=keys)


def _door_runs(config: Config) -> bool:
    from doorctl.rpc.question import Nothing
    from doorctl.rpc.status import STATUS

    try:
        STATUS.ask(config.control.socket, Nothing())
    except DoorctlError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Output:
    """Where a line's events and a device's alarms go: the terminal, in words or as JSON."""

    say: Say
    as_json: bool
    has_bits: bool

    def emit(self, event: str, **fields: str | float | bool | None) -> None:
        """Tell of a line that was connected or lost, or of an alarm."""
        known = {name: value for name, value in fields.items() if value is not None}
        if event == WELL:
            return
        if self.as_json:
            print_json({"event": event, **known})
        else:
            state = known.pop("state", None)
            words = ([self.say(str(state))] if state else []) + [*map(str, known.values())]
            click.echo(f"{event}: {'; '.join(words)}")

    def inspected(self, name: str, seen: Inspected) -> None:
        """Tell what came of a line."""
        if self.as_json:
            meanings = [meaning.value for meaning in seen.meanings]
            about = {"shape": seen.shape, "framing": seen.framing, "bits": seen.bits}
            print_json({"event": name, **about, "meanings": meanings})
            return
        click.echo(f"{name}: {'; '.join(self._parts(seen))}")

    def _parts(self, seen: Inspected) -> Iterator[str]:
        from doorctl.devices.lines import NO_NUMBER

        say = self.say
        if self.has_bits and seen.shape == masked(NO_NUMBER):
            yield say("unreadable: a wrong parity, or bits that reader.osdp_number does not read")
            return
        yield ", ".join(self._meanings(seen)) or say("nothing that a door reads")
        yield seen.shape
        if not seen.is_keys:
            framing = say("framing: {framing}") if seen.framing else say("no CR or other end")
            yield framing.format(framing=seen.framing)
        if seen.bits:
            yield say("it looks like {bits}: see data_bits and parity").format(bits=seen.bits)
        elif "<high>" in seen.shape and not seen.is_read:
            yield say("the speed or the bits are wrong: see baud, data_bits and parity")

    def _meanings(self, seen: Inspected) -> Iterator[str]:
        for meaning, same in groupby(seen.meanings):
            count = sum(1 for _ in same)
            yield self.say(SENTENCES[meaning]) + (f" ({count})" if count > 1 else "")


@reader.command("list")
@click.option("--osdp", is_flag=True, help="Ask serial lines for an OSDP reader: sends bytes.")
@json_option
@root_option("dev stands")
def list_(root: Path, osdp: bool, as_json: bool) -> None:
    """Find what is plugged in, and print its lines of the configuration.

    Serial lines, and what types as a keyboard does, as USB scanners do. A keypad's lines go under
    [keypad]. Nothing is sent, but with --osdp.
    """
    found = _plugged(root / "dev", _osdp_probe() if osdp else None)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    tables = [each.as_table() for each in found]
    click.echo("\n".join(tables) or "# Nothing is plugged in; check the cable.")


@dataclass(frozen=True, slots=True)
class _Found:
    """What can be a reader: its node, its part of [reader], and why it can't be asked."""

    device: str
    reader: Mapping[str, object]
    why: str = ""

    def as_table(self) -> str:
        """Return its lines of the configuration, under its node as a comment."""
        from doorctl.admin.setup import as_toml

        why = f": {self.why}" if self.why else ""
        return f"# {self.device}{why}\n[reader]\n{as_toml({**self.reader})}"


def _plugged(dev: Path, probe: Probe | None) -> Iterator[_Found]:
    from doorctl.devices.plugged import bare_lines, serial_lines
    from doorctl.extras.extra import hung_on

    lines = serial_lines(dev)
    named = {path.resolve() for path in lines}
    for path in (*lines, *(path for path in bare_lines(dev) if path.resolve() not in named)):
        found = _Found(str(path.resolve()), {"port": str(path)})
        if probe is not None:
            try:
                found = replace(found, reader=probe(str(path)) or found.reader)
            except DeviceError as error:
                found = replace(found, why=str(error))
        yield found
    for kind, extra in hung_on().items():
        for path in () if extra.plugged is None else extra.plugged(dev):
            yield _Found(str(path.resolve()), {"kind": kind, "port": str(path)})


def _osdp_probe() -> Probe:
    from doorctl.extras.extra import hung_on

    probes = [extra.probe for extra in hung_on().values() if extra.probe is not None]
    if not probes:
        raise InputError("this installation has no extra osdp")
    return probes[0]
