"""`doorctl reader`: what comes of a card where no door runs, and what is plugged in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.extras.osdp.keys import ReaderKey, ReaderKeys, write_keys
from tests.cards.samples import STRIPE
from tests.e2e.conftest import Loaded
from tests.e2e.door import COMMANDS, Door
from tests.e2e.keyed_door import KeyedDoor
from tests.fakes.osdp_peer import KEY, OsdpPeer, cable
from tests.fakes.waiting import LIMIT_S

CARD = "3000001234"
H10301 = bytes.fromhex("80800100")
"""26 bits: facility 1, card 2."""

NAMED = ("--set", "branch.language=en")


HELD = "The door process runs and holds its lines. Stop it for a while: systemctl stop doorctl-door"
SHOWN = (
    (f"{CARD}\r\n", "a library card; 9{10}<CR><LF>; framing: CR LF"),
    ("010170 1234\r", "a health card; 9{6} 9{4}<CR>; framing: CR"),
    ("\x020101701234\x03", "a card of ten digits; <STX>9{10}<ETX>; framing: STX ETX"),
    ("320170-1234\r", "unreadable: as long as a CPR number, but it begins with no date; 9{6}-"),
    ("Jens Jensen", "unreadable: cut off; if that is each card, set the reader to send CR; A{4} "),
    (STRIPE.decode() + "\r", "a health card; %A{3}"),
    (" \r", "nothing that a door reads;  <CR>; framing: CR"),
    ("3000001234", "a library card; 9{10}; no CR or other end"),
)
"""What a reader sends -> how its line begins."""


class Watching:
    """A `reader watch` that runs, and the lines that it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    def line(self) -> str:
        """Return the next line."""
        assert self.process.stdout is not None
        self.said.append(self.process.stdout.readline().rstrip("\n"))
        return self.said[-1]

    def events(self, *names: str) -> list[dict[str, object]]:
        """Return the next events in JSON, one of each name; lines are connected in any order."""
        found = [json.loads(self.line()) for _ in names]
        assert sorted(str(each["event"]) for each in found) == sorted(names)
        return found


@contextmanager
def watching(door: Door, *more: str) -> Iterator[Watching]:
    """Watch both lines of a stage; Ctrl-C ends it with exit code 0, and nothing on stderr."""
    door.reader.put_in()
    door.keypad.put_in()
    command = door.command("reader", "watch", *more)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        ending = threading.Timer(LIMIT_S, process.kill)
        ending.start()
        try:
            watch = Watching(process)
            yield watch
            process.send_signal(signal.SIGINT)
            rest, complained = process.communicate(timeout=LIMIT_S)
            watch.said += rest.splitlines()
            assert (process.returncode, complained) == (0, "")
        finally:
            ending.cancel()
            process.kill()


def test_each_card_and_key_is_shown_without_a_digit_and_nothing_is_stored(door: Door) -> None:
    """Shape, framing, which kind of number, and why one was unreadable, as they come."""
    with watching(door, *NAMED) as watch:
        before = {*door.directory.iterdir()}
        assert "Ctrl-C" in watch.line()
        assert {watch.line(), watch.line()} == {"reader: connected", "keypad: connected"}
        for sent, told in SHOWN:
            door.reader.send(sent.encode("latin-1"))
            assert watch.line().startswith(f"reader: {told}")
        door.keypad.send(b"4")
        assert watch.line() == "keypad: a digit; 9"
        door.keypad.send(b"\x1b")
        assert watch.line() == "keypad: clear; <ESC>"
        assert {*door.directory.iterdir()} == before
    said = "".join(watch.said)
    secrets = (CARD, "0101701234", "1234", "010170", "320170", "DOE", "Jens")
    assert not any(secret in said for secret in secrets)


def test_scripts_get_a_line_of_json_for_each(door: Door) -> None:
    """With the same things in it, in words that do not change."""
    with watching(door, "--json") as watch:
        watch.events("reader", "keypad")
        door.reader.send(b"0101701234\r")
        assert watch.events("reader") == [
            {
                "event": "reader",
                "shape": "9{10}<CR>",
                "framing": "CR",
                "bits": "",
                "meanings": ["ten_digits"],
            }
        ]
        door.reader.pull()
        (lost,) = watch.events("reader")
        assert lost["state"] == "lost"
        assert "check the cable" in str(lost["why"])


def test_a_branch_reads_its_own_language(door: Door) -> None:
    """Danish, unless the configuration has it otherwise."""
    with watching(door) as watch:
        assert watch.line() == "Scan kort, og tryk på taster; Ctrl-C slutter. Intet gemmes."
        watch.line()
        watch.line()
        door.reader.send(f"{CARD}\r".encode())
        assert watch.line() == "reader: et lånerkort; 9{10}<CR>; ramme: CR"


def test_an_osdp_reader_is_watched_by_its_secure_channel(door: Door, tmp_path: Path) -> None:
    """Its cards by `osdp_number`, a wrong parity as unreadable, its keys, and its housing."""
    write_keys(tmp_path / "reader.key", ReaderKeys(ReaderKey(KEY)))
    door.configured(
        "reader.kind=osdp",
        f"reader.port={tmp_path / 'line'}",
        f"reader.osdp_key_file={tmp_path / 'reader.key'}",
        "reader.osdp_number=decimal",
        "keypad.kind=osdp",
        "keypad.port=",
    )
    with cable(tmp_path / "line") as far, watching(door, *NAMED) as watch:
        peer = OsdpPeer(far)
        try:
            watch.line()
            assert {watch.line(), watch.line()} == {"reader: connected", "keypad: connected"}
            peer.swipe(H10301, 26)
            assert watch.line() == "reader: a library card; 9{8}<CR>; framing: CR"
            peer.swipe(bytes([H10301[0] ^ 0x40]) + H10301[1:], 26)
            assert watch.line().startswith("reader: unreadable: a wrong parity, or bits that")
            peer.press("4")
            assert watch.line() == "keypad: a digit; 9"
            peer.tamper(tampered=True)
            assert watch.line().startswith("alarm: reader_tampered; ")
        finally:
            peer.stop()


def test_usb_keyboards_are_watched_as_lines(door: Door, loaded: Loaded, keyboards: Path) -> None:
    """A scanner's Enter is a CR, and a keypad's digit is a key."""
    keyed = KeyedDoor(door, loaded, keyboards)
    with keyed, watching(keyed, *NAMED) as watch:
        watch.line()
        assert {watch.line(), watch.line()} == {"reader: connected", "keypad: connected"}
        keyed.reader.send(f"{CARD}\r".encode())
        assert watch.line() == "reader: a library card; 9{10}<CR>; framing: CR"
        keyed.keypad.send(b"4")
        assert watch.line() == "keypad: a digit; 9"


def test_where_the_door_runs_it_is_told_how_to_stop_it(door: Door) -> None:
    """The door keeps its lines, and goes on."""
    door.start()

    refused = door.call("reader", "watch", *NAMED)

    assert refused.returncode == 1
    assert refused.stderr == f"doorctl: {HELD}\n"
    assert door.call("status").returncode in {0, 3}


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """Return a ``/dev`` with a serial adapter, a Pi's own line, a scanner, a mouse and a disk."""
    dev = tmp_path / "dev"
    for folder in ("serial/by-id", "input/by-id", "input", "disk/by-id"):
        (dev / folder).mkdir(parents=True, exist_ok=True)
    for node in ("ttyUSB0", "ttyAMA0", "input/event3", "input/event4", "sda"):
        (dev / node).touch()
    for link, node in (
        ("serial/by-id/usb-1a86_USB_Serial-if00-port0", "ttyUSB0"),
        ("input/by-id/usb-Honeywell_HID-event-kbd", "input/event3"),
        ("input/by-id/usb-Logitech-event-mouse", "input/event4"),
        ("disk/by-id/usb-disk", "sda"),
    ):
        (dev / link).symlink_to(dev / node)
    return dev


def test_what_is_plugged_in_is_listed_with_its_lines(dev: Path) -> None:
    """By the name that survives re-plugging, each once, ready to be copied."""
    listed = COMMANDS.run(("reader", "list", "--root", str(dev.parent)))

    assert (listed.returncode, listed.stderr) == (0, "")
    assert f'# {dev}/ttyUSB0\n[reader]\nport = "{dev}/serial/by-id/usb-1a86' in listed.stdout
    assert f'# {dev}/ttyAMA0\n[reader]\nport = "{dev}/ttyAMA0"' in listed.stdout
    assert "mouse" not in listed.stdout
    assert "sda" not in listed.stdout


def test_nothing_plugged_in_is_said(tmp_path: Path) -> None:
    """As a comment, and as an empty list for scripts."""
    listed, scripted = (
        COMMANDS.run(("reader", "list", "--root", str(tmp_path), *more))
        for more in ((), ("--json",))
    )

    assert listed.stdout == "# Nothing is plugged in; check the cable.\n"
    assert json.loads(scripted.stdout) == []


def test_an_osdp_reader_is_found_by_asking_alone(tmp_path: Path) -> None:
    """Its address and speed are printed with it; without --osdp no byte is sent."""
    by_id = tmp_path / "dev/serial/by-id"
    by_id.mkdir(parents=True)
    command = ("reader", "list", "--json", "--root", str(tmp_path))
    with cable(by_id / "usb-RS485-if00-port0") as far:
        (unasked,) = json.loads(COMMANDS.run(command).stdout)
        assert unasked["reader"] == {"port": str(by_id / "usb-RS485-if00-port0")}
        os.set_blocking(far, False)
        with pytest.raises(BlockingIOError):
            os.read(far, 1)

        peer = OsdpPeer(far, address=7)
        try:
            (asked,) = json.loads(COMMANDS.run((*command, "--osdp")).stdout)
        finally:
            peer.stop()
    assert asked["reader"] == unasked["reader"] | {"kind": "osdp", "baud": 9600, "osdp_address": 7}


def test_a_line_that_can_not_be_asked_is_listed_with_why(dev: Path) -> None:
    """The others are asked all the same."""
    listed = COMMANDS.run(("reader", "list", "--osdp", "--root", str(dev.parent)))

    assert listed.returncode == 0
    assert "ttyUSB0: " in listed.stdout
    assert "can't be opened as a serial line" in listed.stdout
    assert listed.stdout.count("[reader]") >= 2
