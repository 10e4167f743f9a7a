"""A kind of reader and keypad is a folder of extras: its keys in both tables, and its devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extras.copies import Copy
from tests.fakes.waiting import LIMIT_S

MADE = '''
"""A kind of line whose device says of itself what it is for."""

from dataclasses import dataclass
from threading import Event, Thread

from doorctl.config.tables import Keypad, Reader, key
from doorctl.core.errors import DeviceError
from doorctl.devices.lines import BytesReceived, LineConnected
from doorctl.extras.extra import Extra, Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReader(Reader):
    """What the kind has of its own."""

    pace: int = key(3, within=(1, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKeypad(Keypad):
    """The same for a keypad."""

    pace: int = key(3, within=(1, 9))


class Device:
    """One device for all lines that are of this kind; its lamps are broken."""

    def __init__(self, parts):
        self._parts, self._stopping = parts, Event()
        self._thread = Thread(target=self._run, daemon=True)

    @property
    def alive(self):
        return self._thread.is_alive()

    def start(self):
        self._thread.start()

    def stop(self):
        self._stopping.set()
        self._thread.join()
        self._parts.log.emit("made", state="stopped")

    def show(self, lamps):
        raise DeviceError("no lamp is lit")

    def _run(self):
        for name in self._parts.names:
            self._parts.post(LineConnected(name))
        self._parts.post(BytesReceived("reader", b"3000001234\\r", self._parts.monotonic_s()))
        names, paces = " ".join(self._parts.names), pace(self._parts.config)
        self._parts.log.emit("made", state="begun", why=f"{names}: {paces}")
        self._stopping.wait()


def pace(config):
    return " ".join(str(getattr(line, "pace", None)) for line in (config.reader, config.keypad))


def lines(parts):
    device = Device(parts)
    return Lines((device,), signals=device)


EXTRA = Extra(sections={SECTIONS}, lines=lines)
'''


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Return a copy of the package whose kinds are made ones; of ``usb`` keypads have keys too."""
    copy = Copy.of(tmp_path / "copy")
    for name, sections in (
        ("usb", '{"reader": MadeReader, "keypad": MadeKeypad}'),
        ("osdp", '{"reader": MadeReader}'),
    ):
        copy.delete(name)
        folder = copy.directory / "doorctl/extras" / name
        folder.mkdir()
        (folder / "__init__.py").write_text(MADE.replace("{SECTIONS}", sections))
    return copy


def useless(name: str, kind: str) -> str:
    """Return the line about a key of another kind."""
    beside = f'{name.partition(".")[0]}.kind = "{kind}"'
    return f"{name}: does nothing beside {beside}; leave it out"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('kind = "usb"\npace = 5', []),
        ("pace = 3", []),
        ("pace = 5", [useless("reader.pace", "serial")]),
        (
            'kind = "usb"\npace = 10',
            ["reader.pace: found 10; give a whole number from 1 to 9, such as 3"],
        ),
        (
            'kind = "usb"\nbaud = 1200',
            [useless("reader.baud", "usb")],
        ),
        (
            'kind = "osdp"\npace = 4\n[keypad]\nkind = "osdp"\npace = 5',
            [useless("keypad.pace", "osdp")],
        ),
        (
            'pace = 4\n[keypad]\nkind = "usb"\nport = "/dev/x"\npace = 5',
            [useless("reader.pace", "serial")],
        ),
        ('kind = "usb"\npaec = 5', ["reader.paec: unknown key; did you mean reader.pace?"]),
    ],
)
def test_a_kind_has_its_keys_where_it_is_asked_for(copy: Copy, lines: str, told: list[str]) -> None:
    """Each of both tables has the keys of its own kind; one of another kind is refused by name."""
    copy.configure(lines)

    checked = copy.run("check-config")

    assert checked.stderr.splitlines() == [f"{copy.file}: {line}" for line in told]
    assert checked.returncode == bool(told)


def test_a_kind_that_was_deleted_is_missed_in_each_table_that_asks_for_it(copy: Copy) -> None:
    """A line for each, and none about keys that only it could tell of."""
    copy.delete("usb")
    copy.configure('kind = "usb"\npace = 5\n[keypad]\nkind = "usb"\nport = "/dev/x"\npace = 5')
    what = "this installation has no extra usb; install one that has it, or give another value"

    assert copy.run("check-config").stderr.splitlines() == [
        f"{copy.file}: {table}.kind: {what}" for table in ("reader", "keypad")
    ]


def events_of(copy: Copy) -> Iterator[dict[str, object]]:
    """Run the door until it has said `ready` and decided, and return what it says."""
    with subprocess.Popen(
        [sys.executable, "-m", "doorctl", "run", "--config", str(copy.file)],
        cwd=copy.directory,
        env={**os.environ, "PYTHONPATH": str(copy.directory)},
        stdout=subprocess.PIPE,
        text=True,
    ) as door:
        assert door.stdout is not None
        ending = threading.Timer(LIMIT_S, door.kill)
        ending.start()
        awaited = {"ready", "decision"}
        try:
            for line in door.stdout:
                event = json.loads(line)
                yield event
                awaited.discard(event["event"])
                if not awaited:
                    door.terminate()
        finally:
            ending.cancel()


def test_one_device_serves_two_lines_and_has_lamps_of_its_own(copy: Copy) -> None:
    """Its bytes are decided on; its lamps fail, which is told and stops nobody; it is stopped."""
    copy.configure('kind = "osdp"\npace = 4\n[keypad]\nkind = "osdp"')
    assert copy.run("init").returncode == 0

    events = list(events_of(copy))

    made = [event for event in events if event["event"] == "made"]
    told = [(event["state"], event.get("why")) for event in made]
    assert told == [("begun", "reader keypad: 4 None"), ("stopped", None)]
    connected = {str(event["event"]) for event in events if event.get("state") == "connected"}
    assert connected == {"reader", "keypad"}
    (decided,) = (event for event in events if event["event"] == "decision")
    assert decided["verdict"] == "refused"
    failing = [event for event in events if event.get("kind") == "lamps_failing"]
    assert [event["why"] for event in failing] == ["no lamp is lit"]


def test_two_lines_of_two_kinds_are_two_devices(copy: Copy) -> None:
    """Each kind is given the lines that are of it."""
    copy.configure('kind = "osdp"\n[keypad]\nkind = "usb"\nport = "/dev/x"\npace = 5')
    assert copy.run("init").returncode == 0

    made = [event for event in events_of(copy) if event["event"] == "made"]

    whys = {event.get("why") for event in made}
    assert whys == {"keypad: 3 5", "reader: 3 5", None}
