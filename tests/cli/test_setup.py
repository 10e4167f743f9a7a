"""`doorctl setup --answers` as root types it: a folder stands for the machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from doorctl.cli.setup import setup
from doorctl.config import load
from tests.cli.machine import ANSWERS, DOOR, WEB, Machine
from tests.e2e.door import COMMANDS
from tests.rootplay.play import CARD, ROW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="setup writes what is root's")

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
    texts, told = machine.texts(), len(machine.told())
    machine.rebooted()

    again = machine.run()

    assert again.returncode == 0, again.stderr
    assert "doorctl init" not in again.stdout
    assert "staff add" not in again.stdout
    assert "config.txt are in force" in again.stdout
    assert machine.texts() == texts
    # The door decides on meanwhile.
    assert machine.told()[told:][-1] == "start doorctl-web doorctl-door doorctl-backup.timer"


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
