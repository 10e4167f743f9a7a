"""Bugs that were found.

Bug (attack review): codes that nobody could type, one socket for two processes, a pass with a PIN
where none is asked for: all taken.
"""

from pathlib import Path

import pytest

from doorctl.config import load
from tests.config.conftest import RIGHT, Wrong

CODES = 'a list of codes of 1 to 8 of A-Z and 0-9, such as ["O", "D", "S", "U", "F"]'
BAUDS = "1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200"
DOORS = (
    "release_s, free_when_staffed, held_open_s, prewarn_s, long_release_s, long_release_tags, "
    "exit_release_s, interlock_wait_s"
)
TABLES = (
    "branch, storage, secrets, seal, reader, keypad, gpio, door, policy, hours, hours.staffed, "
    "hours.exceptions, closing, outputs, visits, clock, control, web, web.tls, web.push, panel, "
    "metrics, signin, signin.oidc, lms, alarms, alarms.email, alarms.webhook, alarms.heartbeat, "
    "backup, sync, sync.targets"
)
FOUND = {
    "door": ("a table: [door]", ["5"]),
    "hours": ("a table: [hours]", ["true"]),
    "web": ("a table: [web]", ["5"]),
    "web.tls": ("a table: [web.tls]", ["5"]),
    "door.release_s": (
        "a number from 0.5 to 30, such as 5.0",
        ['"5"', "true", "nan", "0.49", "31"],
    ),
    "visits.retention_days": ("a whole number from 1 to 30, such as 30", ["31", "30.0"]),
    "keypad.baud": (f"one of {BAUDS}, such as 9600", ['"fast"', "9601"]),
    "gpio.relay_active_high": ("true or false, such as true", ["1"]),
    "gpio.factory": ('one of "lgpio", "mock", such as "lgpio"', ['"pigpio"']),
    "gpio.contact_pin": ("a whole number from 0 to 27, such as 22", ["28"]),
    "gpio.relay_pin": ("a whole number from 0 to 27, such as 17", ["-1"]),
    "policy.deny_blocks": (CODES, ['["O", "d"]', '"O"']),
    "policy.max_cache_age_h": ("a number above 0, at most 8760, such as 72.0", ["0", "inf"]),
    "policy.pin_length": ("a whole number from 4 to 12, such as 4", ["3"]),
    "policy.minimum_age": ("a whole number from 0 to 99, such as 14", ["2008-01-01"]),
    "seal.memory_kib": ("a whole number from 8 to 1048576, such as 19456", ["7"]),
    "storage.directory": (
        'a path, such as "/var/lib/doorctl"',
        ['""', "1", '"/a\\u0000"'],
    ),
    "control.socket": ('a path, or "", such as "/run/doorctl/door.sock"', ['" "']),
    "clock.trust": ('one of "always", "auto", such as "auto"', ['"never"']),
    "web.host": ('an address or a host name, such as "127.0.0.1"', ['"a b"']),
    "web.push.max_removed_percent": ("a number from 0 to 100, such as 5.0", ["101"]),
}
"""What is to be given for a key, and values that are not."""

A_LIST_OF_PATHS = 'a list of at most 4 paths, such as ["/etc/doorctl/push.pem"]'
IN_THE_CLEAR = (
    "which other machines reach, without web.tls; give certificate_file and key_file there, or "
    "web.allow_plain = true if something in front encrypts"
)
ONE_KEY = [
    *(
        (f"{key} = {value}", f"{key}: found {value}; give {right}")
        for key, (right, values) in FOUND.items()
        for value in values
    ),
    *(
        (f'web.host = "{host}"', f'web.host: found "{host}", {IN_THE_CLEAR}')
        for host in ("0.0.0.0", "::", "192.0.2.7", "door.example", "127.0.0.1.example")  # noqa: S104 - refused
    ),
    ("door.relase_s = 5", "door.relase_s: unknown key; did you mean door.release_s?"),
    ("door.RELEASE_S = 5", "door.RELEASE_S: unknown key; did you mean door.release_s?"),
    (
        "door.retention_days = 5",
        "door.retention_days: unknown key; did you mean visits.retention_days?",
    ),
    ("door.xyzzy = 5", f"door.xyzzy: unknown key; [door] has {DOORS}"),
    ('door."a\\nb" = 5', f'door."a\\u000ab": unknown key; [door] has {DOORS}'),
    ("release_s = 5", "release_s: unknown key; did you mean door.release_s?"),
    ("xyzzy = 5", "xyzzy: unknown key; every key stands in a table"),
    ("[dor]", "dor: unknown table; did you mean [door]?"),
    ("[xyzzy]", f"xyzzy: unknown table; there are {TABLES}"),
    ("[[door]]", "door: found [a table]; give a table: [door]"),
    (
        "door.release_s.x = 5",
        "door.release_s: found a table; give a number from 0.5 to 30, such as 5.0",
    ),
    (
        f"web.port = 0x{'f' * 9000}",
        "web.port: found a huge number; give a whole number from 1 to 65535, such as 8080",
    ),
    (
        "gpio.red_pin = 17",
        "gpio.red_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to",
    ),
    ("policy.deny_blocks = [[]]", f"policy.deny_blocks: found [a list]; give {CODES}"),
    (
        "keypad.total_timeout_s = 9",
        "keypad.total_timeout_s: found 9.0; give at least keypad.digit_timeout_s, which is 20.0",
    ),
    (
        'keypad.port = "/dev/ttyUSB0"',
        (
            'keypad.port: found "/dev/ttyUSB0", which is reader.port too; '
            'give "" if the keys come on the reader\'s line'
        ),
    ),
    (
        f'control.socket = "/{"x" * 107}"',
        (
            "control.socket: the path is 108 bytes long and a Unix socket's may have 107; "
            'give a shorter one such as "/run/doorctl/door.sock"'
        ),
    ),
    ("[web.tsl]", "web.tsl: unknown key; did you mean web.tls?"),
    ('["web.tls"]', '"web.tls": unknown table; did you mean [web.tls]?'),
    ("web.tls.keyfile = 'k'", "web.tls.keyfile: unknown key; did you mean web.tls.key_file?"),
    ("web.key_file = 'k'", "web.key_file: unknown key; did you mean web.tls.key_file?"),
    *(
        (f"web.tls.{one} = 'x'", f"web.tls.{other}: missing beside web.tls.{one}; give its path")
        for one, other in (("certificate_file", "key_file"), ("key_file", "certificate_file"))
    ),
    *(
        (f"{key} = {value}", f"{key}: found {told}; give {A_LIST_OF_PATHS}")
        for key in ("web.push.public_key_files",)
        for value, told in (("'k'", '"k"'), ("['']", '[""]'))
    ),
]


@pytest.mark.parametrize(("line", "problem"), ONE_KEY)
def test_one_wrong_key_is_one_line(wrong: Wrong, line: str, problem: str) -> None:
    """A wrong key is told with its name, the value found, what is allowed and a suggestion."""
    assert wrong(f"{line}\n{RIGHT}") == [problem]


IN_BRANCH = [
    (
        'time_zone = "Europe/Copenhaven"',
        (
            'branch.time_zone: found "Europe/Copenhaven", which is no time zone; '
            'did you mean "Europe/Copenhagen"?'
        ),
    ),
    (
        'time_zone = "../../etc/passwd"',
        (
            'branch.time_zone: found "../../etc/passwd", which is no time zone; '
            'give one such as "Europe/Copenhagen"'
        ),
    ),
    (
        'isil = "DK-773000\\n"',
        'branch.isil: found "DK-773000\\u000a"; give an ISIL, or "" for none, such as "DK-773000"',
    ),
]


@pytest.mark.parametrize(("line", "problem"), IN_BRANCH)
def test_a_wrong_key_of_the_branch_is_one_line(wrong: Wrong, line: str, problem: str) -> None:
    """A wrong time zone, language, ISIL or telephone number is told like any other key."""
    assert wrong(RIGHT.replace("[reader]", f"{line}\n[reader]")) == [problem]


def test_a_folder_of_zones_is_no_zone(wrong: Wrong) -> None:
    """A name that is a directory of the zone files is refused like any other."""
    (line,) = wrong(RIGHT.replace("[reader]", 'time_zone = "Europe"\n[reader]'))

    assert line.startswith('branch.time_zone: found "Europe", which is no time zone; ')


def test_what_is_required_is_asked_for(wrong: Wrong) -> None:
    """An empty file is told every required key, each with a sample."""
    assert wrong("") == [
        (
            "branch.name: missing; give text of at most 80 characters, "
            'such as "Randers Bibliotek, Øst"'
        ),
        'branch.id: missing; give 1 to 32 of a-z, 0-9 and -, such as "oest"',
        (
            "reader.port: missing; give the path of a serial device, "
            'such as "/dev/serial/by-id/usb-CARD_READER-if00-port0"'
        ),
    ]


def test_all_problems_are_told_at_once(wrong: Wrong) -> None:
    """Eight mistakes of every sort give eight lines: none hides another."""
    text = """
        [branch]
        name = " "
        id = "Øst"
        [reader]
        port = "/dev/ttyUSB0"
        baud = "fast"
        [gpio]
        factory = "pigpio"
        green_pin = 23
        red_pin = 23
        [door]
        relase_s = 5
        held_open_s = 0
        [hours]
        monday = ["8-22"]
        [dooor]
    """

    assert [line.split(":")[0] for line in wrong(text)] == [
        "branch.name",
        "branch.id",
        "reader.baud",
        "gpio.factory",
        "door.held_open_s",
        "door.relase_s",
        "dooor",
        "hours.monday",
        "gpio.red_pin",
    ]


def test_a_rule_between_keys_waits_for_both(wrong: Wrong) -> None:
    """Two keys that are wrong by themselves are told as such, not as equal to each other."""
    text = RIGHT.replace('"/dev/ttyUSB0"', "1")

    lines = wrong(f"keypad.port = 1\nkeypad.total_timeout_s = 0\n{text}")

    assert [line.split(";")[0] for line in lines] == [
        "reader.port: found 1",
        "keypad.port: found 1",
        "keypad.total_timeout_s: found 0",
    ]


def test_clients_certificates_need_tls(wrong: Wrong) -> None:
    """Asking clients for a certificate without having one is told by both files that lack."""
    lines = wrong(f"web.tls.client_ca_file = 'c'\n{RIGHT}")

    assert lines == [
        "web.tls.certificate_file: missing beside web.tls.client_ca_file; give its path",
        "web.tls.key_file: missing beside web.tls.client_ca_file; give its path",
    ]


def test_a_long_value_is_cut_off(wrong: Wrong) -> None:
    """A value of a megabyte makes one short line."""
    (line,) = wrong(f'web.host = "{"x" * 1_000_000}"\n{RIGHT}')

    advice = 'give an address or a host name, such as "127.0.0.1"'
    assert line == f'web.host: found "{"x" * 69}…; {advice}'


@pytest.mark.parametrize("web", ["/run/doorctl/door.sock", "/run/doorctl/../doorctl/door.sock"])
def test_two_processes_have_two_sockets(wrong: Wrong, web: str) -> None:
    """Else whichever starts second takes the other's place, and staff ask the wrong one."""
    sockets = ("control.socket=/run/doorctl/door.sock", f"web.socket={web}")

    assert wrong(RIGHT, *sockets) == [
        f'web.socket: found "{web}", which is control.socket too; give each process its own'
    ]


def test_a_call_for_help_is_heard_by_somebody(wrong: Wrong) -> None:
    """A button whose alarm stays in the house would lie to whoever presses it."""
    (problem,) = wrong(RIGHT, "panel.help_button=true")
    assert problem == (
        "panel.help_button: found true, and no alarm leaves here; "
        "set alarms.email.host or alarms.webhook.url"
    )


def test_a_code_can_be_typed_somewhere(wrong: Wrong, tmp_path: Path) -> None:
    """Keys on the reader's line are heard after a card only; a keypad of its own will do."""
    (problem,) = wrong(RIGHT, "policy.code_entry=true")
    assert problem == (
        "policy.code_entry: found true, and keys on the reader's line are heard after a card only, "
        "so no code can be typed; set keypad.port or panel.keypad, or give false"
    )
    path = tmp_path / "right.toml"
    path.write_text(RIGHT, encoding="utf-8")
    for heard in ("keypad.port=/dev/ttyUSB1", "panel.keypad=true"):
        load(path, ("policy.code_entry=true", heard), environment={})
