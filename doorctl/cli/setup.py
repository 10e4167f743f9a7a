"""``doorctl setup``: a dialogue or an answers file, then every step of an installation."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import click

import doorctl
from doorctl.cli.options import config_option
from doorctl.config.loading import read_tables
from doorctl.core.errors import ConfigError, InputError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.language import own as language
from doorctl.services import setup as rules
from doorctl.services.setup import Plan

UNITS = ("doorctl-web", "doorctl-door")
HELP = """Set up a branch: ask what it needs, write the configuration, make keys and databases.

Run again it changes what is answered anew and nothing else; stopped, it goes on where it was.

--answers FILE asks nothing. FILE is TOML: any key of doorctl.toml, and [setup] for the rest. Where
something in it is wrong, every problem is told, nothing is changed, and the exit code is 2. A new
installation needs branch.name, branch.id and reader.port. The questions, with examples:

\b
{template}
"""


@click.command(help=HELP.format(template=rules.template()))
@config_option
@click.option(
    "--answers",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the answers from FILE and ask nothing.",
)
@click.option(
    "--root",
    default="/",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where boot, dev, etc/systemd and run stand, for a trial.",
)
def setup(config_path: Path, file: Path | None, root: Path) -> None:
    """Ask or read, then do; the text for people is HELP."""
    if os.geteuid() != ROOT:
        raise InputError("setup writes what is root's; run it as root: sudo doorctl setup")
    path = config_path.absolute()
    new = not path.exists()
    if file is not None:
        made = _read(file.absolute(), path, new=new)
    else:
        raise InputError("there is no terminal to ask at; give --answers FILE")
    Work(made, path, root, language(made.own.language).words.gettext).do()


def _text(path: Path, *, new: bool) -> str:
    if new:
        from doorctl.demo.door import shipped

        path = shipped("doorctl.toml")
    return path.read_bytes().decode()


def _read(file: Path, path: Path, *, new: bool) -> Plan:
    """Return what an answers file comes to; ends with exit code 2 where something is wrong."""
    try:
        answers = rules.flat(read_tables(file))
        return rules.plan(answers, path, _text(path, new=new), new=new, scripted=True)
    except ConfigError as error:
        click.echo(str(ConfigError(str(file), error.problems)), err=True)
        raise SystemExit(2) from None


@dataclass(frozen=True, slots=True)
class Work:
    """The steps, in their order; each can be repeated, so that a killed one is done again.

    Args:
        path: of the configuration; keys and certificates lie beside it.
        root: where the machine's own folders stand.
        say: translates a sentence.
        ask: returns a secret that somebody types unseen; None where nobody can.
    """

    made: Plan
    path: Path
    root: Path
    say: Callable[[str], str]
    ask: Callable[[str], str] | None = None

    def do(self) -> None:
        """Do all; ends with exit code 1 at a step that fails, which has said why."""
        _ = self.say
        beside, own, config = self.path.parent, self.made.own, self.made.config
        certificate = rules.make_certificate(own, beside)
        self._place_secrets()
        changed = rules.put(self.path, self.made.text.encode())
        for unit, text in rules.drop_ins(self.made, beside).items():
            file = self.root / "etc/systemd/system" / f"{unit}.d" / "setup.conf"
            if "=" in text or file.exists():
                changed |= rules.put(file, text.encode())
        self._call("check-config")
        databases = (config.storage.directory, config.storage.door_directory)
        if not any((each / name).exists() for each in databases for name in DATABASES):
            self._call("init")
        if own.feed != Path():
            self._systemctl("stop", "doorctl-web")
            self._call("patrons", "load", str(own.feed.absolute()), "--full")
        self._add_account()
        boot = self._boot()
        if not self._systemctl("daemon-reload"):
            click.echo(_("systemd does not run here, so nothing was started."))
        self._systemctl("enable", *UNITS, offline=True)
        self._systemctl("restart" if changed else "start", *UNITS)
        tested = self._call("selftest", may_fail=True).splitlines()
        failing = [line.split()[1] for line in tested if line.startswith("fails ")]
        passed = f"{len(tested) - len(failing)} of {len(tested)}; failing: {failing or 'none'}"
        if own.test_alarm:
            self._call("alarm", "send", may_fail=True)
        self._record({"certificate": certificate, "relay at boot": boot, "self-test": passed})
        click.echo(boot)

    def _place_secrets(self) -> None:
        for name, file in rules.secrets(self.made.config):
            path = self.path.parent / file
            if self.ask is not None and not path.exists():
                rules.put(path, f"{self.ask(name)}\n".encode(), 0o600)

    def _add_account(self) -> None:
        own = self.made.own
        if not own.account or own.account in self._accounts():
            return
        if own.account_password_file != Path():
            password = own.account_password_file.read_text().rstrip("\r\n")
        else:
            password = self.ask(own.account) if self.ask is not None else ""
        add = ("staff", "add", own.account, "--role", own.account_role, "--password-stdin")
        self._call(*add, typed=password)

    def _accounts(self) -> list[str]:
        listed = self._call("staff", "list", shown=False)
        return [line.split()[0] for line in listed.splitlines() if line.split()]

    def _boot(self) -> str:
        """Write the relay's two lines where that was wanted; say how they are."""
        from doorctl.devices.pins import outputs_kept

        _, config = self.say, self.made.config
        file = self.root / "boot/firmware/config.txt"
        if not file.is_file():
            return _("This is no Raspberry Pi: no config.txt was looked at.")
        text = file.read_bytes().decode(errors="surrogateescape")
        if self.made.own.boot_lines:
            text = rules.with_boot_lines(config, text)
            rules.put(file, text.encode(errors="surrogateescape"))
        if missing := rules.missing_boot_lines(config, text):
            return _("config.txt lacks: {lines}").format(lines=", ".join(missing))
        if outputs_kept(self.root / "sys/module") is not False:
            return _("A reboot is due. Then run `doorctl setup` again: it looks at the two lines.")
        return _("The two lines of config.txt are in force.")

    def _record(self, about: dict[str, str]) -> None:
        from doorctl.services.app import system_clock

        config, own = self.made.config, self.made.own
        with owner_of(config.storage.door_directory):
            today = system_clock(config).moment().local.date()
        release = Path("/etc/os-release").read_text(errors="replace")
        system = [line for line in release.splitlines() if line.startswith("PRETTY_NAME=")]
        head = {
            "set up": f"{today}",
            "by": own.by or "-",
            "doorctl": doorctl.__version__,
            "system": f"{''.join(system)[12:]}, Python {platform.python_version()}",
        }
        path = self.path.with_name("setup-record.txt")
        rules.put(path, rules.record(self.made, head | about).encode())
        click.echo(self.say("For the municipality's records: {path}").format(path=path))

    def _systemctl(self, *words: str, offline: bool = False) -> bool:
        """Call systemctl where systemd runs, or in an image that it will run in; tells whether."""
        image = offline and self.root == Path("/") and which("systemctl") is not None
        if not image and not (self.root / "run/systemd/system").is_dir():
            return False
        if subprocess.run(["systemctl", *words], check=False).returncode:  # noqa: S603, S607 - our own units
            raise SystemExit(1)
        return True

    def _call(
        self, *words: str, typed: str = "", may_fail: bool = False, shown: bool = True
    ) -> str:
        """Run a command of doorctl's, show it, and return what it printed."""
        if shown:
            click.secho(f"$ doorctl {' '.join(words)}", bold=True)
        # -P: not what lies in root's working directory.
        command = [sys.executable, "-P", "-m", "doorctl", *words, "--config", str(self.path)]
        beside = {**os.environ, "CREDENTIALS_DIRECTORY": str(self.path.parent)}
        done = subprocess.run(  # noqa: S603 - our own command
            command, input=typed, stdout=subprocess.PIPE, text=True, env=beside, check=False
        )
        if shown:
            click.echo(done.stdout, nl=False)
        if done.returncode and not may_fail:
            what = self.say("It stopped here; mend it and run `doorctl setup` again.")
            click.echo(what, err=True)
            raise SystemExit(1)
        return done.stdout


DATABASES = ("patrons.db", "branch.db", "visits.db")
