"""The steps of an installation, from what was answered: commands of doorctl and of systemd."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

import click

import doorctl
from doorctl.admin import machine
from doorctl.admin import setup as rules
from doorctl.admin.certificate import make_certificate
from doorctl.admin.setup import Plan
from doorctl.cli.options import DEFAULT_CONFIG
from doorctl.config import Config
from doorctl.core.identity import owner_of

UNITS = ("doorctl-web", "doorctl-door")
DATABASES = ("patrons.db", "branch.db", "visits.db")

KEY_STEP = "keys reader --install"

SET_UP_MODE = "Put the reader into its set-up mode, as its manual says: it is given its key now."

ASKED_AGAIN = {
    KEY_STEP: ("reader.port", "reader.baud", "reader.osdp_address"),
    "patrons load": ("setup.feed",),
    "staff add": ("setup.account",),
    "backup": ("backup.recipients",),
    "alarm send": (
        *("setup.test_alarm", "alarms.email.host", "alarms.email.security", "alarms.email.port"),
        *("alarms.email.sender", "alarms.email.to", "alarms.email.user", "alarms.webhook.url"),
    ),
}
"""Step -> the questions whose answers it tries, and which are asked again where it fails."""

UNIT_FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Where systemd looks for units, below each `systemd/system`."""

WITHOUT_UNITS = {
    "elsewhere": (
        "The units run /etc/doorctl/doorctl.toml and not this file, so systemd was left alone. "
        "Start both yourself: doorctl web --config {path}; doorctl run --config {path}"
    ),
    "none": "doorctl's units are not installed here, so nothing was started; its package has them.",
    "idle": "systemd does not run here, so nothing was started.",
}
"""Why no unit is started, and the sentence that says so."""


def is_elsewhere(path: Path, root: Path) -> bool:
    """Tell whether a configuration is none that the units run, so that nothing else is touched."""
    return root == Path("/") and path != Path(DEFAULT_CONFIG)


class StepFailedError(Exception):
    """A step failed and has said why; `questions` are those whose answers may be at fault."""

    def __init__(self, questions: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.questions = questions


def has_units(root: Path) -> bool:
    """Tell whether doorctl's units are installed."""
    unit = f"{UNITS[0]}.service"
    return any((root / folder / "systemd/system" / unit).exists() for folder in UNIT_FOLDERS)


def systemctl(root: Path, *words: str, offline: bool = False) -> bool:
    """Call systemctl where our units are, and systemd runs or will, in an image; tells whether.

    Raises StepFailedError: systemctl has said why.
    """
    if not has_units(root):
        return False
    image = offline and root == Path("/") and which("systemctl") is not None
    if not image and not (root / "run/systemd/system").is_dir():
        return False
    if subprocess.run(["systemctl", *words], check=False).returncode:  # noqa: S603, S607 - our own units
        raise StepFailedError
    return True


@dataclass(frozen=True, slots=True)
class Terminal:
    """What only somebody at a terminal can be asked: a secret, a card, and whether to go on.

    `secret` is given what it is for and its file, where an empty answer keeps what is there;
    `swiped` returns how a swipe went; `again` is given a step's name, and tells whether to answer
    its questions anew; `ready` is given what somebody is to do first, and waits for it.
    """

    secret: Callable[[str, Path | None], str]
    swiped: Callable[[Config], str]
    again: Callable[[str], bool]
    ready: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Work:
    """The steps, in their order; each can be repeated, so that a killed one is done again.

    `root` is where the machine's own folders stand; `say` translates; files of secrets that are
    `renewed` are asked for though they are there. What an earlier call has `begun` may have written
    already what the processes have not read.
    """

    made: Plan
    path: Path
    root: Path
    say: Callable[[str], str]
    terminal: Terminal | None = None
    renewed: frozenset[str] = frozenset()
    begun: bool = False
    _failed: list[str] = field(default_factory=list)

    def do(self) -> list[str]:
        """Do all; returns the steps that failed though the door can do without.

        Raises StepFailedError: at a step without which it can't go on.
        """
        beside, own = self.path.parent, self.made.own
        certificate = make_certificate(own, beside)
        self._place_secrets()
        changed = self._write(beside) or self.begun
        self._make_databases()
        keyed = self._keyed_reader()
        if own.feed != Path():
            self._load_patrons()
        self._add_account()
        made = self._made_backup()
        boot = self._boot()
        about = {"certificate": certificate, "relay at boot": boot} | keyed | made
        self._start(changed=changed)
        about |= self._tried()
        self._record(about)
        click.echo(boot)
        return self._failed

    @property
    def _is_elsewhere(self) -> bool:
        return is_elsewhere(self.path, self.root)

    def _systemctl(self, *words: str, offline: bool = False) -> bool:
        return not self._is_elsewhere and systemctl(self.root, *words, offline=offline)

    def _why_idle(self) -> str:
        if self._is_elsewhere:
            return "elsewhere"
        return "idle" if has_units(self.root) else "none"

    def _write(self, beside: Path) -> bool:
        changed = machine.put(self.path, self.made.text.encode())
        drop_ins = {} if self._is_elsewhere else machine.drop_ins(self.made.config, beside)
        for unit, text in drop_ins.items():
            file = self.root / "etc/systemd/system" / f"{unit}.d" / "setup.conf"
            if "=" in text or file.exists():
                changed |= machine.put(file, text.encode())
        return changed

    def _make_databases(self) -> None:
        config = self.made.config
        self._call("check-config")
        databases = (config.storage.directory, config.storage.door_directory)
        if not any((each / name).exists() for each in databases for name in DATABASES):
            self._call("init")
        if not self._systemctl("daemon-reload"):
            click.echo(self.say(WITHOUT_UNITS[self._why_idle()]).format(path=self.path))

    def _keyed_reader(self) -> dict[str, str]:
        """Give an OSDP reader its key, unless it answers with it; say how it went."""
        config = self.made.config
        if config.reader.kind != "osdp":
            return {}
        if self.terminal is not None and not (self.path.parent / rules.READER_KEY).exists():
            self.terminal.ready(self.say(SET_UP_MODE))
        # It has the line to itself.
        self._systemctl("stop", "doorctl-door")
        try:
            return {"reader's key": self._attempted(*KEY_STEP.split())}
        finally:
            self._systemctl("start", "doorctl-door")

    def _load_patrons(self) -> None:
        # Web alone writes the register while it runs; it has to be there whatever comes of it.
        self._systemctl("stop", "doorctl-web")
        try:
            feed = str(self.made.own.feed.absolute())
            self._call("patrons", "load", feed, "--full", output=None)
        finally:
            self._systemctl("start", "doorctl-web")

    def _start(self, *, changed: bool) -> None:
        timer = ["doorctl-backup.timer"] if self.made.config.backup.recipients else []
        self._systemctl("enable", *UNITS, *timer, offline=True)
        self._systemctl("restart" if changed else "start", *UNITS, *timer)

    def _tried(self) -> dict[str, str]:
        """Try what was set up; return how that went, for the record."""
        tested = self._run("selftest").stdout.splitlines()
        failing = [line.split()[1] for line in tested if line.startswith("fails ")]
        passed = f"{len(tested) - len(failing)} of {len(tested)}; failing: {failing or 'none'}"
        about = {"self-test": passed}
        if self.made.own.test_alarm:
            about["test alarm"] = self._attempted("alarm", "send")
        if self.terminal is not None:
            about["swipe"] = self.terminal.swiped(self.made.config)
        return about

    def _attempted(self, *words: str) -> str:
        """Do a step that the door can do without; say how it went, for the record."""
        if not self._run(*words).returncode:
            return "good"
        step = " ".join(words)
        if self.terminal is not None and self.terminal.again(step):
            raise StepFailedError(ASKED_AGAIN[step])
        self._failed.append(step)
        return "FAILED"

    def _place_secrets(self) -> None:
        for name, file in machine.secrets(self.made.config):
            path = self.path.parent / file
            is_due = not path.exists() or file in self.renewed
            if self.terminal is None or file in rules.MADE_HERE or not is_due:
                continue
            if typed := self.terminal.secret(name, path):
                machine.put(path, f"{typed}\n".encode(), 0o600)

    def _add_account(self) -> None:
        own = self.made.own
        if not own.account:
            return
        listed = self._call("staff", "list").splitlines()
        if own.account.lower() in (line.split()[0] for line in listed if line.strip()):
            return
        add = ("staff", "add", own.account, "--role", own.account_role, "--password-stdin")
        if own.account_password_file != Path() or self.terminal is None:
            self._call(*add, typed=own.account_password_file.read_text())
            return
        # Refused because it is easy to guess, which was told: another one.
        while self._run(*add, typed=self.terminal.secret(own.account, None)).returncode:
            pass

    def _made_backup(self) -> dict[str, str]:
        """Make the first backup, before the door could miss one; later ones are the timer's."""
        wanted = self.made.config.backup
        if not wanted.recipients or any(wanted.directory.glob("doorctl-*.age")):
            return {}
        return {"first backup": self._attempted("backup")}

    def _boot(self) -> str:
        """Write the relay's two lines where that was wanted; say how they are."""
        from doorctl.devices.pins import outputs_kept

        _, config = self.say, self.made.config
        file = self.root / "boot/firmware/config.txt"
        if not file.is_file():
            return _("This is no Raspberry Pi: no config.txt was looked at.")
        text = file.read_bytes().decode(errors="surrogateescape")
        if self.made.own.boot_lines:
            text = machine.with_boot_lines(config, text)
            machine.put(file, text.encode(errors="surrogateescape"))
        if missing := machine.missing_boot_lines(config, text):
            return _("config.txt lacks: {lines}").format(lines=", ".join(missing))
        if outputs_kept(self.root / "sys/module") is not False:
            return _("A reboot is due. Then run `doorctl setup` again: it looks at the two lines.")
        return _("The two lines of config.txt are in force.")

    def _record(self, about: dict[str, str]) -> None:
        from doorctl.lookup.configured import system_clock

        config, own = self.made.config, self.made.own
        with owner_of(config.storage.door_directory):
            today = system_clock(config).moment().local.date()
        system = platform.freedesktop_os_release()
        head = {
            "set up": f"{today}",
            "by": own.by or "-",
            "doorctl": doorctl.__version__,
            "system": f"{system['PRETTY_NAME']}, Python {platform.python_version()}",
        }
        path = self.path.with_name("setup-record.txt")
        machine.put(path, rules.record(self.made, head | about).encode())
        click.echo(self.say("For the municipality's records: {path}").format(path=path))

    def _call(self, *words: str, typed: str = "", output: int | None = subprocess.PIPE) -> str:
        """Run a command of doorctl's, and return what it printed; StepFailedError."""
        done = self._run(*words, typed=typed, output=output)
        if done.returncode:
            raise StepFailedError(ASKED_AGAIN.get(" ".join(words[:2]), ()))
        return done.stdout

    def _run(
        self, *words: str, typed: str = "", output: int | None = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of doorctl's and show it, with what it prints.

        Without a pipe as `output` it has the terminal itself, for its progress.
        """
        click.secho(f"$ doorctl {' '.join(words)}", bold=True)
        sys.stdout.flush()
        # -P: not what lies in root's working directory.
        command = [sys.executable, "-P", "-m", "doorctl", *words, "--config", str(self.path)]
        beside = {**os.environ, "CREDENTIALS_DIRECTORY": str(self.path.parent)}
        done = subprocess.run(  # noqa: S603 - our own command
            command, input=typed, stdout=output, text=True, env=beside, check=False
        )
        click.echo(done.stdout or "", nl=False)
        return done
