"""``doorctl setup``: a dialogue or an answers file; what they come to, `installer` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from select import select
from signal import SIG_IGN, SIGHUP, SIGTERM, signal

import click

from doorctl.admin import machine
from doorctl.admin import setup as rules
from doorctl.admin.setup import Answers, Plan, Question
from doorctl.cards.framing import as_sent
from doorctl.cards.inspection import masked
from doorctl.cli.installer import (
    ASKED_AGAIN,
    StepFailedError,
    Terminal,
    Work,
    is_elsewhere,
    systemctl,
)
from doorctl.cli.options import config_options, root_option
from doorctl.config import Config
from doorctl.config.loading import Key, overridden, read_tables
from doorctl.config.rules import undriven_locks
from doorctl.config.tables import REQUIRED
from doorctl.core.errors import ConfigError, DeviceError, DoorctlError, InputError, Sentence
from doorctl.core.identity import ROOT, owner_of
from doorctl.core.language import own as language
from doorctl.devices.plugged import bare_lines, serial_lines
from doorctl.extras.extra import extra_named

SPEEDS = (9600, 115200, 19200, 38400, 57600, 4800, 2400, 1200)
"""Bits a second in the order in which lines are tried: most readers come with the first."""

PARITY = {"N": "none", "E": "even", "O": "odd"}
QUIET_S = {"reader": 0.5, "keypad": 2.0}
"""How long a line is silent once a card, or somebody's fourth key, is through."""

WAIT_S = 120.0
LOOK_S = 0.5
PULSE_S = 1.0
CHUNK = 256
BACK = "<"
"""Typed at a question: the one before it again."""

LINES = {"reader": "Swipe a card now", "keypad": "Press 1 2 3 4 on the keypad now"}
"""Table of a line that is found by what somebody does there, and that."""

TRIES = 2
"""How often a speed is tried before the next: a worn card says nothing about it."""

EVER = datetime(1970, 1, 1, tzinfo=UTC)
HELP = """Set up a branch: ask what it needs, write the configuration, make keys and databases.

Run again it changes what is answered anew and nothing else; stopped, it goes on where it was.
With --config elsewhere than in /etc/doorctl, all stays in that file's folder, and systemd is left
alone.

On the library's server give --server, or --config and a file that has [sync]. Then it asks which
library system there is and where its export lies, shows what becomes of it as `doorctl sync look`
does, and writes [source]. Its answers file has setup.system, sync.feed, and what the ready map
leaves open, such as source.map.resident.

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
    "--server",
    "is_server",
    is_flag=True,
    help="Set up the library's server, which pushes patrons, and not a branch.",
)
@root_option("boot, dev, etc/systemd and run stand")
def setup(
    config_path: Path,
    overrides: tuple[str, ...],
    file: Path | None,
    root: Path,
    *,
    is_server: bool,
) -> None:
    """Ask or read, then do; the text for people is HELP."""
    if os.geteuid() != ROOT:
        raise InputError("setup writes what is root's; run it as root: sudo doorctl setup")
    from doorctl.config.shipped import shipped

    for number in (SIGTERM, SIGHUP):
        signal(number, _stop)
    path = config_path.absolute()
    there = {} if (new := not path.exists()) else read_tables(path)
    tables, malformed = overridden({}, overrides)
    if malformed:
        raise ConfigError("the command line", malformed)
    if is_server or ("sync" in there and "reader" not in there):
        from doorctl.cli.server import set_up

        set_up(path, tables, file)
        return
    given = rules.flat(tables)
    if new and is_elsewhere(path, root):
        given = rules.BESIDE | given
    text = (shipped("doorctl.toml") if new else path).read_bytes().decode()
    if file is not None:
        try:
            answers = rules.flat(read_tables(file)) | given
            made = rules.plan(answers, path, text, new=new, scripted=True)
        except ConfigError as error:
            click.echo(str(ConfigError(str(file.absolute()), error.problems)), err=True)
            raise SystemExit(2) from None
        _do(Work(made, path, root, language(made.own.language).words.gettext))
    elif sys.stdin.isatty():
        Dialogue(path, root, text, given, new=new).hold()
    else:
        raise InputError("there is no terminal to ask at; give --answers FILE")


def _do(work: Work) -> None:
    """Do the work without a dialogue; exit code 1 where a step fails."""
    try:
        failed = work.do()
    except StepFailedError:
        what = work.say("It stopped here; mend it and run `doorctl setup` again.")
        click.echo(what, err=True)
        raise SystemExit(1) from None
    _tell_failed(failed, work.say)


def _tell_failed(failed: list[str], say: Callable[[str], str]) -> None:
    """Name the steps that failed beside the door; exit code 1 where there are any."""
    if failed:
        text = say("The branch is set up, but this failed; mend it and try it: {commands}")
        commands = ", ".join(f"doorctl {step}" for step in failed)
        click.echo(text.format(commands=commands), err=True)
        raise SystemExit(1)


def _stop(_number: int, _frame: object) -> None:
    """Stop as Ctrl-C does, so that the relay goes off and what was stopped is started; but once."""
    for number in (SIGTERM, SIGHUP):
        signal(number, SIG_IGN)
    raise KeyboardInterrupt


def speeds_tried() -> Iterator[tuple[int, bool]]:
    """Yield each speed in turn, without end, and whether a round begins with it."""
    for place in cycle(range(TRIES * len(SPEEDS))):
        yield SPEEDS[place // TRIES], place == 0


class BackError(Exception):
    """The question before is to be asked again."""


class Dialogue:
    """The questions at a terminal, and after them the work. What was answered is kept until then.

    `text` is of the configuration at `path`, or of the packaged example for a `new` one; `given`
    are answers of the command line.
    """

    def __init__(self, path: Path, root: Path, text: str, given: Answers, *, new: bool) -> None:
        self._path, self._root, self._text, self._new = path, root, text, new
        self._kept = path.with_name("setup-answers.toml")
        self._base = rules.flat(rules.tables_of(text)) | (rules.EXAMPLES if new else {})
        self._answers, self._asked, self._given = given, {*given}, frozenset(given)
        self._found: set[str] = set()
        self._renewed: frozenset[str] = frozenset()
        self._begun = self._kept.exists()
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
            self._refuse_given()
            click.echo(self._say("Enter takes what stands in brackets; < goes back one question."))
            made, failed = self._done()
        except StepFailedError:
            raise SystemExit(1) from None
        except (click.Abort, KeyboardInterrupt):
            click.echo("\n" + self._say("Stopped. `doorctl setup` goes on where it was."), err=True)
            raise SystemExit(1) from None
        finally:
            if self._stopped_door:
                with suppress(StepFailedError):
                    systemctl(self._root, "start", "doorctl-door")
        self._kept.unlink(missing_ok=True)
        if made.own.feed == Path() and not made.config.web.push.public_key_files:
            click.echo(self._say("Patrons are pushed: pair with the server, by `doorctl pair`."))
        _tell_failed(failed, self._say)

    def _refuse_given(self) -> None:
        """Say what is wrong with the command line's answers, before anything is asked."""
        try:
            self._plan(self._answers)
        except ConfigError as error:
            if wrong := [each for each in error.problems if each.where in self._given]:
                raise ConfigError("the command line", wrong) from None

    def _done(self) -> tuple[Plan, list[str]]:
        """Ask and do, until no step fails that an answer can mend."""
        terminal = Terminal(self._secret, self._swiped, self._again, self._ready)
        while True:
            made = self._ask_all()
            about = self._say, terminal, self._renewed, self._begun
            try:
                return made, Work(made, self._path, self._root, *about).do()
            except StepFailedError as error:
                again = {*error.questions} - self._given
                if not again:
                    what = self._say("It stopped here; mend it and run `doorctl setup` again.")
                    click.echo(what, err=True)
                    raise SystemExit(1) from None
            click.echo(self._say("It stopped here. What this rests on is asked again."), err=True)
            self._renewed = frozenset(rules.SECRETS[name][1] for name in again & {*rules.SECRETS})
            self._begun = True
            self._forget(*again)

    def _again(self, step: str) -> bool:
        """Tell whether the questions of a step that failed are to be asked again."""
        if self._given >= {*ASKED_AGAIN[step]}:
            return False
        text = "`doorctl {step}` failed. Answer its questions again?"
        return self._yes(text, default=True, step=step)

    def _ready(self, what: str) -> None:
        """Wait until somebody has done what a step needs."""
        click.echo(what)
        click.prompt(self._say("Then Enter"), default="", show_default=False)

    def _ask_all(self) -> Plan:
        """Ask what has no answer yet, and return what all come to once somebody agrees."""
        while True:
            while due := [each for each in self._due() if each.name not in self._asked]:
                self._ask_or_go_back(due[0])
            try:
                made = self._plan(self._answers)
            except ConfigError as error:
                for problem in error.problems:
                    click.echo(f"{problem.where}: {problem.what.told(self._say)}", err=True)
                again = {problem.where for problem in error.problems} & self._asked - self._given
                if not again:
                    raise SystemExit(1) from None
                self._forget(*again)
                continue
            if self._agreed():
                return made

    def _due(self) -> list[Question]:
        return [each for each in rules.QUESTIONS if each.is_due(self._known)]

    def _ask_or_go_back(self, question: Question) -> None:
        try:
            self._ask(question)
        except BackError:
            names = [each.name for each in self._due() if each.name not in self._given]
            # None before the first.
            self._forget(*names[: names.index(question.name)][-1:])

    def _forget(self, *names: str) -> None:
        """Have questions asked again, those of a line that was found together; keep that."""
        for name in names:
            table = name.partition(".")[0]
            line = {f"{table}.{leaf}" for leaf in rules.LINE} if table in self._found else {name}
            self._asked -= line - self._given
            self._found.discard(table)
            if name == "hours.monday":
                # Where it is offered, Enter can't mean always open.
                others = {each: at for each, at in self._answers.items() if each != name}
                self._answers = self._settled(others)
        self._keep()

    def _settled(self, answers: Answers) -> Answers:
        fixed = {name: value for name, value in answers.items() if name in self._given}
        return rules.settled(answers, self._base) | fixed

    def _keep(self) -> None:
        """Keep what was answered, but for what is to be asked again."""
        answers = {name: at for name, at in self._answers.items() if name in self._asked}
        machine.put(self._kept, rules.as_toml(answers).encode(), 0o600)

    def _agreed(self) -> bool:
        """Show every answer; tell whether they are to be written, or have one asked again."""
        shown = [each for each in self._due() if each.name not in self._given]
        click.echo()
        for number, question in enumerate(shown, 1):
            value = self._known.get(question.name, question.key.default)
            answer = "-" if value == [] else self._spoken(value)
            whole = self._say(question.text)
            # What an empty answer means stands behind the semicolon.
            text = whole.partition(";")[0] if answer else whole
            click.echo(f"{number:3} {text}{'' if text.endswith('?') else ':'} {answer}")
        click.echo()
        last = self._say("Enter: write all this to {path}, and start. A number: answer that again")
        while typed := self._typed(last.format(path=self._path), ""):
            if typed == BACK:
                self._forget(shown[-1].name)
                return False
            if typed.isdecimal() and 0 < int(typed) <= len(shown):
                self._forget(shown[int(typed) - 1].name)
                return False
        return True

    @property
    def _known(self) -> Answers:
        return self._base | self._answers

    def _plan(self, answers: Answers) -> Plan:
        return rules.plan(answers, self._path, self._text, new=self._new, scripted=False)

    def _ask(self, question: Question) -> None:
        """Ask until the answer can be used; what stands already is offered, and kept by Enter."""
        name, key = question.name, question.key
        if name in {f"{table}.port" for table in LINES}:
            if self._is_serial(key.table):
                self._find(key.table)
            else:
                self._list(key.table)
        value, stands = self._offered(question)
        offered = self._spoken(value)
        choice = f" ({self._say(key.allowed)})" if key.allowed.startswith("one of") else ""
        while name not in self._asked:
            typed = self._typed(self._say(question.text) + choice, offered)
            if typed == BACK:
                raise BackError
            if typed == offered and stands:
                if not self._is_refused(name, value, self._answers):
                    self._asked.add(name)
            else:
                self._take(name, rules.parsed(key, typed))
        if name == "gpio.relay_pin":
            self._click_relay()
        if name == "alarms.email.port":
            self._try_mail()

    def _offered(self, question: Question) -> tuple[object, bool]:
        """Return what is offered to a question, and whether that stands already."""
        name, known = question.name, self._known
        if self._new and name not in self._answers and self._is_open(name):
            return self._guessed(question), False
        # Monday's hours are offered for the days that have none yet.
        if question.when == "hours.monday" and name not in known:
            return known["hours.monday"], False
        value = known.get(name, question.key.default)
        if name == "gpio.relay_pin":
            # Right only for one level of the relay, which was asked before it.
            wrong = any(undriven_locks(rules.gpio(known)))
            return (None if wrong else value), False
        if name == "alarms.email.port" and value in rules.MAIL_PORTS.values():
            return rules.MAIL_PORTS[known["alarms.email.security"]], False
        return value, True

    def _is_open(self, name: str) -> bool:
        """Tell whether nothing that stands in the example is right for a question."""
        keypad_kind = name == "keypad.kind" and self._known["reader.kind"] == "osdp"
        keypad_port = name == "keypad.port" and not self._is_serial("keypad")
        return name in rules.NEW or keypad_kind or keypad_port

    def _guessed(self, question: Question) -> object:
        """Return the only line that is there; the OSDP reader's own keypad; else None."""
        table = question.key.table
        if question.name == f"{table}.port" and not self._is_serial(table):
            found = self._plugged(table)
            return found[0] if len(found) == 1 else None
        return self._known["reader.kind"] if question.name == "keypad.kind" else None

    def _spoken(self, value: object) -> str:
        return rules.spoken(value, yes=self._say("yes"), no=self._say("no"))

    def _typed(self, text: str, offered: str) -> str:
        typed: str = click.prompt(text, default=offered, show_default=bool(offered))
        return typed if typed == offered else typed.strip()

    def _take(self, name: str, value: object) -> None:
        """Keep an answer, or say what is wrong with it."""
        answers = self._settled({**self._answers, name: value})
        if self._is_refused(name, value, answers):
            return
        self._answers = answers
        self._asked.add(name)
        if name == "setup.language":
            self._say = language(str(value)).words.gettext
        else:
            self._keep()

    def _is_refused(self, name: str, value: object, answers: Answers) -> bool:
        """Say what is wrong with one answer among all; tells whether there is anything."""
        try:
            self._plan(answers)
        except ConfigError as error:
            for what in (problem.what for problem in error.problems if problem.where == name):
                self._refuse(Question(name, "").key, value, what)
                return True
        return False

    def _refuse(self, key: Key, value: object, what: Sentence) -> None:
        """Say why an answer can't be used, and which can."""
        if value == "" and key.default is REQUIRED:
            text = self._say("This needs an answer, such as {example}.")
            click.echo(text.format(example=key.example))
        elif key.allowed in what:
            is_switch = isinstance(key.default, bool)
            allowed = self._say("yes or no" if is_switch else key.allowed)
            text = self._say("That can't be used. Allowed: {allowed}.")
            click.echo(text.format(allowed=allowed))
        else:
            click.echo(what.told(self._say))

    def _list(self, table: str) -> None:
        """Say which lines are there: no OSDP reader or USB keys are told by their sound."""
        if lines := self._plugged(table):
            click.echo(self._say("Lines here: {lines}").format(lines=", ".join(lines)))

    def _plugged(self, table: str) -> list[str]:
        kind = extra_named(self._known.get(f"{table}.kind", rules.SERIAL))
        find = kind.plugged if kind is not None and kind.plugged is not None else serial_lines
        found = find(self._root / "dev")
        return [line for line in map(str, found) if not self._is_taken(table, line)]

    def _is_serial(self, table: str) -> bool:
        return bool(self._known.get(f"{table}.kind", rules.SERIAL) == rules.SERIAL)

    def _is_taken(self, table: str, line: str) -> bool:
        """Tell whether a line is the reader's, and so can't be a keypad's own."""
        reader = table == "keypad" and self._known["reader.port"] == line
        return reader and not (self._is_serial(table) and self._is_serial("reader"))

    def _find(self, table: str) -> None:
        """Find a line by what somebody does at it; nothing is taken where it is to be typed."""
        lines = tried = self._plugged(table)
        if not lines:
            text = self._say("Nothing is in /dev/serial/by-id, so a line is to be typed, such as:")
            others = map(str, bare_lines(self._root / "dev"))
            click.echo(f"{text} {', '.join(others) or '/dev/ttyACM0'}")
            return
        more = self._say("{what} ({baud} bits a second). Enter: type the line instead.")
        for baud, is_first in speeds_tried():
            if is_first:
                tried = lines
            click.echo(more.format(what=self._say(LINES[table]), baud=baud))
            speeds = dict.fromkeys(tried, baud)
            if table == "keypad" and self._known["reader.port"] in tried:
                speeds[self._known["reader.port"]] = self._known.get("reader.baud", baud)
            if (heard := self._heard(speeds, QUIET_S[table])) is None:
                click.echo(self._say("Lines here: {lines}").format(lines=", ".join(lines)))
                return
            line, (bits, sent) = heard[0], as_sent(heard[1])
            if what_came := rules.heard(table, sent):
                click.echo(f"{line}, {speeds[line]} {bits}: {self._say(what_came)}")
                self._take_line(table, line, speeds[line], bits)
                return
            tried = [line]
            text = self._say("{line}: that could not be read ({shape}); once more.")
            click.echo(text.format(line=line, shape=masked(sent)))

    def _take_line(self, table: str, line: str, baud: int, bits: str) -> None:
        found: Answers = {"port": line, "baud": baud}
        found |= {"data_bits": int(bits[0]), "parity": PARITY[bits[1]]}
        if table == "keypad" and line == self._known["reader.port"]:
            found = {"port": ""}
        for leaf, value in found.items():
            self._take(f"{table}.{leaf}", value)
        self._found.add(table)

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
                typed = os.read(sys.stdin.fileno(), CHUNK)
                if typed.strip() == BACK.encode():
                    raise BackError
            return heard

    def _try_mail(self) -> None:
        """Say hello to the mail server; where that fails, its questions can be asked again."""
        try:
            rules.greet_mail(self._known, self._path.parent)
        except DoorctlError as error:
            click.echo(str(error), err=True)
            if self._yes("Answer again where the mail server is?", default=True):
                # Another encryption has another port.
                del self._answers["alarms.email.port"]
                self._forget(*rules.MAIL_SERVER)

    def _click_relay(self) -> None:
        """Let the relay click once where that is wanted, and say which pin moved."""
        gpio = rules.gpio(self._known)
        warning = "Let the relay of GPIO{pin} click now? The door opens for a second."
        while self._yes(warning, default=False, pin=gpio.relay_pin):
            from doorctl.devices.relay_off import pulse

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
        from doorctl.lookup.health import ask_deciding
        from doorctl.store.door_log import VisitHistory

        try:
            ask_deciding(config)
        except DoorctlError as error:
            click.echo(self._say("No swipe was tried: {why}").format(why=error), err=True)
            return "not tried"
        click.echo(self._say("Now a card and its PIN, as a patron does. Enter: leave it."))
        path = config.storage.visits_db
        with owner_of(path.parent), closing(VisitHistory(path)) as history:
            seen = {each.attempt for each in history.visits(EVER)}
            while not select([sys.stdin], [], [], LOOK_S)[0]:
                for visit in history.visits(EVER):
                    if visit.attempt in seen or visit.reason is None:
                        continue
                    seen.add(visit.attempt)
                    danish, english = SENTENCES[Reason(visit.reason)]
                    click.echo(danish if self._answers["setup.language"] == "da" else english)
                    if visit.verdict == "granted":
                        return "a card opened the door"
        os.read(sys.stdin.fileno(), CHUNK)
        return "no card opened the door"

    def _secret(self, what: str, file: Path | None) -> str:
        kept = file is not None and file.exists()
        text = self._say("Secret for {what}, unseen; Enter keeps the one that is there")
        if not kept:
            text = self._say("Secret for {what}, unseen")
        default = "" if kept else None
        shown = text.format(what=what)
        return str(click.prompt(shown, default=default, show_default=False, hide_input=True))

    def _yes(self, text: str, *, default: bool, **values: object) -> bool:
        while True:
            offered = self._say("yes") if default else self._say("no")
            typed = click.prompt(self._say(text).format(**values), default=offered)
            if (answer := rules.YES_NO.get(typed.strip().lower())) is not None:
                return answer
