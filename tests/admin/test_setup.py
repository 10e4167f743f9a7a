from __future__ import annotations

import re
import ssl
import stat
import tomllib
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import doorctl
from doorctl.accounts.roles import Role
from doorctl.admin import machine, setup
from doorctl.admin.certificate import make_certificate
from doorctl.admin.setup import Answers, Plan, edited, flat, plan
from doorctl.cards.inspection import SENTENCES
from doorctl.cli.installer import WITHOUT_UNITS
from doorctl.config import load
from doorctl.config.extras import EXTRAS, Declared, find
from doorctl.config.loading import keys
from doorctl.config.rules import RULES, LibraryKind
from doorctl.core.errors import ConfigError
from doorctl.core.language import own
from tests.web.certificates import shaken_hands

EXAMPLE = (Path(__file__).parents[2] / "config" / "doorctl.toml").read_text("utf-8")
FIRST: Answers = {"branch.name": "Langå", "branch.id": "langaa", "reader.port": "/dev/ttyACM0"}


def made(answers: Answers, path: Path, text: str = EXAMPLE, *, new: bool = True) -> Plan:
    """Return what answers from a file come to."""
    return plan(answers, path, text, new=new, scripted=True)


def problems(answers: Answers, path: Path, text: str = EXAMPLE, *, new: bool = True) -> list[str]:
    """Return where answers are wrong."""
    with pytest.raises(ConfigError) as caught:
        made(answers, path, text, new=new)
    return [problem.where for problem in caught.value.problems]


def test_every_question_has_a_key_and_none_is_asked_twice() -> None:
    """A key that was renamed in the schema fails here, and not at somebody's Pi."""
    names = [question.name for question in setup.QUESTIONS]

    assert len(set(names)) == len(names)
    assert [question.key.name for question in setup.QUESTIONS] == names
    assert {question.when for question in setup.QUESTIONS} <= {*names, "", "-"}
    assert {f"setup.{leaf}" for leaf in setup.OWN} <= set(names)


def test_every_question_is_asked_in_danish_too() -> None:
    """Its text, and what is told of an answer that can't be used."""
    danish = own("da").words.gettext
    texts = {text for one in setup.QUESTIONS for text in (one.text, one.key.allowed)}

    assert sorted(text for text in texts if danish(text) == text) == []


def test_every_sentence_of_the_dialogue_has_its_danish() -> None:
    """No word of English is said to whoever chose Danish."""
    files = (Path(doorctl.__file__).parent / "cli" / name for name in ("setup.py", "installer.py"))
    source = "".join(file.read_text("utf-8") for file in files)
    said = re.findall(r'(?:\b_|[._]say|_yes)\(\s*"((?:[^"\\]|\\.)+)"', source)
    said += re.findall(r'(?:warning|text|more|what) = "([^"]+)"', source)
    said += [*SENTENCES.values(), "Swipe a card now", "Press 1 2 3 4 on the keypad now"]
    said += WITHOUT_UNITS.values()
    danish = own("da").words.gettext

    assert len(said) > 15
    assert [text for text in said if danish(text) == text] == []


CLASHES: list[tuple[str, Answers, str]] = [
    ("ports_differ", {"keypad.port": "/dev/ttyACM0"}, "keypad.port"),
    ("pins_differ", {"gpio.contact_pin": 17}, "gpio.contact_pin"),
    ("pulls_fit", {"gpio.fire_pin": 2, "gpio.fire_active_high": False}, "gpio.fire_pin"),
    ("codes_can_be_typed", {"policy.code_entry": True, "keypad.port": ""}, "policy.code_entry"),
    ("help_is_heard", {"panel.help_button": True}, "panel.help_button"),
    ("_undriven", {"gpio.relay_pin": 2}, "gpio.relay_pin"),
    ("_undriven", {"gpio.relay_active_high": False}, "gpio.relay_pin"),
    ("tls_is_whole", {"web.tls.certificate_file": "/c.pem"}, "web.tls.key_file"),
    ("plain_stays_here", {"web.host": "::"}, "web.host"),
    ("lms.kind fbs", {"lms.kind": "fbs"}, "lms.url"),
    ("lms.kind sip2", {"lms.kind": "sip2", "lms.url": "https://a.example"}, "lms.url"),
    ("lms.kind fbs", {"lms.kind": "fbs", "lms.url": "http://a.example"}, "lms.url"),
    ("lms.kind koha", {"lms.kind": "koha", "lms.url": "https://a.example"}, "lms.user"),
    ("lms.kind folio", {"lms.kind": "folio", "lms.url": "http://a.example"}, "lms.agency"),
    (
        "_further",
        {"lms.kind": "fbs", "lms.checksum": False, "lms.url": "https://a.example"},
        "lms.checksum",
    ),
    ("together alarms.email", {"alarms.email.host": "mail.example"}, "alarms.email.to"),
    (
        "mail_is_encrypted",
        {
            "alarms.email.security": "none",
            "alarms.email.host": "mail.example",
            "alarms.email.user": "pi",
        },
        "alarms.email.security",
    ),
    ("encrypted alarms.webhook.url", {"alarms.webhook.url": "https://a:0"}, "alarms.webhook.url"),
    ("_of_own", {"setup.certificate": "self-signed"}, "setup.web_name"),
    ("_of_own", {"setup.feed": "/nowhere"}, "setup.feed"),
    ("_of_feed", {"setup.feed": "/etc/passwd"}, "setup.feed"),
    ("_of_own", {"setup.account": "Ø"}, "setup.account"),
    (
        "_of_own",
        dict.fromkeys(("setup.certificate_file", "setup.key_file"), __file__)
        | {"setup.certificate": "files"},
        "setup.key_file",
    ),
    ("_of_written", {"sync.feed": "/x"}, "sync.feed"),
    ("_not_handed_over", {"backup.ca_file": "$CREDENTIALS_DIRECTORY/p"}, "backup.ca_file"),
    ("hours", {"hours.monday": ["8-22"]}, "hours.monday"),
    ("hours", {"hours.monday": ["08:00-08:00"]}, "hours.monday"),
    ("hours", {"hours.monday": ["08:00-12:00", "11:00-15:00"]}, "hours.monday"),
    ("hours", {"hours.monday": ["08:00-12:00", "12:05-15:00"]}, "hours.monday"),
]
"""Rule, answers that break it, and the key that is told of."""

OF_OTHER_KEYS = {
    *("zone_exists", "credentials_are_there", "_at_least keypad.total_timeout_s"),
    *("warning_comes_before_alarm", "longer_is_longer", "socket_fits", "sockets_differ"),
    *("together alarms.webhook", "encrypted backup.destination", "oidc_comes_back"),
    *("encrypted alarms.heartbeat.url", "together signin.oidc", "outputs_fit", "targets_fit"),
    *("unlike outputs", "unlike sync.targets", "keys_differ", "line_kinds_fit", "has_its_key"),
    "has_a_keypad",
    *("encoding_is_known", "has_numbers", "paths_are_paths", "pins_can_be_learnt"),
    *("keys_fit_the_kind", "verbs_fit", "pause_has_one_end", "xml_has_records"),
    *("address_keeps_no_secret", "source_is_single", "account_is_whole", "feed_is_named"),
    *("together source.fetch.sftp", "pages_can_be_followed"),
    *(f"{rule} {table}.nats" for rule in ("together", "servers_fit") for table in ("web", "sync")),
    *(f"{rule} web.hub" for rule in ("together", "servers_fit")),
    *("encrypted signin.oidc.issuer", "encrypted signin.oidc.redirect_url"),
}
"""Rules on what setup neither asks for nor writes beside an answer."""


@pytest.mark.parametrize(("rule", "answers", "where"), CLASHES)
def test_a_clash_between_answers_is_told_in_danish(
    rule: str, answers: Answers, where: str, tmp_path: Path
) -> None:
    """Each sentence has its Danish, with the values that were found in it.

    Bug (a Danish dialogue): a pin that was given twice was told in English.
    """
    danish = own("da").words.gettext
    with pytest.raises(ConfigError) as caught:
        plan(FIRST | answers, tmp_path / "doorctl.toml", EXAMPLE, new=True, scripted=False)

    told = {one.where: one.what for one in caught.value.problems}
    assert where in told, rule
    assert [what for what in told.values() if danish(what.text) == what.text] == []
    assert "{" not in "".join(what.told(danish) for what in told.values())


def _named(rule: Any) -> str:
    if isinstance(rule, partial):
        return f"{rule.func.__name__} {rule.keywords.get('name') or rule.keywords['table']}"
    return f"lms.kind {rule.kind}" if isinstance(rule, LibraryKind) else str(rule.__name__)


def every() -> list[Declared]:
    """Return every extra."""
    return [declared for each in EXTRAS if (declared := find(each.name)) is not None]


def test_every_rule_that_setup_can_break_is_among_these() -> None:
    """A new rule is told in Danish, or is on no key that setup sets."""
    rules = {_named(rule) for rule in (*RULES, *(rule for each in every() for rule in each.rules))}

    assert rules <= {rule for rule, _, _ in CLASHES} | OF_OTHER_KEYS
    assert rules >= OF_OTHER_KEYS


def test_an_agency_is_wanted_where_a_library_system_has_one() -> None:
    """Koha has none; an answer that was given before for another system is dropped."""
    (agency,) = [question for question in setup.QUESTIONS if question.name == "lms.agency"]
    kinds = ("", "fbs", "sip2", "koha", "folio")

    assert [kind for kind in kinds if agency.is_due({"lms.kind": kind})] == ["fbs", "sip2", "folio"]
    given = {"lms.kind": "koha", "lms.agency": "DK-773000"}
    assert "lms.agency" not in setup.settled(given, {})


def test_an_answer_that_is_emptied_takes_what_hung_on_it_along() -> None:
    """So that a mail server can be taken away again: in the dialogue, and in what was written.

    What hangs on nothing that was changed stays, as do the hours beside a day that is closed.
    """
    mail = {"alarms.email.host": "mail.example", "alarms.email.to": ["vagt@b.example"]}
    days = {"hours.monday": ["08:00-22:00"], "hours.sunday": ["08:00-12:00"]}
    none = {"alarms.email.host": ""}

    assert setup.settled(mail | none, {}) == none
    assert setup.settled(none, mail | days) == none | {"alarms.email.to": []}
    assert setup.settled({"branch.id": "b"}, mail | days) == {"branch.id": "b"}
    assert setup.settled(days | {"hours.monday": []}, {}) == days | {"hours.monday": []}


@pytest.mark.parametrize(
    ("device", "data", "said"),
    [
        ("reader", b"0101701234\r", "a card of ten digits"),
        ("reader", b"3000001234\r", "a library card"),
        ("reader", b";92081004" + b"0101701234" + b"1041173083461010814?\r", "a health card"),
        ("reader", b"\xff\x00\x9c", ""),
        ("reader", b"", ""),
        ("keypad", b"1234", "1 2 3 4"),
        ("keypad", b"1234#\r", "1 2 3 4"),
        ("keypad", b"4321", ""),
        ("keypad", b"\xb1\x32\x33\xb4", ""),
    ],
)
def test_what_was_heard_is_told_without_a_number(device: str, data: bytes, said: str) -> None:
    """The kind of the card, or the keys that were asked for; nothing for what can't be read."""
    assert setup.heard(device, data) == said


def test_the_roles_are_those_of_accounts() -> None:
    """The schema lies below them and has to name them itself."""
    named = re.findall(r'"(\w+)"', setup.OWN["account_role"].allowed)

    assert sorted(named) == sorted(role.value for role in Role)


def test_the_template_is_an_answers_file(tmp_path: Path) -> None:
    """What the help shows can be copied: with every # taken off, each value can be used."""
    text = re.sub(r"^# ", "", setup.template(), flags=re.MULTILINE)
    answers = flat(tomllib.loads(text))

    assert set(answers) == {question.name for question in setup.QUESTIONS}
    # Files that a technician brings, and that are not here.
    assert set(problems(answers, tmp_path / "doorctl.toml")) == {
        *("setup.feed", "setup.account_password_file"),
        *("alarms.email.password_file", "alarms.webhook.secret_file", "lms.password_file"),
    }


def test_an_answer_changes_its_line_and_no_other(tmp_path: Path) -> None:
    """The example's comments stay, and so does every key that nobody answered."""
    path = tmp_path / "doorctl.toml"
    text = made({**FIRST, "gpio.contact_pin": 22, "hours.monday": ["08:00-22:00"]}, path).text
    path.write_text(text, "utf-8")
    pairs = zip(EXAMPLE.split("\n"), text.split("\n"), strict=True)

    assert [new for old, new in pairs if old != new] == [
        'name = "Langå"',
        'id = "langaa"',
        'isil = ""',
        'port = "/dev/ttyACM0"',
        'port = ""',
        "contact_pin = 22",
        "[hours]",
        'monday = ["08:00-22:00"]',
    ]
    assert load(path).gpio.contact_pin == 22


def test_what_is_not_answered_anew_stays_byte_for_byte(tmp_path: Path) -> None:
    """In whatever way somebody else has written it since, line ends and BOM included."""
    path = tmp_path / "doorctl.toml"
    text = (
        "\ufeff[branch]\r\nname='Langå' # vores\r\nid = \"langaa\"\r\n[reader]\r\n"
        'port="/dev/ttyACM0"   # med #\r\n[hours]\r\nmonday = [ # man\r\n  "08:00-22:00",\r\n]\r\n'
    )

    assert made({}, path, text, new=False).text == text
    assert made({"reader.port": "/dev/ttyACM0"}, path, text, new=False).text == text
    changed = made({"reader.port": "/dev/ttyS0", "reader.baud": 1200}, path, text, new=False).text
    assert changed == text.replace(
        'port="/dev/ttyACM0"   # med #', 'baud = 1200\r\nport = "/dev/ttyS0"   # med #'
    )
    closed = made({"hours.monday": [], "web.port": 8443}, path, text, new=False).text
    assert closed == (
        text.replace('monday = [ # man\r\n  "08:00-22:00",\r\n]', "monday = []")
        + "\r\n[web]\r\nport = 8443\r\n"
    )


def test_a_file_without_a_last_line_end_is_added_to(tmp_path: Path) -> None:
    """What some editors leave, and what would put a table behind a key's value."""
    text = '[branch]\nname = "A"\nid = "a"\n[reader]\nport = "/dev/ttyS0"'

    result = made({"web.port": 8443}, tmp_path / "doorctl.toml", text, new=False)

    assert result.text == f"{text}\n\n[web]\nport = 8443\n"


def test_a_pin_can_be_taken_away_again(tmp_path: Path) -> None:
    """Its line stands behind a # then, as it did at first."""
    path = tmp_path / "doorctl.toml"
    text = made({**FIRST, "gpio.fire_pin": 5}, path).text

    assert made({"gpio.fire_pin": ""}, path, text, new=False).text == made(FIRST, path).text


def test_a_name_server_that_does_not_answer_holds_no_setup(tmp_path: Path) -> None:
    """A name has a limit; one that is not found in it is left out, and the others are asked.

    Bug (read by a stranger): `setup` looked names up without a limit.
    """
    answers = FIRST | {
        "alarms.email.host": "hangs.example",
        "alarms.email.sender": "doorctl@randers.example",
        "alarms.email.to": ["vagt@randers.example"],
        "alarms.heartbeat.url": "https://answers.example/door",
    }
    config = made(answers, tmp_path / "doorctl.toml").config
    ends, asked = Event(), []

    def look_up(name: str) -> list[str]:
        asked.append(name)
        if name == "hangs.example":
            ends.wait()
        return ["93.184.216.34"]

    try:
        assert machine.outside(config, look_up, limit_s=0.01) == ["93.184.216.34"]
    finally:
        ends.set()
    assert {"answers.example", "hangs.example"} < set(asked)


@pytest.mark.parametrize("written", ['branch = {name = "A", id = "a"}', 'branch.name = "A"'])
def test_a_file_written_in_another_way_is_not_guessed_at(written: str, tmp_path: Path) -> None:
    """Nothing is written, and a sentence says who has to do it."""
    text = f'{written}\n[reader]\nport = "/dev/ttyS0"\n'
    answers = {"branch.id": "b", "branch.name": "B"}

    assert problems(answers, tmp_path / "doorctl.toml", text, new=False)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Of the schema, between keys, of files and of setup's own answers."""
    answers = {
        "branch.id": "Langå",
        "shelf.name": "x",
        "reader.port": "/dev/ttyS0",
        "keypad.port": "/dev/ttyS0",
        "gpio.contact_pin": 17,
        "setup.certificate": "self-signed",
        "setup.nobody": 1,
        "setup.boot_lines": "yes",
        "setup.account": "t",
        "alarms.webhook.url": "https://alarms.example/",
        "sync.feed": "/srv",
        "outputs": [],
    }

    assert set(problems(answers, tmp_path / "doorctl.toml")) >= {
        *("branch.name", "branch.id", "shelf", "keypad.port", "gpio.contact_pin", "outputs"),
        *("setup.web_name", "setup.nobody", "setup.boot_lines", "setup.account_password_file"),
        *("alarms.webhook.secret_file", "sync.feed"),
    }


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
_NAMES = st.sampled_from(
    [key.name for known in keys().values() for key in known.values()]
    + [f"setup.{leaf}" for leaf in setup.OWN]
    + ["branch", "setup", "hours.exceptions", "outputs"]
) | st.text(max_size=12)


@example({")": {}})
@given(st.dictionaries(_NAMES, _JUNK, max_size=4))
def test_junk_is_refused_or_comes_to_a_right_configuration(answers: dict[str, Any]) -> None:
    """Whatever is answered: one that check-config calls good, or problems; never a traceback.

    Bug (property test): a bracket in an unknown name, an empty table behind it, was a traceback.
    """
    path = Path("/nowhere/doorctl.toml")
    try:
        result = made(FIRST | answers, path)
    except ConfigError:
        return
    values = flat(tomllib.loads(result.text))
    for name, value in answers.items():
        if not name.startswith("setup") and not (value == "" and values.get(name) is None):
            assert values[name] == value


@given(st.text("[]#=\"'a.b \n\\", max_size=60), st.text(max_size=6))
def test_an_edit_never_breaks_a_file(text: str, value: str) -> None:
    """A caller sees whether it came to what it should, and not by an exception of ours."""
    result = edited(text, "branch.phone", value)

    assert isinstance(result, str)


def test_secrets_and_what_is_outside_become_drop_ins(tmp_path: Path) -> None:
    """For web each secret, its port and its addresses outside; for alarms theirs alone."""
    for name in ("mail.password", "lms.password"):
        (tmp_path / name).write_text("x\n")
    answers = FIRST | {
        "alarms.email.host": "192.0.2.7",
        "alarms.email.sender": "a@b.example",
        "alarms.email.to": ["c@d.example"],
        "alarms.email.user": "doorctl",
        "lms.kind": "sip2",
        "lms.url": "sip2s://93.184.216.34:6002",
        "lms.user": "oest",
        "alarms.heartbeat.url": "https://93.184.216.35/door",
        "web.port": 8443,
    }
    found = machine.drop_ins(made(answers, tmp_path / "doorctl.toml").config, tmp_path)

    mail = f"LoadCredential=mail.password:{tmp_path}/mail.password"
    assert found["doorctl-alarm@.service"].splitlines()[2:] == [mail]
    assert found["doorctl-web.service"].splitlines()[2:] == [
        "IPAddressAllow=93.184.216.34",
        "IPAddressAllow=93.184.216.35",
        f"LoadCredential=lms.password:{tmp_path}/lms.password",
        mail,
        "SocketBindAllow=tcp:8443",
    ]


def test_no_drop_in_hands_the_installation_key_to_web(tmp_path: Path) -> None:
    """In an answer or in the file already: web may not have it, and backup gets nothing from there.

    Bug (a second reader): each file that the configuration names in systemd's way went to web.
    """
    key = {"secrets.installation_key_file": "$CREDENTIALS_DIRECTORY/installation.key"}
    backup = {"backup.password_file": "${CREDENTIALS_DIRECTORY}/backup.password"}
    for name in ("installation.key", "backup.password"):
        (tmp_path / name).write_text("x\n")
    there = setup.as_toml(FIRST | key)

    assert problems({**FIRST, **key, **backup}, tmp_path / "doorctl.toml") == [*key, *backup]
    assert problems({}, tmp_path / "doorctl.toml", there, new=False) == [*key]


def test_a_certificate_of_its_own_is_believed_by_who_was_given_it(tmp_path: Path) -> None:
    """It names the pages, is asked for again with the same key, and nobody but root has that."""
    answers = FIRST | {"setup.certificate": "self-signed", "setup.web_name": "langaa.example"}
    result = made(answers, tmp_path / "doorctl.toml")
    said = make_certificate(result.own, tmp_path)
    before = (tmp_path / "web.pem").read_bytes()

    assert "langaa.example" in said
    assert "sha256 Fingerprint=" in said
    assert make_certificate(result.own, tmp_path) == said
    assert (tmp_path / "web.pem").read_bytes() == before
    assert stat.S_IMODE((tmp_path / "web.key").stat().st_mode) == 0o600
    assert believed(tmp_path, "langaa.example")
    assert not believed(tmp_path, "oest.example")


@pytest.mark.parametrize("name", ["ngaa.example", f"{'l' * 60}.example"])
def test_a_certificate_is_made_anew_for_another_name_alone(name: str, tmp_path: Path) -> None:
    """A part of the earlier name is another one, and one that a subject can't hold is the same.

    Bug (a second reader): the name was looked for anywhere in the certificate's line.
    """

    def certificate(asked: str) -> str:
        answers = FIRST | {"setup.certificate": "self-signed", "setup.web_name": asked}
        return make_certificate(made(answers, tmp_path / "doorctl.toml").own, tmp_path)

    certificate("langaa.example")
    said = certificate(name)

    assert believed(tmp_path, name)
    assert certificate(name) == said


def believed(directory: Path, name: str) -> bool:
    """Tell whether a sender that was given the certificate believes pages of that name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "web.pem", directory / "web.key")
    client = ssl.create_default_context(cafile=directory / "web.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return shaken_hands(server, client, name)


def test_a_request_is_made_and_its_answer_taken_when_it_is_there(tmp_path: Path) -> None:
    """Until then the pages stay on this machine: without a certificate nobody else may ask."""
    answers = FIRST | {"setup.certificate": "request", "setup.web_name": "10.0.0.7"}
    path = tmp_path / "doorctl.toml"
    result = made(answers, path)

    assert make_certificate(result.own, tmp_path) == str(tmp_path / "web.csr")
    assert b"CERTIFICATE REQUEST" in (tmp_path / "web.csr").read_bytes()
    assert result.config.web.host == "127.0.0.1"
    (tmp_path / "web.pem").write_bytes(b"as the municipality sent it")
    assert made(answers, path).config.web.host == "0.0.0.0"  # noqa: S104


def test_the_lines_of_config_txt_stand_for_every_board_and_once(tmp_path: Path) -> None:
    """Behind whatever section comes last, and locked is the level that the relay's board needs."""
    board = {"gpio.relay_active_high": False, "gpio.relay_pin": 7}
    config = made(FIRST | board, tmp_path / "doorctl.toml").config
    once = machine.with_boot_lines(config, "[cm4]\notg_mode=1\n")

    assert once == "[cm4]\notg_mode=1\n[all]\ndtparam=strict_gpiod\ngpio=7=op,dh\n"
    assert machine.with_boot_lines(config, once) == once


@pytest.mark.parametrize(("asked", "what"), [(True, "asked for"), (False, "a picture of a card")])
def test_the_record_says_what_opens_the_door(*, asked: bool, what: str, tmp_path: Path) -> None:
    """For whoever signs: whether a PIN is asked for, and whether the reader's line is encrypted."""
    path = tmp_path / "doorctl.toml"
    page = setup.record(made(FIRST | {"policy.require_pin": asked}, path), {})

    (pin,) = (line for line in page.splitlines() if line.startswith("PIN "))
    assert what in pin
    assert re.search("^line to the reader +not encrypted$", page, re.MULTILINE)


def test_the_record_names_no_person_and_no_secret(tmp_path: Path) -> None:
    """It is kept for years, where nobody looks after it."""
    answers = FIRST | {
        "alarms.email.host": "mail.example",
        "alarms.email.sender": "jens@b.example",
        "alarms.email.to": ["karen@d.example"],
        "alarms.webhook.url": "https://chat.example/hooks/T0KEN",
        "branch.phone": "12 34 56 78",
    }
    (tmp_path / "webhook.secret").write_text("x\n")
    page = setup.record(made(answers, tmp_path / "doorctl.toml"), {"by": "Elfirmaet"})

    assert "Elfirmaet" in page
    assert "mail.example" in page
    assert not re.search("jens|karen|password|T0KEN", page)


def test_a_file_of_patrons_is_tried_by_its_map(tmp_path: Path) -> None:
    """A library system's own export, where [source] is there; one that the map can't read is told.

    Bug (an export by a map): it was read as a file of the feed's own names, and refused.
    """
    file = tmp_path / "borrowers.csv"
    text = (
        f'{EXAMPLE}\n[source]\nkind = "csv"\n[source.map]\npatron_id = "id"\npincode = "pin"\n'
        'resident = {from = "category", in = ["RES"]}\nidentifiers.card = "cardnumber"\n'
    )
    answers = FIRST | {"setup.feed": str(file)}
    path = tmp_path / "doorctl.toml"
    file.write_text("id,cardnumber,pin,category\n1,3000001234,4711,RES\n")
    made(answers, path, text)
    file.write_text("id,cardnumber,pin,kind\n1,3000001234,4711,RES\n")
    with pytest.raises(ConfigError) as refused:
        made(answers, path, text)
    assert [each.where for each in refused.value.problems] == ["setup.feed"]
    assert "has no column category" in str(refused.value)
