"""`doorctl setup` as root types it: a folder stands for the machine, each line is a real pty."""

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
import tomllib
import tty
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from serial import Serial

from doorctl.cli.setup import SPEEDS as SPEEDS_TRIED
from doorctl.cli.setup import setup, speeds_tried
from doorctl.config import load
from doorctl.services.setup import flat
from tests.e2e.door import COMMANDS
from tests.fakes.waiting import LIMIT_S
from tests.notices.mail_server import PASSWORD, USER, Mailroom, mail_server
from tests.rootplay.play import CARD, ROW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

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


SetUp = tuple[Machine, subprocess.CompletedProcess[str]]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing was set up yet."""
    return Machine(tmp_path)


def reads_as_another() -> bool:
    """Tell whether a process of this Python that becomes somebody else can still import."""
    script = "import os; os.seteuid(65534); import encodings.ascii, doorctl.store.keys"
    return subprocess.run([sys.executable, "-c", script], check=False, stderr=-3).returncode == 0


@pytest.fixture(scope="module")
def set_up() -> Iterator[SetUp]:
    """A machine with systemd, in a folder that anybody may look into, that was set up once."""
    with TemporaryDirectory(dir="/var/tmp") as directory, pytest.MonkeyPatch.context() as patched:
        machine = Machine(Path(directory))
        if reads_as_another():
            machine.owned()
        path = machine.with_systemd('#!/bin/sh\necho "$@" >>{base}/told\n')
        patched.setenv("PATH", path)
        yield machine, machine.run()


def test_answers_alone_set_up_a_branch_and_twice_change_nothing(set_up: SetUp) -> None:
    """Configuration, key, databases, register, account, certificate, boot lines, record."""
    machine, done = set_up

    assert done.returncode == 0, done.stderr
    config = load(machine.config, environment={"CREDENTIALS_DIRECTORY": str(machine.base / "etc")})
    assert (config.branch.id, config.web.host) == ("langaa", "0.0.0.0")  # noqa: S104
    modes = {name: machine.mode(f"etc/{name}") for name in ("installation.key", "web.key")}
    assert modes == {"installation.key": 0o600, "web.key": 0o600}
    assert machine.boot.read_text().endswith("[all]\ndtparam=strict_gpiod\ngpio=17=op,dl\n")
    assert "ok    register_filled" in done.stdout
    assert "tekniker can sign in as technician" in done.stdout
    assert "A reboot is due" in done.stdout
    record = (machine.base / "etc" / "setup-record.txt").read_text("utf-8")
    assert record.count("first backup             good\n") == 1
    assert len([*(machine.base / "backups").glob("*.age")]) == 1
    words = ("Elfirmaet", '"langaa"', "CN=langaa.example", "langaa.example")
    assert [word for word in words if word not in record] == []
    assert CARD not in done.stdout + done.stderr + record
    texts = machine.texts()
    machine.rebooted()

    again = machine.run()

    assert again.returncode == 0, again.stderr
    assert "doorctl init" not in again.stdout
    assert "staff add" not in again.stdout
    assert "config.txt are in force" in again.stdout
    assert machine.texts() == texts


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("[branch]\nid = 'Ø'\n[setup]\nboot_lines = 1\n", ["branch.id", "setup.boot_lines"]),
        ("not toml", ["line 1"]),
    ],
)
def test_wrong_answers_are_all_told_and_nothing_is_changed(
    answers: str, told: list[str], machine: Machine
) -> None:
    """A line each on stderr, with the answers' file and the key, and exit code 2."""
    (machine.base / "wrong.toml").write_text(answers)
    before = machine.seen()

    done = machine.run("wrong.toml")

    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"{machine.base}/wrong.toml: ") for line in lines), lines
    assert [one for one in told if not any(f".toml: {one}" in line for line in lines)] == []
    assert machine.seen() == before


def test_a_file_in_another_encoding_is_told_in_a_line(machine: Machine) -> None:
    """The configuration's own line, and not the answers', which are right."""
    machine.config.write_bytes('[branch]\nname = "Langå"\n'.encode("latin-1"))

    done = machine.run()

    told = f"{machine.config}: line 2: holds what is no UTF-8; save the file as UTF-8\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_killed_at_a_step_it_goes_on(machine: Machine) -> None:
    """As by a power cut: run again it does what is left, and the branch is whole in the end."""
    for step in ("init", "staff add"):
        with subprocess.Popen(
            machine.command(), stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(f"$ doorctl {step}"):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, step

    done = machine.run()

    assert done.returncode == 0, done.stderr
    assert "ok    register_filled" in done.stdout


def test_what_is_made_has_the_right_owners(set_up: SetUp) -> None:
    """Root's beside the configuration; in the two folders all is their processes'."""
    if not reads_as_another():
        pytest.skip("this Python is root's alone")
    machine, _ = set_up
    owners = {
        name: {path.stat().st_uid for path in (machine.base / name).iterdir()}
        for name in ("etc", "web", "door")
    }
    assert owners == {"etc": {0}, "web": {WEB[0]}, "door": {DOOR[0]}}


def test_systemd_is_told(set_up: SetUp) -> None:
    """Where it runs: units are read anew, enabled, and started after all is made."""
    machine, _ = set_up
    assert machine.told()[:5] == [
        "daemon-reload",
        "stop doorctl-web",
        "start doorctl-web",
        "enable doorctl-web doorctl-door doorctl-backup.timer",
        "restart doorctl-web doorctl-door doorctl-backup.timer",
    ]
    drop_in = machine.base / "root/etc/systemd/system/doorctl-web.service.d/setup.conf"
    assert f"LoadCredential=web.key:{machine.base}/etc/web.key\n" in drop_in.read_text()


SYSTEMS = ("/etc/doorctl", "/etc/systemd/system", "/var/lib/doorctl", "/var/lib/doorctl-door")
SYSTEMS_FILES = (*SYSTEMS, "/var/backups/doorctl")


def of_the_system() -> dict[str, float]:
    """Return what lies where a package installs, and when it was changed."""
    places = [path for each in SYSTEMS_FILES for path in (Path(each), *Path(each).rglob("*"))]
    return {str(path): path.lstat().st_mtime for path in places if path.exists()}


def test_a_configuration_elsewhere_keeps_to_its_folder(tmp_path: Path) -> None:
    """Databases, key and backups are beside it; systemd is left alone, and a sentence says so.

    Bug (an outside technician): a trial with --config wrote /etc/systemd and /var/lib, and ended in
    systemctl's own English.
    """
    wanted = "[branch]\nname = 'L'\nid = 'l'\n[reader]\nport = '/dev/x'\n[gpio]\nfactory = 'mock'\n"
    more = f"[clock]\ntrust = 'always'\n[setup]\nlanguage = 'en'\nfeed = '{tmp_path}/feed.ndjson'\n"
    cheap = "[seal]\nmemory_kib = 8\niterations = 1\n"
    recipient = re.findall("recipients = .*", ANSWERS)[0]
    (tmp_path / "a.toml").write_text(f"{wanted}{more}{cheap}[backup]\n{recipient}\n")
    (tmp_path / "feed.ndjson").write_text(ROW % CARD)
    before, config = of_the_system(), tmp_path / "trial" / "doorctl.toml"

    done = COMMANDS.run(["setup", "--config", str(config), "--answers", str(tmp_path / "a.toml")])

    assert (done.returncode, of_the_system()) == (0, before), done.stderr
    assert f"Start both yourself: doorctl web --config {config}; doorctl run" in done.stdout
    made = {path.name for path in config.parent.iterdir()}
    assert made == {"doorctl.toml", "installation.key", "data", "backups", "setup-record.txt"}


def test_without_units_nothing_is_started_and_a_sentence_says_so(machine: Machine) -> None:
    """Also where systemd runs, whose own words say nothing to a technician."""
    machine.with_systemd('#!/bin/sh\necho "$@" >>{base}/told\n')
    for unit in machine.base.rglob("doorctl-web.service"):
        unit.unlink()

    done = machine.run()

    assert (done.returncode, (machine.base / "told").exists()) == (0, False), done.stderr
    assert "doorctl's units are not installed here" in done.stdout


def test_a_test_alarm_that_fails_is_on_record_and_in_the_exit_code(machine: Machine) -> None:
    """The branch is whole all the same; stderr names what failed, and where the mail went.

    Bug (an outside technician): setup ended with 0, and the record said nothing.
    """
    answers = machine.base / "answers.toml"
    mail = 'host = "127.0.0.1"\nport = 1\nsecurity = "none"\nsender = "a@b.example"\n'
    text = answers.read_text().replace("[setup]", "[setup]\ntest_alarm = true")
    answers.write_text(f'{text}[alarms.email]\n{mail}to = ["c@d.example"]\n')

    done = machine.run()

    assert done.returncode == 1
    assert "the mail server 127.0.0.1:1: no connection" in done.stderr
    assert done.stderr.endswith("this failed; mend it and try it: doorctl alarm send\n")
    record = (machine.base / "etc" / "setup-record.txt").read_text("utf-8")
    assert re.search(r"^test alarm +FAILED$", record, re.MULTILINE)
    assert "ok    register_filled" in done.stdout


def test_only_root_sets_up() -> None:
    """Anybody else is told so in a line, before a question is asked."""
    child = os.fork()
    if not child:
        os.setresuid(*[65533] * 3)
        refused = "run it as root" in str(CliRunner().invoke(setup, []).exception)
        os._exit(0 if refused else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A machine on which nothing was set up yet."""
    with closing(Bench(tmp_path)) as bench:
        yield bench


def answer_branch(terminal: Terminal) -> None:
    """Answer the questions before the devices, with slips that are told at the question."""
    terminal.type("Sprog / Language", "klingon")
    terminal.type("Allowed: one of|Tilladt: da eller en", "da")
    terminal.type("Bibliotekets navn", "")
    terminal.type(r"svares noget, for eksempel .*\s+Bibliotekets navn", "x" * 81)
    terminal.type("kan ikke bruges. Tilladt: en .* på højst 80 tegn", "Langå Bibliotek")
    terminal.type("korte navn", "Langå")
    terminal.type("Tilladt: 1 til 32 af a-z", "langaa")
    terminal.type("ISIL")
    terminal.type("Sproget på skærmen")
    terminal.type("Telefonnummer", "87 11 11 11")


def answer_rest(terminal: Terminal, bench: Bench) -> None:
    """Answer the questions behind the keypad."""
    terminal.type(r"trukket, mens dets ben er højt\? \[ja\]")
    terminal.type(r"Relæets ben \(BCM-nummer\) \[17\]", "99")
    terminal.type("Tilladt: et helt tal fra 0 til 27", "2")
    terminal.type("2 kan ikke bruges: døren er åben, .* Vælg 9 til 27 ved", "17")
    terminal.type(r"klikke nu\? Døren åbner i et sekund. \[nej\]", "ja")
    terminal.until("GPIO17 gik 0 → 1 → 0")
    terminal.type(r"klikke nu\?", "nej")
    terminal.type("Dørkontaktens ben", "17")
    terminal.type("17 er også gpio.relay_pin", "22")
    terminal.type("Udgangsknappens ben")
    terminal.type("Brandalarmens ben")
    terminal.type("om mandagen")
    terminal.type(r"bor i kommunen, adgang\? .* \[ja\]", "måske")
    terminal.type("Tilladt: ja eller nej", "")
    terminal.type("Fil med lånere", f"{bench.base}/feed.ndjson")
    terminal.type("Bibliotekssystem")
    terminal.type("Certifikat til personalets sider", "self-signed")
    terminal.type("Sidernes navn", "")
    terminal.type("mangler, .*; angiv det også", "langaa.example")
    terminal.type("Mailserver")
    terminal.type("webhook")
    terminal.type("sikkerhedskopier")
    terminal.type("Kommunen, der er dataansvarlig", "Langå Kommune, CVR 12 34 56 78")
    terminal.type("Dens postadresse", "Torvet 1, 8870 Langå")
    terminal.type("Mailadresse til spørgsmål om oplysninger", "bibliotek@langaa.example")
    terminal.type("Telefon til spørgsmål om oplysninger", "87 11 11 12")
    terminal.type("Firmaer, der er databehandlere")
    terminal.type("databeskyttelsesrådgiveren")
    terminal.type("prøvealarm")
    terminal.type("Brugernavn på personalets første konto", "tekniker")
    terminal.type("Dens rolle")
    terminal.type(r"config.txt\?", "ja")
    terminal.type("Hvem sætter op", "Elfirmaet")


def find_reader(terminal: Terminal, reader: Device) -> None:
    """Swipe, again for each speed that is tried, until the reader's line is found."""
    while "et lånerkort" not in terminal.until(r"Scan et kort nu \(|et lånerkort"):
        time.sleep(HAND_S)
        reader.send(SWIPED)


def find_lines(terminal: Terminal, reader: Device, keypad: Device) -> None:
    """Swipe and press, again for each speed that is tried, until both lines are found."""
    find_reader(terminal, reader)
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
    terminal.type("skriv det hele i .*, og start")
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
    assert config.controller.lacking == ()
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
    terminal.until("Er relæet trukket")
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
    again.until("Er relæet trukket")
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
    assert bench.told() == ["stop doorctl-door", "start doorctl-door"]


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
    assert bench.told() == ["stop doorctl-door", "start doorctl-door"]


def type_through(terminal: Terminal, *patterns: str) -> None:
    """Press Enter at each of these questions."""
    for pattern in patterns:
        terminal.type(pattern)


TYPED = (
    *("setup.language=en", "branch.isil=", "branch.language=da", "branch.phone=1"),
    *("reader.data_bits=8", "reader.parity=none", "keypad.port=", "gpio.contact_pin=22"),
    *("gpio.exit_button_pin=", "gpio.fire_pin=", "hours.monday=[]", "lms.kind=", "setup.by=x"),
    *(f"hours.{day}=[]" for day in ("tuesday", "wednesday", "thursday", "friday")),
    *("hours.saturday=[]", "hours.sunday=[]"),
    *(
        "setup.certificate=keep",
        "controller.name=",
        "alarms.webhook.url=",
        "setup.account=",
        "setup.boot_lines=false",
    ),
)
"""Answers on the command line, where the questions of a test are others."""


def given(*taken: str) -> list[str]:
    """Return options for the answers of `TYPED`, and others in their place."""
    names = {each.partition("=")[0] for each in taken}
    return [f"--set={each}" for each in TYPED if each.partition("=")[0] not in names] + [
        f"--set={each}" for each in taken if not each.endswith("=?")
    ]


def test_a_question_is_asked_again_by_its_number_or_from_the_next(bench: Bench) -> None:
    """`<` goes back one, at the first it stays; all is shown before anything is written.

    Without a device the line is asked for with an example, and those that are there.
    """
    (bench.base / "root/dev/ttyAMA0").touch()
    week = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    asked = (f"hours.{day}=?" for day in week)
    fixed = ("backup.recipients=[]", "setup.test_alarm=false")
    terminal = bench.begin(*given(*asked, *fixed))
    terminal.type("The branch's name", "<")
    terminal.type("The branch's name", "Langa")
    terminal.type("Its short name", "<")
    terminal.type(r"The branch's name.*\[Langa\]", "Langå")
    terminal.type("Its short name", "langaa")
    terminal.until(r"typed, such as: \S+/root/dev/ttyAMA0")
    terminal.type("The card reader's line", "")
    terminal.type(r"This needs an answer, such as \"/dev/serial/by-id/", "/dev/ttyAMA0")
    terminal.type("The reader's speed")
    terminal.type("Is the relay on", "no")
    terminal.type("The relay's pin .BCM number.: ", "17")
    terminal.type("17, by which the door is open", "<")
    terminal.type(r"Is the relay on.*\[no\]", "yes")
    terminal.type(r"The relay's pin .*\[17\]")
    terminal.type("Let the relay")
    terminal.type("Self-service on Mondays", "08:00-22:00")
    terminal.type("Self-service on Tuesdays")
    terminal.type("Self-service on Wednesdays", "<")
    terminal.type("Self-service on Tuesdays", "<")
    terminal.type("Self-service on Mondays; [^[]*closed: ")
    terminal.type("Do only people who live", "no")
    terminal.type("File of patrons", "")
    terminal.type("Mail server")
    shown = terminal.until("Enter: write all this to .*answer that again")
    rows = dict(re.findall(r"\n +(\d+) ([^\r]*)", shown))
    assert rows["1"] == "The branch's name, as patrons read it: Langå"
    (resident,) = [number for number, row in rows.items() if "live in the municipality" in row]
    assert rows[resident].endswith(": no")
    assert "Mail server for alarms; empty for no mail: " in rows.values()
    assert not bench.config.exists()
    terminal.type("", resident)
    terminal.type(r"Do only people .*\[no\]", "yes")
    terminal.type("Enter: write all this", "<")
    terminal.type("Mail server")
    terminal.type("Enter: write all this", "99")
    terminal.until("Enter: write all this")
    terminal.interrupt()
    assert terminal.end() == 1
    kept = flat(tomllib.loads(bench.kept.read_text("utf-8")))
    assert (kept["branch.name"], kept["policy.require_resident"]) == ("Langå", True)
    assert [name for name in kept if name.startswith("hours.")] == []


def test_a_feed_is_tried_where_it_is_asked_for_and_again_where_it_fails(bench: Bench) -> None:
    """Its first rows at the question; what the load finds further down, by asking again.

    Bug (an outside technician): "Go on?" ended at the same bad file any number of times.
    """
    feed = bench.base / "feed.ndjson"
    lines = [(ROW % f"30000{n:05}").replace("1001", str(n + 1)) for n in range(150)]
    feed.write_text("".join([*lines, "no row\n"]))
    answers = ("branch.name=L", "branch.id=langaa", "reader.port=/dev/x", "reader.baud=9600")
    gpio = ("gpio.relay_pin=17", "gpio.relay_active_high=true", "policy.require_resident=true")
    rest: tuple[str, ...] = ("alarms.email.host=", "backup.recipients=[]", "controller.name=")
    rest = (*rest, "setup.test_alarm=false")
    terminal = bench.begin(*given(*answers, *gpio, *rest))
    terminal.type("File of patrons", "/etc/passwd")
    terminal.until("/etc/passwd is no file of patrons: line 1: ")
    terminal.type("File of patrons", str(feed))
    terminal.type("Enter: write all this")
    terminal.until("line 151: .*")
    terminal.until("What this rests on is asked again")
    terminal.until(r"File of patrons.*\[.*feed.ndjson\]")
    terminal.kill()
    again = bench.begin(*given(*answers, *gpio, *rest))
    again.type("Go on where it was stopped", "yes")
    again.until(r"File of patrons")
    feed.write_text("".join(lines))
    again.type("", str(feed))
    again.type("Enter: write all this")
    again.until("150 patrons")
    again.until("Now a card and its PIN")
    again.type("")
    assert again.end() == 0
    assert "no card opened the door" in (bench.base / "etc/setup-record.txt").read_text()


def test_a_mail_server_is_greeted_at_its_port(bench: Bench) -> None:
    """The port that goes with the encryption is offered; one that nobody listens at is named."""
    answers = ("branch.name=L", "branch.id=langaa", "reader.port=/dev/x", "reader.baud=9600")
    gpio = ("gpio.relay_pin=17", "gpio.relay_active_high=true", "policy.require_resident=true")
    terminal = bench.begin(*given(*answers, *gpio, "setup.feed=", "backup.recipients=[]"))
    terminal.type("Mail server", "127.0.0.1")
    terminal.type("How mail to it", "tls")
    terminal.type(r"server's port.*\[465\]", "1")
    terminal.type(r"server 127.0.0.1:1: no connection .*\s+Answer again where", "")
    terminal.type(r"Mail server.*\[127.0.0.1\]")
    terminal.type(r"How mail to it.*\[tls\]", "none")
    with mail_server(Mailroom()) as port:
        terminal.type(r"server's port.*\[25\]", str(port))
        terminal.type("Address that alarms come from", "doorctl@example.org")
    terminal.interrupt()
    assert terminal.end() == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_test_alarm_that_fails_is_answered_again(bench: Bench) -> None:
    """With the secret, which was mistyped; then it is sent, and the exit code is 0."""
    answers = ("branch.name=L", "branch.id=langaa", "reader.port=/dev/x", "reader.baud=9600")
    gpio = ("gpio.relay_pin=17", "gpio.relay_active_high=true", "policy.require_resident=true")
    mail = ("host=127.0.0.1", "security=none", "sender=a@b.example", 'to=["c@d.example"]')
    fixed = [f"alarms.email.{each}" for each in mail]
    more = ("setup.feed=", "backup.recipients=[]", "setup.test_alarm=true")
    room = Mailroom()
    with mail_server(room, account=True) as port:
        fixed.append(f"alarms.email.port={port}")
        terminal = bench.begin(*given(*answers, *gpio, *more, *fixed))
        terminal.type("Account on the mail server", USER)
        terminal.type("Enter: write all this")
        terminal.type("Secret for alarms.email.password_file, unseen: ", "wrong")
        terminal.type(r"alarm send. failed. Answer its questions again\? \[yes\]")
        terminal.type(r"Account on the mail server \[doorctl\]")
        terminal.type("Enter: write all this")
        terminal.type("Enter keeps the one that is there", PASSWORD)
        terminal.until("test: sent")
        terminal.type("Now a card and its PIN")
        assert terminal.end() == 0
    assert len(room.messages) == 1
    assert (bench.base / "etc/mail.password").read_text() == f"{PASSWORD}\n"
    record = (bench.base / "etc/setup-record.txt").read_text()
    assert re.search(r"^test alarm +good$", record, re.MULTILINE)
    assert PASSWORD not in record + terminal.shown


def test_a_worn_card_does_not_lose_the_right_speed(bench: Bench) -> None:
    """Each speed is tried twice, and after the last the first once more."""
    reader = bench.plug("READER", 9600, "8N1")
    terminal = bench.begin(*given("branch.name=L", "branch.id=langaa", "setup.language=da"))
    terminal.until(r"Scan et kort nu \(9600 ")
    time.sleep(HAND_S)
    reader.send(b"\xff\x00\x9c\r")
    terminal.until("én gang til")
    terminal.until(r"Scan et kort nu \(9600 ")
    time.sleep(HAND_S)
    reader.send(SWIPED)
    terminal.until("READER-if00, 9600 8N1: et lånerkort")
    terminal.kill()

    order = [baud for baud, _ in islice(speeds_tried(), 4 * len(SPEEDS_TRIED))]
    assert order[:4] == [9600, 9600, 115200, 115200]
    assert order[: len(order) // 2] == order[len(order) // 2 :]
