"""``doorctl setup``: what is asked, how an answer is checked, and what is written from it.

One table of questions serves the dialogue, the answers file and the help. An answer is flat: a key
of the configuration, or one of [setup], and its value; "" takes a pin away again.
"""

from __future__ import annotations

import json
import re
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doorctl.accounts.account import own_name
from doorctl.admin.certificate import MADE, WEB_KEY, WEB_PEM
from doorctl.admin.machine import credential_file
from doorctl.cards.inspection import READ, SENTENCES, reader_inspector
from doorctl.cards.keys import keys as keys_in
from doorctl.config import Config
from doorctl.config.extras import line_has
from doorctl.config.loading import (
    LISTED,
    Key,
    Origin,
    Tables,
    check_table,
    checked,
    from_values,
    keys,
    laid_over,
    section_keys,
)
from doorctl.config.rules import CREDENTIALS, MISSING, undriven_locks
from doorctl.config.tables import AlarmEmail, Gpio, Setup, shown, shown_key
from doorctl.core.errors import ConfigError, FeedError, InputError, Problem
from doorctl.extras.extra import feed_rows
from doorctl.sync.feed import RowsOf, try_feed

Answers = dict[str, Any]
OWN: Mapping[str, Key] = section_keys("setup", Setup)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for the key `name`; `text` is English, and the key of its Danish.

    It is asked where the question `when` has an answer, and one of `at` where there are any; of a
    line only where it is of a kind that has the key. The answers file alone has those of "-".
    """

    name: str
    text: str
    when: str = ""
    at: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What the schema says of its answers."""
        table, _, leaf = self.name.rpartition(".")
        return OWN[leaf] if table == "setup" else keys()[table][leaf]

    def is_due(self, answer: Mapping[str, Any]) -> bool:
        """Tell whether it is asked after the answers so far."""
        if not self.fits(answer):
            return False
        before = answer.get(self.when)
        return not self.when or (before in self.at if self.at else before not in (None, ""))

    def fits(self, answer: Mapping[str, Any]) -> bool:
        """Tell whether a line is of a kind for which this is asked."""
        table, _, leaf = self.name.rpartition(".")
        return table not in LINES or line_has(table, answer.get(f"{table}.kind", SERIAL), leaf)

    @property
    def is_known(self) -> bool:
        """Whether it is a key here: those of an extra that was deleted are none."""
        table, _, leaf = self.name.rpartition(".")
        return table == "setup" or leaf in keys().get(table, {})


LINES, SERIAL = ("reader", "keypad"), "serial"

ALL_QUESTIONS: tuple[Question, ...] = (
    Question("setup.language", "Language of this setup"),
    Question("branch.name", "The branch's name, as patrons read it"),
    Question("branch.id", "Its short name, by which pushes name it"),
    Question("branch.isil", "Its ISIL, as the library system names it"),
    Question("branch.language", "Language of the screen at the door"),
    Question("branch.phone", "Telephone for patrons who are refused"),
    Question("gpio.factory", "Who drives the pins: lgpio on a Pi, mock for a trial without", "-"),
    Question("reader.kind", "How the card reader is wired: a serial line, USB keys, or OSDP"),
    Question("reader.port", "The card reader's line"),
    Question("reader.baud", "The reader's speed"),
    Question("reader.data_bits", "Data bits of the reader's characters"),
    Question("reader.parity", "The reader's parity"),
    Question("reader.layout", "The reader's keyboard layout"),
    Question("reader.osdp_address", "The reader's OSDP address"),
    Question("reader.osdp_number", "What a card's bits are to the reader"),
    Question(
        "keypad.kind", "How the keypad is wired: a serial line, USB keys, or the OSDP reader's"
    ),
    Question(
        "keypad.port",
        "The keypad's line; empty where its keys come on the reader's",
    ),
    Question("keypad.baud", "The keypad's speed", "keypad.port"),
    Question("keypad.data_bits", "Data bits of the keypad's characters", "keypad.port"),
    Question("keypad.parity", "The keypad's parity", "keypad.port"),
    Question("keypad.layout", "The keypad's keyboard layout", "keypad.port"),
    Question("gpio.relay_active_high", "Is the relay on while its pin is high?"),
    Question("gpio.relay_pin", "The relay's pin (BCM number)"),
    Question("gpio.contact_pin", "The door contact's pin; empty where there is none"),
    Question("gpio.exit_button_pin", "The exit button's pin; empty where there is none"),
    Question("gpio.fire_pin", "The fire alarm's pin; empty where there is none"),
    Question("hours.monday", "Self-service on Mondays; empty for always open, - for closed"),
    Question("hours.tuesday", "Self-service on Tuesdays", "hours.monday"),
    Question("hours.wednesday", "Self-service on Wednesdays", "hours.monday"),
    Question("hours.thursday", "Self-service on Thursdays", "hours.monday"),
    Question("hours.friday", "Self-service on Fridays", "hours.monday"),
    Question("hours.saturday", "Self-service on Saturdays", "hours.monday"),
    Question("hours.sunday", "Self-service on Sundays", "hours.monday"),
    Question(
        "policy.require_resident",
        "Do only people who live in the municipality get in? With no, every registered patron does",
    ),
    Question("setup.feed", "File of patrons to load now; empty where they are pushed"),
    Question("lms.kind", "Library system to ask about unknown cards; empty for none"),
    Question("lms.url", "Its address", "lms.kind"),
    Question(
        "lms.agency",
        "The agency there (ISIL in FBS, institution in SIP2, tenant in FOLIO)",
        "lms.kind",
        ("fbs", "sip2", "folio"),
    ),
    Question("lms.user", "Account there", "lms.kind"),
    Question("setup.certificate", "Certificate of the staff's pages"),
    Question("setup.web_name", "Name of the pages", "setup.certificate", MADE),
    Question("setup.certificate_file", "The certificate (PEM)", "setup.certificate", ("files",)),
    Question("setup.key_file", "Its private key (PEM)", "setup.certificate", ("files",)),
    Question("alarms.email.host", "Mail server for alarms; empty for no mail"),
    Question("alarms.email.security", "How mail to it is encrypted", "alarms.email.host"),
    Question("alarms.email.port", "The mail server's port", "alarms.email.host"),
    Question("alarms.email.sender", "Address that alarms come from", "alarms.email.host"),
    Question("alarms.email.to", "Addresses that they go to", "alarms.email.host"),
    Question("alarms.email.user", "Account on the mail server", "alarms.email.host"),
    Question("alarms.webhook.url", "Address that alarms are posted to; empty for none"),
    Question("backup.recipients", "Public key that opens backups (age); empty for no backups"),
    Question("controller.name", "Municipality that answers for the data, with its CVR number"),
    Question("controller.address", "Its postal address", "controller.name"),
    Question("controller.mail", "Mail address for questions about data", "controller.name"),
    Question("controller.phone", "Telephone for questions about data", "controller.name"),
    Question("controller.processors", "Firms that handle the data for it", "controller.name"),
    Question("branch.dpo", "How to reach the data-protection officer", "controller.name"),
    Question("setup.test_alarm", "Send a test alarm at the end?"),
    Question("setup.account", "Login of the first staff account; empty for none"),
    Question("setup.account_role", "Its role", "setup.account"),
    Question("setup.account_password_file", "File of its password", "-"),
    Question("setup.boot_lines", "Write the relay's two lines into config.txt?"),
    Question("setup.by", "Who sets it up, for the record: a firm or a role, not a name"),
)

QUESTIONS = tuple(question for question in ALL_QUESTIONS if question.is_known)

SECRETS: Mapping[str, tuple[str, str]] = {
    "alarms.email.user": ("alarms.email.password_file", "mail.password"),
    "alarms.webhook.url": ("alarms.webhook.secret_file", "webhook.secret"),
    "lms.user": ("lms.password_file", "lms.password"),
}
"""Answer -> the key that it needs beside it, and the secret's file beside the configuration."""

PRIVATE = frozenset(
    {
        *("alarms.email.to", "alarms.email.sender", "alarms.email.user"),
        *("alarms.webhook.url", "lms.user"),
    }
)
"""Answers that may name a person or hold a token, and so stay out of the record."""

READER_KEY, READER_KEY_FILE = "reader.key", "reader.osdp_key_file"
"""The OSDP reader's key, and the key of the configuration that names it."""

MADE_HERE = frozenset({WEB_KEY, READER_KEY})
"""Secrets that setup makes, so that nobody is asked for them."""

DIGITS = 4
"""Of a PIN, where the configuration doesn't say."""

EXAMPLES = {"branch.isil": "", "keypad.port": ""}
"""Keys of the packaged example that name another branch, with their defaults."""

BESIDE = {
    "storage.directory": "data",
    "storage.door_directory": "",
    "secrets.installation_key_file": "installation.key",
    "backup.directory": "backups",
}
"""Where a new installation has its files beside its configuration, and not in the system's."""

NEW = ("branch.name", "branch.id", "reader.port")
"""The same, where there is no default."""

MAIL_PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}
"""The usual port of a mail server, by how it is spoken to."""

MAIL_SERVER = ("alarms.email.host", "alarms.email.security", "alarms.email.port")
"""Questions after which a mail server can be greeted."""

LINE = ("port", "baud", "data_bits", "parity")
"""What is asked of a serial line."""


def settled(answers: Answers, base: Answers) -> Answers:
    """Return answers without those that nothing asks for any more, after another one was changed.

    What the configuration `base` holds of them goes back to its default, where the question that
    they hang on was emptied: mail's addresses without a server would be refused.
    """
    result = {**answers}
    for question in QUESTIONS:
        if question.when == "-" or question.is_due(base | result):
            continue
        result.pop(question.name, None)
        emptied = question.when in answers and answers[question.when] in ("", [])
        emptied |= not question.fits(base | result)
        blank = "" if question.key.default is None else question.key.default
        if emptied and question.name in base and base[question.name] != blank:
            result[question.name] = list(blank) if isinstance(blank, tuple) else blank
    return result


def template() -> str:
    """Return an answers file with every question, each behind a ``#`` and with its text."""
    tables: dict[str, list[str]] = {}
    for question in QUESTIONS:
        table, _, leaf = question.name.rpartition(".")
        line = f"# {leaf} = {question.key.example}  # {question.text}"
        tables.setdefault(table, []).append(line)
    return "\n".join("\n".join([f"[{table}]", *lines]) for table, lines in tables.items())


def flat(tables: Mapping[str, Any], above: str = "") -> Answers:
    """Return each value of nested tables by its full key; an empty table has none."""
    found: Answers = {}
    for name, value in tables.items():
        whole = f"{above}{shown_key(name)}"
        found |= flat(value, f"{whole}.") if isinstance(value, dict) and value else {whole: value}
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """What answers come to: the file's whole text, the configuration, and setup's own values."""

    text: str
    config: Config
    own: Setup


def plan(answers: Answers, path: Path, text: str, *, new: bool, scripted: bool) -> Plan:
    """Return what these answers make of a configuration; ConfigError has all problems at once.

    `text` is the file's at `path`, or the packaged example's for a `new` one. Where answers are
    `scripted`, no secret can be asked for, so each has to be in its file already.
    """
    tables = tables_of(text)
    base = flat(tables)
    own, problems = _own(answers, scripted=scripted)
    written = _completed(answers, own, base, path.parent, new=new)
    is_mapped = any(name.startswith("source.") for name in base | written)
    problems += [] if is_mapped else _of_feed(own, base | written)
    problems += _of_written(written, path.parent, scripted=scripted)
    problems += _not_handed_over(base | written)
    problems += _undriven(base | written)
    wanted: Tables = {table: {} for table in tables}
    for name, value in _filled(base | written).items():
        if not new or name in written or name not in NEW:
            wanted = laid_over(wanted, name.split("."), value)
    values, wrong = checked(wanted)
    origin = Origin(path, (), values, frozenset(wanted))
    config = from_values(origin, {CREDENTIALS: str(path.parent)}, [*problems, *wrong])
    if is_mapped and (wrong := [*_of_feed(own, values, feed_rows(config))]):
        # By its map, which has been found right.
        raise ConfigError(str(path), wrong)
    for name, value in written.items():
        if value != base.get(name):
            text = edited(text, name, value)
    with suppress(ValueError):
        if _filled(flat(tables_of(text))) == _filled(base | written):
            return Plan(text, config, own)
    what = "is written in a way that setup can't edit; set what is new there yourself"
    raise ConfigError(str(path), [Problem(str(path), what)])


def tables_of(text: str) -> Tables:
    """Read a configuration's text, also with a byte-order mark. ValueError: it is no TOML."""
    return tomllib.loads(text.removeprefix("\ufeff"))


def as_toml(answers: Answers) -> str:
    """Return a file that these answers can be read from again."""
    lines = (
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in answers.items()
    )
    return "".join(lines)


def _own(answers: Answers, *, scripted: bool) -> tuple[Setup, list[Problem]]:
    """Return setup's own answers, those that are right, and what is wrong with the others."""
    given = {name.removeprefix("setup."): value for name, value in answers.items() if _is_own(name)}
    values: dict[str, Any] = {}
    problems = list(check_table(OWN, given, values))
    unknown = f"unknown key; there are {', '.join(OWN)}"
    problems += [Problem(f"setup.{name}", unknown) for name in given if name not in OWN]
    own = Setup(**{name.removeprefix("setup."): value for name, value in values.items()})
    return own, [*problems, *_of_own(own, scripted=scripted)]


def _of_own(own: Setup, *, scripted: bool) -> Iterator[Problem]:
    if own.certificate in MADE and not own.web_name:
        yield Problem("setup.web_name", MISSING, beside="setup.certificate")
    for leaf, is_needed in (
        ("feed", own.feed != Path()),
        ("certificate_file", own.certificate == "files"),
        ("account_password_file", scripted and own.account),
    ):
        if is_needed and not (path := getattr(own, leaf)).is_file():
            what = "found {found}, where no file is; give one"
            yield Problem(f"setup.{leaf}", what, found=shown(path))
    try:
        own_name(own.account or "nobody")
    except InputError as error:
        yield Problem("setup.account", error.text, **error.values)
    try:
        if own.certificate == "files":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # An empty password, or OpenSSL would ask the terminal for one.
            context.load_cert_chain(own.certificate_file, own.key_file, password="")
    except OSError as error:
        what = "is no key without a password to that certificate: {why}"
        yield Problem("setup.key_file", what, why=error.strerror or error)


def _of_feed(own: Setup, values: Answers, rows_of: RowsOf | None = None) -> Iterator[Problem]:
    if not own.feed.is_file():
        return
    length = values.get("policy.pin_length")
    try:
        pin_length = length if isinstance(length, int) else DIGITS
        try_feed(own.feed, pin_length=pin_length, rows_of=rows_of)
    except FeedError as error:
        what = "{path} is no file of patrons: {why}"
        yield Problem("setup.feed", what, path=own.feed, why=error.problems[0])


def _completed(
    answers: Answers, own: Setup, base: Answers, directory: Path, *, new: bool
) -> Answers:
    """Return what is written: the answers, and what each of them needs beside it."""
    written: Answers = {**EXAMPLES} if new else {}
    written |= {name: value for name, value in answers.items() if not _is_own(name)}
    for name, (needed, file) in SECRETS.items():
        if written.get(name):
            written.setdefault(needed, f"${CREDENTIALS}/{file}")
    if (base | written).get("reader.kind") == "osdp":
        if not (base | written).get(READER_KEY_FILE):
            written[READER_KEY_FILE] = f"${CREDENTIALS}/{READER_KEY}"
    elif base.get(READER_KEY_FILE):
        written[READER_KEY_FILE] = ""
    signed = own.certificate == "request" and (directory / WEB_PEM).is_file()
    if signed or own.certificate in {"self-signed", "files"}:
        if base.get("web.host", "127.0.0.1") == "127.0.0.1":
            written.setdefault("web.host", "0.0.0.0")  # noqa: S104 - with a certificate
        written.setdefault("web.tls.certificate_file", str(directory / WEB_PEM))
        written.setdefault("web.tls.key_file", f"${CREDENTIALS}/{WEB_KEY}")
    return written


def _of_written(written: Answers, directory: Path, *, scripted: bool) -> Iterator[Problem]:
    for name, value in written.items():
        secret = credential_file(value)
        if scripted and secret not in {"", *MADE_HERE} and not (directory / secret).is_file():
            what = f"needs {directory / secret}, a file of one line, mode 0600, which isn't there"
            yield Problem(name, what)
        if name.partition(".")[0] == "sync" or name in LISTED:
            yield Problem(name, "setup does not write it; set it in the file itself")


def _not_handed_over(values: Answers) -> Iterator[Problem]:
    """Tell of files that a drop-in would hand to web, which may not see or does not use them."""
    for name, value in values.items():
        if credential_file(value) and name.startswith(("secrets.", "backup.")):
            yield Problem(name, "systemd does not hand this file to web; give its own path")


def _undriven(values: Answers) -> Iterator[Problem]:
    pin, high = (values.get(f"gpio.{leaf}") for leaf in ("relay_pin", "relay_active_high"))
    given: Answers = {"relay_pin": pin} if isinstance(pin, int) else {}
    given |= {"relay_active_high": high} if isinstance(high, bool) else {}
    yield from undriven_locks(Gpio(**given))


def _is_own(name: str) -> bool:
    return name.partition(".")[0] == "setup"


def _is_blank(name: str, value: object) -> bool:
    table, _, leaf = name.rpartition(".")
    known = keys().get(table, {}).get(leaf)
    return value == "" and known is not None and known.default is None


def _filled(answers: Answers) -> Answers:
    """Drop empty tables and removed keys."""
    return {
        name: value for name, value in answers.items() if value != {} and not _is_blank(name, value)
    }


YES_NO = {"ja": True, "j": True, "yes": True, "y": True, "nej": False, "no": False, "n": False}


def parsed(known: Key, typed: str) -> object:
    """Return the value of a typed answer; the schema says whether it is allowed."""
    text = typed.strip()
    if text == "-":
        text = ""
    if isinstance(known.default, bool):
        return YES_NO.get(text.lower(), text)
    if isinstance(known.default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text if known.is_text or not text.isdecimal() else int(text)


def spoken(value: object, *, yes: str, no: str) -> str:
    """Return an answer as `parsed` reads it."""
    if isinstance(value, bool):
        return yes if value else no
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value in (None, Path()) else str(value)


def gpio(answers: Answers) -> Gpio:
    """Return the pins of these answers, each of which has been found right."""
    named = {name.rpartition("gpio.")[2]: value for name, value in _filled(answers).items()}
    return Gpio(**{leaf: named[leaf] for leaf in named.keys() & keys()["gpio"].keys()})


def greet_mail(answers: Answers, directory: Path) -> None:
    """Greet the mail server of these answers, encrypted as they say; nothing is sent.

    Raises DoorctlError: it is not there, or not as the answers have it; says which, and why.
    """
    from doorctl.core.asking import trusting
    from doorctl.notices.mail import MailSink

    values = {name: answers.get(name, Question(name, "").key.default) for name in MAIL_SERVER}
    email = AlarmEmail(**{name.rpartition(".")[2]: value for name, value in values.items()})
    authority = answers.get("alarms.email.ca_file")
    MailSink(email, trusting(directory / authority if authority else Path())).greet()


def heard(device: str, data: bytes) -> str:
    """Return what a reader or keypad said, in words; "" for nothing. Never a card's number."""
    if device == "keypad":
        pressed = "".join(each.key for each in keys_in(data)).strip("#*")
        return "1 2 3 4" if pressed == "1234" else ""
    reader = reader_inspector(carries_keys=False)
    reader.receive(data, 0.0)
    seen = reader.ended(1.0)
    cards = [SENTENCES[each] for each in seen.meanings if each in READ] if seen else []
    return cards[0] if cards else ""


_SECTION = r"(\ufeff?\[{}\].*\n(?:(?!(?:# )?\[\[?[a-z_.]).*\n)*?)"
_VALUE = r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\[[^\]]*\]|[^\s#]+)"""


def edited(text: str, name: str, value: object) -> str:
    """Return the text of a TOML file with one key set; all else stays byte for byte.

    The key's line, and its table's, may be behind a ``#``. The caller looks whether it came to what
    it should: a key written in another way isn't found.
    """
    table, _, leaf = name.rpartition(".")
    end = "\r\n" if "\r\n" in text else "\n"
    text += "" if text.endswith(end) else end
    section, line = _SECTION.format(re.escape(table)), as_toml({leaf: value}).rstrip()
    key = re.escape(leaf)
    if _is_blank(name, value):
        return re.sub(rf"^{section}({key}\s*=)", r"\1# \2", text, flags=re.MULTILINE)
    for pattern, new in (
        (rf"^{section}{key}\s*=\s*{_VALUE}", line),
        (rf"^{section}# {key} = {_VALUE}", line),
        (rf"^# {section}# {key} = {_VALUE}", line),
        (rf"^{section}", f"{line}{end}"),
    ):
        if found := re.search(pattern, text, re.MULTILINE):
            return f"{text[: found.start()]}{found[1]}{new}{text[found.end() :]}"
    return f"{text}{end}[{table}]{end}{line}{end}"


def record(made: Plan, about: Mapping[str, str]) -> str:
    """Return the page for the municipality's records: no secret, no person, no address of one."""
    config, values = made.config, made.config.origin.values
    asked = "asked for" if config.policy.require_pin else f"not asked for: {PICTURE}"
    encrypted = "encrypted" if config.reader.kind == "osdp" else "not encrypted"
    signed = {"PIN": asked, "line to the reader": encrypted}
    shows = [one.name for one in QUESTIONS if not _is_own(one.name) and one.name not in PRIVATE]
    given = {name: shown(values[name]) for name in shows if values.get(name) not in (None, "")}
    return "".join(f"{name:24} {value}\n" for name, value in {**about, **signed, **given}.items())


PICTURE = "a picture of a card opens the door"
"""What the municipality signs where no PIN is asked for: an imager reads a barcode, or a phone's
screen, as the card."""
