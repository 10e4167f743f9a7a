"""A machine on which `doorctl setup` runs: a folder, devices on real ptys, somebody who types."""

from __future__ import annotations

import os
import pty
import re
import signal
import stat
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from tests.e2e.door import COMMANDS
from tests.fakes.waiting import LIMIT_S
from tests.rootplay.play import CARD, ROW

PROGRAM = (sys.executable, "-m", "doorctl")
WEB, DOOR = (65534, 65534), (65533, 65534)
ANSWERS = """
[branch]
name = "Langå Bibliotek"
id = "langaa"
[storage]
directory = "{0}/web"
door_directory = "{0}/door"
[backup]
directory = "{0}/backups"
recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
[secrets]
installation_key_file = "{0}/etc/installation.key"
[seal]
memory_kib = 8
iterations = 1
[gpio]
factory = "mock"
[reader]
port = "{0}/reader"
[clock]
trust = "always"
[setup]
language = "en"
feed = "{0}/feed.ndjson"
certificate = "self-signed"
web_name = "langaa.example"
account = "tekniker"
account_password_file = "{0}/password"
boot_lines = true
by = "Elfirmaet"
"""


class Machine:
    """A folder with what a package has made, and what a technician brings."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.config = base / "etc" / "doorctl.toml"
        base.chmod(0o755)
        (base / "root" / "boot" / "firmware").mkdir(parents=True)
        self.boot.write_text("# Raspberry Pi\n[cm4]\notg_mode=1\n")
        (base / "etc").mkdir()
        for name in ("web", "door"):
            (base / name).mkdir(0o750)
        (base / "feed.ndjson").write_text(ROW % CARD)
        (base / "password").write_text("a long enough passphrase of words\n")
        (base / "answers.toml").write_text(ANSWERS.format(base), "utf-8")

    def with_systemd(self, script: str) -> str:
        """Have a script stand for systemctl; return the path by which it is found."""
        (self.base / "root/run/systemd/system").mkdir(parents=True)
        units = self.base / "root/usr/lib/systemd/system"
        units.mkdir(parents=True)
        (units / "doorctl-web.service").touch()
        program = self.base / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(script.format(base=self.base, python=sys.executable))
        program.chmod(0o755)
        return f"{program.parent}:{os.environ['PATH']}"

    def told(self) -> list[str]:
        """Return what systemctl was told."""
        return (self.base / "told").read_text().splitlines()

    @property
    def boot(self) -> Path:
        """The Pi's own settings."""
        return self.base / "root" / "boot" / "firmware" / "config.txt"

    def owned(self) -> None:
        """Give the two folders to their processes' users, as the package does."""
        for name, owner in (("web", WEB), ("door", DOOR)):
            os.chown(self.base / name, *owner)

    def command(self, answers: str = "answers.toml") -> list[str]:
        """Return the command with a file of answers."""
        options = ["--config", str(self.config), "--root", str(self.base / "root")]
        return [*PROGRAM, "setup", *options, "--answers", str(self.base / answers)]

    def run(self, answers: str = "answers.toml") -> subprocess.CompletedProcess[str]:
        """Run it to its end; what it calls are processes of their own."""
        return COMMANDS.run(self.command(answers)[len(PROGRAM) :])

    def seen(self) -> dict[str, object]:
        """Return mode, owner and content of all that is there."""
        found: dict[str, object] = {}
        for path in sorted(self.base.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, content)
        return found

    def texts(self) -> dict[str, bytes]:
        """Return what stands beside the configuration, but for the record of the last time."""
        files = {path.name: path.read_bytes() for path in (self.base / "etc").iterdir()}
        return {name: content for name, content in files.items() if name != "setup-record.txt"}

    def rebooted(self) -> None:
        """Show what the kernel does once it has read the two lines."""
        shown = self.base / "root/sys/module/pinctrl_bcm2835/parameters"
        shown.mkdir(parents=True)
        (shown / "persist_gpio_outputs").write_text("N\n")

    def mode(self, name: str) -> int:
        """Return the mode of a file."""
        return stat.S_IMODE((self.base / name).stat().st_mode)


SWIPED = f"{CARD}\r".encode()
HAND_S = 1.5
"""What somebody at the door needs at least, from reading a line to a swipe or a key."""

SPEEDS = {1200: termios.B1200, 9600: termios.B9600, 19200: termios.B19200, 115200: termios.B115200}
SYSTEMCTL = """#!/bin/sh
echo "$@" >>{base}/told
case "$1" in
restart)
    if [ -e {base}/door.pid ]; then
        kill $(cat {base}/door.pid)
        while kill -0 $(cat {base}/door.pid) 2>/dev/null; do sleep 0.1; done
    fi
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


class Bench(Machine):
    """A machine with a reader and a keypad plugged in, and somebody at its terminal."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.kept = base / "etc" / "setup-answers.toml"
        self.by_id = base / "root/dev/serial/by-id"
        self.by_id.mkdir(parents=True)
        self._path = self.with_systemd(SYSTEMCTL)
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
            "backup.directory": f"{self.base}/backups",
            "gpio.factory": "mock",
            "clock.trust": "always",
        }
        words = [sys.executable, "-m", "doorctl", "setup", "--config", str(self.config)]
        words += ["--root", str(self.base / "root"), *more]
        for name, value in given.items():
            words += ["--set", f"{name}={value}"]
        over = {"PATH": self._path, "LANG": "C.UTF-8", "TERM": "dumb"}
        return Terminal(words, {**os.environ, **over})

    def close(self) -> None:
        """Unplug everything and stop the door."""
        if (self.base / "door.pid").exists():
            subprocess.run([self.base / "bin" / "systemctl", "stop"], check=True)
        for device in self.devices:
            device.close()
