from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.commands import doors_under
from tests.e2e.door import Door, Staged
from tests.e2e.kinds import CABLED
from tests.e2e.people import write_feed
from tests.fakes.keyboard import built
from tests.fakes.waiting import until
from tests.web.branch import Branch

CONFIG = """
[branch]
name = "Prøvebiblioteket"
id = "proeve"

[storage]
directory = "replaced"

[secrets]
installation_key_file = "replaced"

[controller] # what check-config warns of where it is empty
name = "Prøve Kommune"
address = "Prøvevej 1, 8900 Prøve"
mail = "post@example.org"
phone = "12345678"

[seal] # as cheap as Argon2 can be: nothing here is secret
memory_kib = 8
iterations = 1

[reader]
port = "replaced"

[keypad]
digit_timeout_s = 60.0
total_timeout_s = 300.0

[gpio]
factory = "mock"
green_pin = 23
red_pin = 24
buzzer_pin = 25

[door]
release_s = 0.5

[clock]
trust = "always"
"""

IMPATIENT = ("keypad.digit_timeout_s=1", "keypad.total_timeout_s=2")
"""For tests that wait for a time-out; all others would fail by it on a machine that is busy."""

LOADED = ("installation.key", "patrons.db", "visits.db")


WHOLE = {"test_running", "test_usage", "test_upgrade", "test_canaries"}
"""Files that look at a process; the others look at what it does, and it is spared its imports."""


@pytest.fixture(autouse=True, scope="module")
def forking(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the processes of a file as forks."""
    Staged.forked = Branch.forked = Path(request.path).stem not in WHOLE
    yield
    Staged.forked = Branch.forked = False


class Doors:
    """Makes doors whose patrons are loaded already; each has a directory of its own."""

    def __init__(self, factory: pytest.TempPathFactory, stack: ExitStack, loaded: Loaded) -> None:
        self._factory = factory
        self._stack = stack
        self._loaded = loaded
        self.feed, self.pins = loaded.feed, loaded.pins

    def made(self, *overrides: str) -> Door:
        """Return a door that has not been started."""
        directory = self._factory.mktemp("door")
        for name in LOADED:
            shutil.copy2(self._loaded.directory / name, directory / name)
        return self.bare(directory, *overrides)

    def started(self, *overrides: str) -> Door:
        """Return a door that is ready."""
        door = self.made(*overrides)
        door.start()
        return door

    def bare(self, directory: Path, *overrides: str) -> Door:
        """Return a door in a directory in which nothing has been made for it."""
        door = Door(directory, self._loaded.config, overrides, pins=self._loaded.pins)
        return self._stack.enter_context(door)


class Loaded:
    """What `init` and `patrons load` leave, made once: a template that doors are copied from."""

    def __init__(self, root: Path, *overrides: str) -> None:
        self.config = root / "door.toml"
        self.config.write_text(CONFIG, encoding="utf-8")
        self.pins = root / "pins"
        self.directory = root / "loaded"
        self.feed = write_feed(root / "feed.ndjson")
        self.directory.mkdir()
        lay_out_pins(self.pins)
        with Door(self.directory, self.config, overrides, pins=self.pins) as door:
            for words in (("init",), ("patrons", "load", str(self.feed), "--full")):
                done = door.call(*words)
                assert done.returncode == 0, done.stderr


def lay_out_pins(pins: Path) -> None:
    """Make a directory with the entry point of the recorded pins."""
    information = pins / "recorded_pins-1.dist-info"
    information.mkdir(parents=True)
    shutil.copy2(Path(__file__).with_name("recorded_pins.py"), pins)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: recorded-pins\n")
    (information / "entry_points.txt").write_text(
        "[gpiozero_mock_pin_classes]\nrecorded = recorded_pins:RecordedPin\n"
    )


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Seal the patrons once for all tests."""
    return Loaded(tmp_path_factory.mktemp("e2e"))


@pytest.fixture
def doors(tmp_path_factory: pytest.TempPathFactory, loaded: Loaded) -> Iterator[Doors]:
    """Make doors that end with the test."""
    with ExitStack() as stack:
        yield Doors(tmp_path_factory, stack, loaded)


@pytest.fixture(scope="session")
def keyboards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what answers for the kernel about keyboards."""
    return built(tmp_path_factory.mktemp("keyboards"))


@pytest.fixture(scope="module")
def shared_door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, loaded: Loaded
) -> Iterator[Door]:
    """Give the tests of a file a door whose worker has come to rest; they don't disturb each other.

    While much waits for it at a start, an unreadable card is not put on record. A file may name the
    kinds of its reader and keypad, as parameters.
    """
    kind = getattr(request, "param", "serial")
    with ExitStack() as stack:
        door = Doors(tmp_path_factory, stack, loaded).made()
        CABLED[kind](door)
        if kind == "usb":
            door.doors = doors_under(str(request.getfixturevalue("keyboards")))
        door.start()
        until(lambda: door.said("purge"))
        door.call("selftest")  # which the worker does in its turn
        yield door


@pytest.fixture
def door(doors: Doors) -> Door:
    """Give a door that has not been started."""
    return doors.made()


@pytest.fixture
def bare(doors: Doors, tmp_path: Path) -> Door:
    """Give a door in an empty directory."""
    return doors.bare(tmp_path)


@pytest.fixture
def branch(door: Door) -> Door:
    """Give a branch that is open at all hours and takes codes, whose file nobody else writes."""
    return door.configured("policy.code_entry=true")
