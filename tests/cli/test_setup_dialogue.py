"""`doorctl setup` as somebody at a terminal meets it: each key a byte, each line a real pty."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
import tomllib
import tty
from collections.abc import Iterator
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

import pytest
from serial import Serial

from doorctl.config import load
from doorctl.services.setup import flat
from tests.rootplay.play import CARD, ROW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

SWIPED = f"{CARD}\r".encode()
LIMIT_S = 120.0
HAND_S = 1.5
"""What somebody at the door needs at least, from reading a line to a swipe or a key."""

SPEEDS = {1200: termios.B1200, 9600: termios.B9600, 19200: termios.B19200, 115200: termios.B115200}
SYSTEMCTL = """#!/bin/sh
echo "$@" >>{base}/told
case "$1" in
restart)
    setsid {python} -m doorctl run --config {base}/etc/doorctl.toml >{base}/log 2>&1 </dev/null &
    echo $! >{base}/door.pid
    until grep -q '"ready"' {base}/log; do sleep 0.1; done;;
stop) [ ! -e {base}/door.pid ] || kill $(cat {base}/door.pid); rm -f {base}/door.pid; sleep 1;;
esac
"""


class Device:
    """A serial device at a real pty: it sends with its own speed and bits, whatever is opened."""

    def __init__(self, link: Path, baud: int, bits: str) -> None:
        self._baud, self._bits = SPEEDS[baud], bits
        self._master, slave = os.openpty()
        tty.setraw(slave)
        link.symlink_to(os.ttyname(slave))
        self._slave = slave

    def send(self, text: bytes) -> None:
        """Send as a UART does: at another speed it comes out as something else."""
        at = termios.tcgetattr(self._slave)[4]
        if at != self._baud:
            os.write(self._master, b"\xff\x00\x9c\xf8")
            return
        parity = {"N": 0, "E": 0, "O": 1}[self._bits[1]]
        eighth = [
            byte | 0x80 if self._bits[0] == "7" and byte.bit_count() % 2 != parity else byte
            for byte in text
        ]
        os.write(self._master, bytes(eighth))

    def close(self) -> None:
        """Unplug it."""
        os.close(self._master)
        os.close(self._slave)


class Terminal:
    """A person at `doorctl setup`: waits for a question, then types byte for byte."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._pid, self._master = pty.fork()
        if not self._pid:
            os.execve(words[0], words, environment)  # noqa: S606 - the terminal's own process
        self.shown = ""
        self._read_to = 0

    def until(self, pattern: str) -> str:
        """Wait until the screen shows something new; return all of it so far."""
        end_s = time.monotonic() + LIMIT_S
        with DefaultSelector() as ready:
            ready.register(self._master, EVENT_READ)
            while (found := re.compile(pattern).search(self.shown, self._read_to)) is None:
                assert time.monotonic() < end_s, f"no {pattern!r} in:\n{self.shown}"
                if ready.select(1.0):
                    data = self._read()
                    assert data, f"it ended without {pattern!r}:\n{self.shown}"
                    self.shown += data
        self._read_to = found.end()
        return self.shown

    def type(self, pattern: str, answer: str = "") -> None:
        """Answer a question, and Enter."""
        self.until(pattern)
        for byte in f"{answer}\n".encode():
            os.write(self._master, bytes([byte]))

    def interrupt(self) -> None:
        """Press Ctrl-C, once it reads: Python loses one that comes just before that."""
        time.sleep(HAND_S)
        os.write(self._master, b"\x03")

    def hang_up(self) -> None:
        """Lose the connection."""
        os.close(self._master)
        os.waitpid(self._pid, 0)

    def kill(self) -> None:
        """End it as a power cut does."""
        os.kill(self._pid, signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while data := self._read():
            self.shown += data
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> str:
        try:
            return os.read(self._master, 4096).decode("utf-8", "replace")
        except OSError:
            return ""  # The other end is closed.


class Bench:
    """A folder that stands for the machine, with a reader and a keypad plugged in."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.config = base / "etc" / "doorctl.toml"
        self.kept = base / "etc" / "setup-answers.toml"
        self.by_id = base / "root/dev/serial/by-id"
        self.by_id.mkdir(parents=True)
        for name in ("etc", "web", "door", "bin", "root/run/systemd/system"):
            (base / name).mkdir(0o750, parents=True)
        (base / "feed.ndjson").write_text(ROW % CARD)
        program = base / "bin" / "systemctl"
        program.write_text(SYSTEMCTL.format(base=base, python=sys.executable))
        program.chmod(0o755)
        self.devices: list[Device] = []

    def plug(self, name: str, baud: int, bits: str) -> Device:
        """Plug a device in, under its by-id name."""
        self.devices.append(Device(self.by_id / f"usb-{name}-if00", baud, bits))
        return self.devices[-1]

    def begin(self, *more: str) -> Terminal:
        """Begin the command at a terminal."""
        given = {
            "storage.directory": f"{self.base}/web",
            "storage.door_directory": f"{self.base}/door",
            "secrets.installation_key_file": f"{self.base}/etc/installation.key",
            "seal.memory_kib": "8",
            "seal.iterations": "1",
            "gpio.factory": "mock",
            "clock.trust": "always",
        }
        words = [sys.executable, "-m", "doorctl", "setup", "--config", str(self.config)]
        words += ["--root", str(self.base / "root"), *more]
        for name, value in given.items():
            words += ["--set", f"{name}={value}"]
        path = f"{self.base}/bin:{os.environ['PATH']}"
        return Terminal(words, {**os.environ, "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb"})

    def close(self) -> None:
        """Unplug everything and stop the door."""
        if (self.base / "door.pid").exists():
            subprocess.run([self.base / "bin" / "systemctl", "stop"], check=True)
        for device in self.devices:
            device.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A machine on which nothing was set up yet."""
    tmp_path.chmod(0o755)
    bench = Bench(tmp_path)
    try:
        yield bench
    finally:
        bench.close()


def answer_branch(terminal: Terminal) -> None:
    """Answer the questions before the devices, with slips that are told at the question."""
    terminal.type("Sprog / Language", "klingon")
    terminal.type("Allowed: one of|Tilladt: da eller en", "da")
    terminal.type("Bibliotekets navn", "")
    terminal.type("kan ikke bruges. Tilladt: en .* på højst 80 tegn", "Langå Bibliotek")
    terminal.type("korte navn", "Langå")
    terminal.type("Tilladt: 1 til 32 af a-z", "langaa")
    terminal.type("ISIL")
    terminal.type("Sproget på skærmen")
    terminal.type("Telefonnummer", "87 11 11 11")


def answer_rest(terminal: Terminal, bench: Bench) -> None:
    """Answer the questions behind the keypad."""
    terminal.type(r"Relæets ben \(BCM-nummer\) \[17\]", "99")
    terminal.type("Tilladt: et helt tal fra 0 til 27", "17")
    terminal.type(r"trukket, mens benet er højt\? \[ja\]")
    terminal.type(r"klikke nu\? Døren åbner i et sekund. \[nej\]", "ja")
    terminal.until("GPIO17 gik 0 → 1 → 0")
    terminal.type(r"klikke nu\?", "nej")
    terminal.type("Dørkontaktens ben", "17")
    terminal.type("17 er også gpio.relay_pin", "22")
    terminal.type("Udgangsknappens ben")
    terminal.type("Brandalarmens ben")
    terminal.type("om mandagen")
    terminal.type("Fil med lånere", f"{bench.base}/feed.ndjson")
    terminal.type("Bibliotekssystem")
    terminal.type("Certifikat til personalets sider", "self-signed")
    terminal.type("Sidernes navn", "langaa.example")
    terminal.type("Mailserver")
    terminal.type("webhook")
    terminal.type("sikkerhedskopier")
    terminal.type("prøvealarm")
    terminal.type("Brugernavn på personalets første konto", "tekniker")
    terminal.type("Dens rolle")
    terminal.type(r"config.txt\?", "ja")
    terminal.type("Hvem sætter op", "Elfirmaet")


def find_lines(terminal: Terminal, reader: Device, keypad: Device) -> None:
    """Swipe and press, again for each speed that is tried, until both lines are found."""
    while "et lånerkort" not in terminal.until(r"Scan et kort nu \(|et lånerkort"):
        time.sleep(HAND_S)
        reader.send(SWIPED)
    while ": 1 2 3 4" not in terminal.until(r"tastaturet nu \(|: 1 2 3 4"):
        time.sleep(HAND_S)
        for key in b"1234":
            keypad.send(bytes([key]))


def test_from_nothing_to_an_open_door(bench: Bench) -> None:
    """Questions, lines, relay, register, account, certificate; a card opens at the end.

    No number of a card is on the screen, in the log or in a file.
    """
    reader, keypad = bench.plug("READER", 9600, "8N1"), bench.plug("KEYPAD", 9600, "8N1")
    terminal = bench.begin()
    answer_branch(terminal)
    find_lines(terminal, reader, keypad)
    answer_rest(terminal, bench)
    terminal.type("skriv og start det hele nu")
    terminal.type(r"Hemmelighed til tekniker", "a long enough passphrase of words")
    terminal.until("Nu et kort og dets pinkode")
    time.sleep(HAND_S)
    reader.send(SWIPED)
    time.sleep(HAND_S)
    for key in b"4711":
        keypad.send(bytes([key]))
    terminal.until("Døren åbnes")
    assert terminal.end() == 0

    config = load(bench.config, environment={"CREDENTIALS_DIRECTORY": "/x"})
    assert (config.reader.baud, config.keypad.baud) == (9600, 9600)
    assert (config.gpio.contact_pin, config.branch.phone) == (22, "87 11 11 11")
    log = (bench.base / "log").read_text()
    assert '"energised":true' in log
    record = (bench.base / "etc" / "setup-record.txt").read_text()
    assert "a card opened the door" in record
    assert not bench.kept.exists()
    assert CARD not in terminal.shown + log + record
    assert not re.search("passphrase|Traceback", terminal.shown)


def test_stopped_or_killed_it_goes_on(bench: Bench) -> None:
    """What was found stands in a file of root's without secrets, and is not asked again."""
    reader, keypad = (115200, "7O1"), (9600, "7E1")
    devices = bench.plug("READER", *reader), bench.plug("KEYPAD", *keypad)
    terminal = bench.begin()
    answer_branch(terminal)
    find_lines(terminal, *devices)
    terminal.until("Relæets ben")
    terminal.interrupt()
    terminal.until("går videre, hvor den var")
    assert terminal.end() == 1

    assert bench.kept.stat().st_mode & 0o777 == 0o600
    kept = flat(tomllib.loads(bench.kept.read_text("utf-8")))
    for name, (baud, bits) in (("reader", reader), ("keypad", keypad)):
        found = [kept[f"{name}.{leaf}"] for leaf in ("baud", "data_bits", "parity")]
        assert found == [baud, int(bits[0]), {"E": "even", "O": "odd"}[bits[1]]]
    assert not bench.config.exists()
    again = bench.begin()
    again.type("Sprog / Language", "da")
    again.type(r"hvor den blev standset\? \[ja\]")
    again.type("ISIL")
    again.type("Sproget på skærmen")
    again.until("Relæets ben")
    again.kill()
    assert not re.search("Bibliotekets navn|Kør et kort", again.shown)
    assert flat(tomllib.loads(bench.kept.read_text("utf-8"))) == kept


def test_a_line_that_is_in_use_is_not_fought_for(bench: Bench) -> None:
    """Whether the door may be stopped for it is asked, and it runs again however this ends.

    The line can be typed, too, and all of it is there in English.
    """
    bench.plug("READER", 9600, "8N1")
    terminal = bench.begin()
    with Serial(str(bench.by_id / "usb-READER-if00"), exclusive=True):
        terminal.type("Sprog / Language", "en")
        terminal.type("The branch's name", "Langå")
        terminal.type("Its short name", "langaa")
        terminal.type("Its ISIL")
        terminal.type("Language of the screen")
        terminal.type("Telephone")
        terminal.type(r"in use; .*\s+Does the door run there\? .* \[no\]", "perhaps")
        terminal.type(r"Does the door run there\?", "yes")
        terminal.type(r"Does the door run there\?", "no")
        terminal.type("The card reader's line", "/dev/ttyS0")
        terminal.type(r"The reader's speed .*\[9600\]", "9601")
        terminal.type("Allowed: one of 1200, 2400", "4800")
        terminal.type("Data bits of the reader's")
        terminal.type("The reader's parity")
        terminal.until("Press 1 2 3 4")
    terminal.type("")
    terminal.until("The keypad's line")
    terminal.interrupt()
    assert terminal.end() == 1
    assert (bench.base / "told").read_text().splitlines() == [
        "stop doorctl-door",
        "start doorctl-door",
    ]


@pytest.mark.parametrize("hung_up", [False, True])
def test_stopped_while_it_waits_for_a_swipe_it_starts_the_door_again(
    hung_up: bool, bench: Bench
) -> None:
    """By Ctrl-C, or by the end of the connection; what the command line answers is not asked.

    Bug (a second reader): a lost connection left the door stopped, and a relay that clicked on.
    """
    bench.plug("READER", 9600, "8N1")
    answers = ("setup.language=da", "branch.name=Langå", "branch.id=langaa", "branch.isil=")
    given = [f"--set={one}" for one in (*answers, "branch.language=da", "branch.phone=1")]
    with Serial(str(bench.by_id / "usb-READER-if00"), exclusive=True):
        terminal = bench.begin(*given)
        terminal.until(r"Kører døren dér\?")
    terminal.type("", "ja")
    time.sleep(2 * HAND_S)
    if hung_up:
        terminal.hang_up()
    else:
        terminal.interrupt()
        terminal.until("går videre, hvor den var")
        assert terminal.end() == 1
    assert (bench.base / "told").read_text().splitlines() == [
        "stop doorctl-door",
        "start doorctl-door",
    ]
