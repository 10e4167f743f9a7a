"""``doorctl setup``: a dialogue or an answers file, then every step of an installation."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from select import select
from shutil import which
from signal import SIG_IGN, SIGHUP, SIGTERM, signal

import click

import doorctl
from doorctl.cards.reader import as_sent
from doorctl.cli.options import config_options
from doorctl.config import Config
from doorctl.config.loading import overridden, read_tables
from doorctl.core.errors import ConfigError, DeviceError, DoorctlError, InputError
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.language import own as language
from doorctl.services import setup as rules
from doorctl.services.setup import Answers, Plan, Question

UNITS = ("doorctl-web", "doorctl-door")
DATABASES = ("patrons.db", "branch.db", "visits.db")

SPEEDS = (9600, 115200, 19200, 38400, 57600, 4800, 2400, 1200)
"""Bits a second in the order in which lines are tried: most readers come with the first."""

PARITY = {"N": "none", "E": "even", "O": "odd"}
QUIET_S = {"reader": 0.5, "keypad": 2.0}
"""How long a line is silent once a card, or somebody's fourth key, is through."""

WAIT_S = 120.0
LOOK_S = 0.5
PULSE_S = 1.0
CHUNK = 256
EVER = datetime(1970, 1, 1, tzinfo=UTC)
HELP = """Set up a branch: ask what it needs, write the configuration, make keys and databases.

Run again it changes what is answered anew and nothing else; stopped, it goes on where it was.

--answers FILE asks nothing. FILE is TOML: any key of doorctl.toml, and [setup] for the rest. Where
something in it is wrong, every problem is told, nothing is changed, and the exit code is 2. A new
installation needs branch.name, branch.id and reader.port. The questions, with examples:

\b
{template}
"""


@click.command(help=HELP.format(template=rules.template()))
@config_options
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
def setup(config_path: Path, overrides: tuple[str, ...], file: Path | None, root: Path) -> None:
    """Ask or read, then do; the text for people is HELP."""
    if os.geteuid() != ROOT:
        raise InputError("setup writes what is root's; run it as root: sudo doorctl setup")
    from doorctl.demo.door import shipped

    for number in (SIGTERM, SIGHUP):
        signal(number, _stop)
    path = config_path.absolute()
    if not (new := not path.exists()):
        read_tables(path)
    tables, malformed = overridden({}, overrides)
    if malformed:
        raise ConfigError("the command line", malformed)
    given = rules.flat(tables)
    text = (shipped("doorctl.toml") if new else path).read_bytes().decode()
    if file is not None:
        try:
            answers = rules.flat(read_tables(file)) | given
            made = rules.plan(answers, path, text, new=new, scripted=True)
        except ConfigError as error:
            click.echo(str(ConfigError(str(file.absolute()), error.problems)), err=True)
            raise SystemExit(2) from None
        Work(made, path, root, language(made.own.language).words.gettext).do()
    elif sys.stdin.isatty():
        Dialogue(path, root, text, given, new=new).hold()
    else:
        raise InputError("there is no terminal to ask at; give --answers FILE")


def _stop(_number: int, _frame: object) -> None:
    """Stop as Ctrl-C does, so that the relay goes off and what was stopped is started; but once."""
    for number in (SIGTERM, SIGHUP):
        signal(number, SIG_IGN)
    raise KeyboardInterrupt


def systemctl(root: Path, *words: str, offline: bool = False) -> bool:
    """Call systemctl where systemd runs, or in an image that it will run in; tells whether."""
    image = offline and root == Path("/") and which("systemctl") is not None
    if not image and not (root / "run/systemd/system").is_dir():
        return False
    if subprocess.run(["systemctl", *words], check=False).returncode:  # noqa: S603, S607 - our own units
        raise SystemExit(1)
    return True


@dataclass(frozen=True, slots=True)
class Work:
    """The steps, in their order; each can be repeated, so that a killed one is done again.

    `root` is where the machine's own folders stand; `say` translates. Only somebody at a terminal
    can be asked for a secret, or `swiped` a card, which returns how that went.
    """

    made: Plan
    path: Path
    root: Path
    say: Callable[[str], str]
    ask: Callable[[str], str] | None = None
    swiped: Callable[[Config], str] | None = None

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
        if not systemctl(self.root, "daemon-reload"):
            click.echo(_("systemd does not run here, so nothing was started."))
        if own.feed != Path():
            # Web alone writes the register while it runs; it has to be there whatever comes of it.
            systemctl(self.root, "stop", "doorctl-web")
            try:
                self._call("patrons", "load", str(own.feed.absolute()), "--full")
            finally:
                systemctl(self.root, "start", "doorctl-web")
        self._add_account()
        boot = self._boot()
        units = (*UNITS, *(["doorctl-backup.timer"] if config.backup.recipients else []))
        systemctl(self.root, "enable", *units, offline=True)
        systemctl(self.root, "restart" if changed else "start", *units)
        tested = self._call("selftest", may_fail=True).splitlines()
        failing = [line.split()[1] for line in tested if line.startswith("fails ")]
        passed = f"{len(tested) - len(failing)} of {len(tested)}; failing: {failing or 'none'}"
        if own.test_alarm:
            self._call("alarm", "send", may_fail=True)
        about = {"certificate": certificate, "relay at boot": boot, "self-test": passed}
        if self.swiped is not None:
            about["swipe"] = self.swiped(config)
        self._record(about)
        click.echo(boot)

    def _place_secrets(self) -> None:
        for name, file in rules.secrets(self.made.config):
            path = self.path.parent / file
            if self.ask is not None and file != rules.WEB_KEY and not path.exists():
                rules.put(path, f"{self.ask(name)}\n".encode(), 0o600)

    def _add_account(self) -> None:
        own = self.made.own
        if not own.account:
            return
        listed = self._call("staff", "list").splitlines()
        if own.account.lower() in (line.split()[0] for line in listed if line.strip()):
            return
        add = ("staff", "add", own.account, "--role", own.account_role, "--password-stdin")
        if own.account_password_file != Path():
            self._call(*add, typed=own.account_password_file.read_text())
            return
        # Refused because it is easy to guess, which was told: another one.
        while self.ask and not self._call(*add, typed=self.ask(own.account), may_fail=True):
            pass

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
        system = platform.freedesktop_os_release()
        head = {
            "set up": f"{today}",
            "by": own.by or "-",
            "doorctl": doorctl.__version__,
            "system": f"{system['PRETTY_NAME']}, Python {platform.python_version()}",
        }
        path = self.path.with_name("setup-record.txt")
        rules.put(path, rules.record(self.made, head | about).encode())
        click.echo(self.say("For the municipality's records: {path}").format(path=path))

    def _call(self, *words: str, typed: str = "", may_fail: bool = False) -> str:
        """Run a command of doorctl's, show it, and return what it printed."""
        click.secho(f"$ doorctl {' '.join(words)}", bold=True)
        # -P: not what lies in root's working directory.
        command = [sys.executable, "-P", "-m", "doorctl", *words, "--config", str(self.path)]
        beside = {**os.environ, "CREDENTIALS_DIRECTORY": str(self.path.parent)}
        done = subprocess.run(  # noqa: S603 - our own command
            command, input=typed, stdout=subprocess.PIPE, text=True, env=beside, check=False
        )
        click.echo(done.stdout, nl=False)
        if done.returncode and not may_fail:
            what = self.say("It stopped here; mend it and run `doorctl setup` again.")
            click.echo(what, err=True)
            raise SystemExit(1)
        return done.stdout


class Dialogue:
    """The questions at a terminal, and after them the work. What was answered is kept until then.

    `text` is of the configuration at `path`, or of the packaged example for a `new` one; `given`
    are answers of the command line.
    """

    def __init__(self, path: Path, root: Path, text: str, given: Answers, *, new: bool) -> None:
        self._path, self._root, self._text, self._new = path, root, text, new
        self._kept = path.with_name("setup-answers.toml")
        self._base = rules.flat(rules.tables_of(text)) | (rules.EXAMPLES if new else {})
        self._answers, self._asked = given, {*given}
        self._say = language(str(given.get("setup.language", "en"))).words.gettext
        self._stopped_door = False

    def hold(self) -> None:
        """Ask, do, and let a card open the door; exit code 1 where somebody stops it."""
        try:
            while "setup.language" not in self._asked:
                chosen = click.prompt("Sprog / Language (da, en)", default="da")
                self._take("setup.language", chosen)
            if self._kept.exists() and self._yes("Go on where it was stopped?", default=True):
                self._answers = rules.flat(read_tables(self._kept)) | self._answers
                self._asked |= {*self._answers}
            made = self._ask_all()
            last = self._say("Enter: write and start all this now. Ctrl-C: stop")
            click.prompt(last, default="", show_default=False)
            Work(made, self._path, self._root, self._say, self._secret, self._swiped).do()
        except (click.Abort, KeyboardInterrupt):
            click.echo("\n" + self._say("Stopped. `doorctl setup` goes on where it was."), err=True)
            raise SystemExit(1) from None
        finally:
            if self._stopped_door:
                systemctl(self._root, "start", "doorctl-door")
        self._kept.unlink(missing_ok=True)
        if made.own.feed == Path() and not made.config.web.push.public_key_files:
            click.echo(self._say("Patrons are pushed: pair with the server, by `doorctl pair`."))

    def _ask_all(self) -> Plan:
        while True:
            for question in rules.QUESTIONS:
                if question.name not in self._asked and question.is_due(self._known):
                    self._ask(question)
            try:
                return self._plan(self._answers)
            except ConfigError as error:
                for problem in error.problems:
                    click.echo(f"{problem.where}: {problem.what.told(self._say)}", err=True)
                again = self._asked & {problem.where for problem in error.problems}
            if not again:
                raise SystemExit(1)
            self._asked -= again

    @property
    def _known(self) -> Answers:
        return self._base | self._answers

    def _plan(self, answers: Answers) -> Plan:
        return rules.plan(answers, self._path, self._text, new=self._new, scripted=False)

    def _ask(self, question: Question) -> None:
        """Ask until the answer can be used; what stands already is offered, and kept by Enter."""
        name, key = question.name, question.key
        if name in {"reader.port", "keypad.port"}:
            self._find(key.table)
        first = self._new and name in rules.NEW
        value = None if first else self._known.get(name, key.default)
        # Monday's hours are offered for the days that have none yet.
        copied = question.when == "hours.monday" and name not in self._known
        if copied:
            value = self._known["hours.monday"]
        offered = rules.spoken(value, yes=self._say("yes"), no=self._say("no"))
        choice = f" ({self._say(key.allowed)})" if key.allowed.startswith("one of") else ""
        while name not in self._asked:
            text = self._say(question.text) + choice
            typed = click.prompt(text, default=offered, show_default=bool(offered))
            if typed == offered and not first and not copied:
                self._asked.add(name)
            else:
                self._take(name, rules.parsed(key, typed))
        if name == "gpio.relay_active_high":
            self._click_relay()

    def _take(self, name: str, value: object) -> None:
        """Keep an answer, or say what is wrong with it."""
        answers = {**self._answers, name: value}
        try:
            self._plan(answers)
        except ConfigError as error:
            for told in (problem.what for problem in error.problems if problem.where == name):
                allowed = Question(name, "").key.allowed
                text = self._say("That can't be used. Allowed: {allowed}.")
                if allowed in told:
                    click.echo(text.format(allowed=self._say(allowed)))
                else:
                    click.echo(told.told(self._say))
                return
        self._answers = answers
        self._asked.add(name)
        if name == "setup.language":
            self._say = language(str(value)).words.gettext
        else:
            rules.put(self._kept, rules.as_toml(self._answers).encode(), 0o600)

    def _find(self, table: str) -> None:
        """Find a line by what somebody does at it; nothing is taken where it is to be typed."""
        lines = [str(path) for path in sorted((self._root / "dev/serial/by-id").glob("*"))]
        what = {"reader": "Swipe a card now", "keypad": "Press 1 2 3 4 on the keypad now"}[table]
        more = self._say("{what} ({baud} bits a second). Enter: type the line instead.")
        for baud in SPEEDS if lines else ():
            click.echo(more.format(what=self._say(what), baud=baud))
            speeds = dict.fromkeys(lines, baud)
            if table == "keypad" and self._known["reader.port"] in lines:
                speeds[self._known["reader.port"]] = self._known.get("reader.baud", baud)
            if (heard := self._heard(speeds, QUIET_S[table])) is None:
                return
            line, (bits, sent) = heard[0], as_sent(heard[1])
            lines, what_came = [line], rules.heard(table, sent)
            if what_came:
                click.echo(f"{line}, {speeds[line]} {bits}: {self._say(what_came)}")
                found: Answers = {"port": line, "baud": speeds[line]}
                found |= {"data_bits": int(bits[0]), "parity": PARITY[bits[1]]}
                if table == "keypad" and line == self._known["reader.port"]:
                    found = {"port": ""}
                for leaf, value in found.items():
                    self._take(f"{table}.{leaf}", value)
                return
            click.echo(self._say("{line}: that could not be read; once more.").format(line=line))

    def _heard(self, speeds: dict[str, int], quiet_s: float) -> tuple[str, bytes] | None:
        from doorctl.devices.serial_line import first_to_speak

        while True:
            try:
                heard = first_to_speak(speeds, WAIT_S, quiet_s, sys.stdin.fileno())
            except DeviceError as error:
                click.echo(str(error), err=True)
                if not self._yes("Does the door run there? Stop it and try again?", default=False):
                    return None
                self._stopped_door = systemctl(self._root, "stop", "doorctl-door")
                continue
            if heard is None and select([sys.stdin], [], [], 0)[0]:
                os.read(sys.stdin.fileno(), CHUNK)
            return heard

    def _click_relay(self) -> None:
        """Let the relay click once where that is wanted, and say which pin moved."""
        gpio = self._plan(self._answers).config.gpio
        warning = "Let the relay of GPIO{pin} click now? The door opens for a second."
        while self._yes(warning, default=False, pin=gpio.relay_pin):
            from doorctl.devices.pins import pulse

            try:
                levels = pulse(gpio, PULSE_S)
            except DeviceError as error:
                click.echo(str(error), err=True)
                continue
            text = self._say("GPIO{pin} went {levels}. Did the door open, and lock again?")
            click.echo(text.format(pin=gpio.relay_pin, levels=" → ".join(map(str, levels))))

    def _swiped(self, config: Config) -> str:
        """Wait for a card that opens the door; say how that went."""
        from doorctl.access.patron import SENTENCES, Reason
        from doorctl.services.check import ask_deciding
        from doorctl.store.door_log import VisitHistory

        try:
            ask_deciding(config)
        except DoorctlError as error:
            click.echo(self._say("No swipe was tried: {why}").format(why=error), err=True)
            return "not tried"
        click.echo(self._say("Now a card and its PIN, as a patron does. Enter: leave it."))
        path = config.storage.visits_db
        with owner_of(path.parent), closing(VisitHistory(path)) as history:
            told = {each.attempt for each in history.visits(EVER)}
            while not select([sys.stdin], [], [], LOOK_S)[0]:
                for visit in history.visits(EVER):
                    if visit.attempt in told or visit.reason is None:
                        continue
                    told.add(visit.attempt)
                    danish, english = SENTENCES[Reason(visit.reason)]
                    click.echo(danish if self._answers["setup.language"] == "da" else english)
                    if visit.verdict == "granted":
                        return "a card opened the door"
        os.read(sys.stdin.fileno(), CHUNK)
        return "no card opened the door"

    def _secret(self, what: str) -> str:
        text = self._say("Secret for {what}, unseen")
        return str(click.prompt(text.format(what=what), hide_input=True))

    def _yes(self, text: str, *, default: bool, **values: object) -> bool:
        while True:
            offered = self._say("yes") if default else self._say("no")
            typed = click.prompt(self._say(text).format(**values), default=offered)
            if (answer := rules.YES_NO.get(typed.strip().lower())) is not None:
                return answer
