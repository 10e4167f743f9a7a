"""`doorctl setup` as root types it, in a folder that stands for the machine."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from doorctl.cli.setup import setup
from doorctl.config import load
from tests.e2e.door import COMMANDS
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
        (machine.base / "root/run/systemd/system").mkdir(parents=True)
        program = machine.base / "bin" / "systemctl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@" >>{machine.base}/told\n')
        program.chmod(0o755)
        patched.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
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
    assert (machine.base / "told").read_text().splitlines()[:5] == [
        "daemon-reload",
        "stop doorctl-web",
        "start doorctl-web",
        "enable doorctl-web doorctl-door doorctl-backup.timer",
        "restart doorctl-web doorctl-door doorctl-backup.timer",
    ]
    drop_in = machine.base / "root/etc/systemd/system/doorctl-web.service.d/setup.conf"
    assert f"LoadCredential=web.key:{machine.base}/etc/web.key\n" in drop_in.read_text()


def test_only_root_sets_up() -> None:
    """Anybody else is told so in a line, before a question is asked."""
    child = os.fork()
    if not child:
        os.setresuid(*[65533] * 3)
        refused = "run it as root" in str(CliRunner().invoke(setup, []).exception)
        os._exit(0 if refused else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
