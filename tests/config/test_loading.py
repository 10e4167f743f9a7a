from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.config import Config, load, load_gpio
from doorctl.config.loading import Origin, check_table, checked, from_values, keys
from doorctl.config.tables import Gpio, Push, Tls
from doorctl.core.errors import ConfigError
from tests.config.conftest import RIGHT, Configured, Wrong

EXAMPLE = Path(__file__).parents[2] / "config" / "doorctl.toml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration with only what is required."""
    written = tmp_path / "doorctl.toml"
    written.write_text(RIGHT, encoding="utf-8")
    return written


def told_of_pins(path: Path, *overrides: str) -> list[str]:
    """Load the pins of a wrong file and return what the problems are of."""
    with pytest.raises(ConfigError) as caught:
        load_gpio(path, overrides)
    return [problem.where for problem in caught.value.problems]


NO_TOML = [
    (
        b"[door\nrelease_s = 5",
        (
            "line 1, column 6: is no TOML: Expected ']' at the end of a table declaration; "
            "texts need quotes, a key and its value one line"
        ),
    ),
    (
        b"[door]\nrelease_s = ",
        (
            "end of document: is no TOML: Invalid value; "
            "texts need quotes, a key and its value one line"
        ),
    ),
    (b"[web]\nport = " + b"9" * 5000, "the file: is no TOML: a number has too many digits"),
    (
        b"[branch]\nname = 'Randers Bibliotek, \xd8st'",
        "line 2: holds what is no UTF-8; save the file as UTF-8",
    ),
    (
        b"x = " + b"[" * 100_000,
        "the file: is no TOML that can be read: lists are nested too deep",
    ),
]


@pytest.mark.parametrize(
    ("content", "problem"), NO_TOML, ids=["table", "value", "number", "encoding", "depth"]
)
def test_a_file_that_is_no_toml_has_one_problem(path: Path, content: bytes, problem: str) -> None:
    """A file that is no TOML gives one line that says where."""
    path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(one) for one in caught.value.problems] == [problem]


def test_a_file_that_can_not_be_read_says_what_to_do(path: Path, tmp_path: Path) -> None:
    """One line with the reason and the next step; without it nobody knows the relay's pin."""
    path.unlink()
    missing = (
        f"{path}: file not found: copy config/doorctl.toml there and fill it in, "
        "or name another with --config"
    )
    for reading in (load, load_gpio):
        with pytest.raises(ConfigError) as caught:
            reading(path)
        assert str(caught.value) == missing
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the file: can't be read (is a directory); "
        "see its owner and mode, or use --config"
    )


def test_a_configuration_is_a_frozen_value(path: Path) -> None:
    """Two readings of one file are equal and usable as a key, so nothing in them can change."""
    first, second = (load(path, environment={}) for _ in range(2))

    assert hash(first) == hash(second)
    assert first == second


def test_a_whole_number_is_a_number(path: Path) -> None:
    """``release_s = 5`` is 5.0 seconds: nobody has to write the point."""
    release_s = load(path, ["door.release_s=5"], environment={}).door.release_s

    assert isinstance(release_s, float)
    assert release_s == 5.0


def test_a_byte_order_mark_is_no_mistake(path: Path) -> None:
    """A file saved by Notepad loads."""
    path.write_text(RIGHT, encoding="utf-8-sig")

    assert load(path, environment={}).branch.id == "oest"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("reader.port=/dev/pts/3", "/dev/pts/3"),
        ('reader.port="/dev/pts/3"', "/dev/pts/3"),
        ("reader.port = /dev/pts/3 ", "/dev/pts/3"),
        ("reader.port=a=b", "a=b"),
        ("reader.port=42", "42"),
        ("reader.port=/dev/x # y", "/dev/x # y"),
    ],
)
def test_an_override_needs_no_quotes(path: Path, override: str, expected: str) -> None:
    """A text may be given bare, as a shell leaves it, or as TOML."""
    assert load(path, [override], environment={}).reader.port == expected


def test_overrides_are_typed_and_the_last_one_wins(path: Path) -> None:
    """Numbers, booleans and lists are read as TOML, and a later override replaces an earlier."""
    overrides = [
        "door.release_s=7",
        "door.release_s=8.5",
        "policy.require_pin=false",
        'policy.deny_blocks=["S"]',
        'hours.monday=["08:00-09:00"]',
        "branch.phone=12345678",
        "keypad.port=",
        "web.push.max_rows=10",
    ]

    config = load(path, overrides, environment={})

    assert config.door.release_s == 8.5
    assert config.policy.require_pin is False
    assert config.policy.deny_blocks == ("S",)
    assert config.opening.week is not None
    assert config.branch.phone == "12345678"
    assert config.keypad.port == ""
    assert config.web.push == Push(max_rows=10)
    assert config.branch.name == "Randers Bibliotek, Øst"


@pytest.mark.parametrize(
    "override",
    [
        *("", "reader.port", "=x", "reader=x", "reader.=x", ".port=x", "reader.port.x=y"),
        *("hours.exceptions.note=x", "outputs.name=x"),
    ],
)
def test_a_malformed_override_is_a_problem(wrong: Wrong, override: str) -> None:
    """What is no table.key=value is told with the way to write it.

    Of several tables nobody could say which is meant, so that is told and not passed over.
    """
    assert wrong(RIGHT, override) == [
        f'--set "{override}": is not table.key=value; write it like --set reader.port=/dev/ttyUSB0'
    ]


def test_overrides_are_checked_like_the_file(wrong: Wrong) -> None:
    """An override's mistake is told like the file's, together with everything else."""
    overrides = ["x", "door.relase_s=5", "door.release_s=1\n[web]\nport=1", "reader.baud=fast"]

    assert [line.split(";")[0] for line in wrong(RIGHT, *overrides)] == [
        '--set "x": is not table.key=value',
        'reader.baud: found "fast"',
        'door.release_s: found "1\\u000a[web]\\u000aport=1"',
        "door.relase_s: unknown key",
    ]


def test_an_override_does_not_hide_a_broken_table(wrong: Wrong) -> None:
    """A table that is none is still told when one of its keys is overridden."""
    told = wrong(f"door = 5\n{RIGHT}", "door.release_s=5")

    assert told == ["door: found 5; give a table: [door]"]


def test_relative_paths_count_from_the_file(path: Path) -> None:
    """Relative paths are of the configuration's directory, whoever starts doorctl from where."""
    overrides = [
        "storage.directory=data",
        "secrets.installation_key_file=keys/k",
        "web.tls.certificate_file=web.pem",
        "web.tls.key_file=web.key",
        'web.push.public_key_files=["one.pem", "/two.pem"]',
    ]

    config = load(path, overrides, environment={})

    assert config.storage.directory == path.parent / "data"
    assert config.secrets.installation_key_file == path.parent / "keys" / "k"
    assert config.control.socket == path.parent / "data" / "door.sock"
    assert config.web.tls == Tls(
        certificate_file=path.parent / "web.pem", key_file=path.parent / "web.key"
    )
    assert config.web.push.public_key_files == (path.parent / "one.pem", Path("/two.pem"))
    assert load(path, ["storage.directory=."]).storage.branch_db == path.parent / "branch.db"


def test_what_may_be_empty_is_taken_empty(path: Path) -> None:
    """As the example says of it.

    Bug (a second reading): `web.catalogues = ""` was refused, whose default is a path.
    """
    empty = [key for table in keys().values() for key in table.values() if '""' in key.allowed]
    for key in empty:
        assert not list(check_table({key.leaf: key}, {key.leaf: ""}, {})), key.name

    assert load(path, ("web.catalogues=",)).web.catalogues == Path()


def test_tables_within_tables_are_read(configured: Configured) -> None:
    """A table within a table is written like any other, and its section stands in the outer one."""
    web = configured(f"{RIGHT}[web]\nport = 81\n[web.push]\nmax_rows = 7\n").web

    assert (web.port, web.push.max_rows, web.push.removed_floor) == (81, 7, 10)
    assert not web.tls.wanted


def test_a_relative_file_gives_absolute_paths() -> None:
    """A configuration named by a relative path gives paths that outlive a change of directory."""
    config = load(Path("config/doorctl.toml"), ["control.socket=d.sock"], environment={})

    assert config.control.socket == Path("config/d.sock").absolute()


def test_the_credentials_directory_is_filled_in(configured: Configured) -> None:
    """A leading $CREDENTIALS_DIRECTORY/ is taken from the environment that was passed in."""
    override = "secrets.installation_key_file=$CREDENTIALS_DIRECTORY/installation.key"

    key_file = configured(RIGHT, override).secrets.installation_key_file
    assert key_file == Path("/run/credentials/installation.key")


@pytest.mark.parametrize("spelt", ["$CREDENTIALS_DIRECTORY", "${CREDENTIALS_DIRECTORY}"])
@pytest.mark.parametrize("environment", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_an_unknown_credentials_directory_is_told(
    path: Path, environment: dict[str, str], spelt: str
) -> None:
    """Without the variable no directory of that name is looked for, or made."""
    override = f"secrets.installation_key_file={spelt}/installation.key"

    with pytest.raises(ConfigError) as caught:
        load(path, [override], environment=environment)

    (problem,) = caught.value.problems
    assert problem.where == "secrets.installation_key_file"
    assert "$CREDENTIALS_DIRECTORY is set only for" in problem.what
    assert '"/etc/doorctl/installation.key"' in problem.what


scalars: st.SearchStrategy[Any] = (
    st.text(max_size=8)
    | st.sampled_from(["", " ", "00:00-24:00", "22:00-02:00", "da", "mock", "Europe", "x" * 200])
    | st.integers()
    | st.integers(-1, 40)
    | st.just(2**2_000)
    | st.floats()
    | st.booleans()
    | st.dates()
    | st.datetimes()
    | st.times()
)
written = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
names = {table: list(known) for table, known in keys().items() if "." not in table}
names["web"] += ["tls", "push"]
names["hours"] += ["staffed", "exceptions"]
names["signin"] += ["oidc"]
tables = st.fixed_dictionaries(
    {},
    optional={
        table: st.fixed_dictionaries({}, optional=dict.fromkeys(leaves, written))
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(leaves), written, max_size=4)
        | written
        for table, leaves in names.items()
    },
)


def outcome_of(loading: Callable[[], Config]) -> Config | ConfigError:
    """Return the configuration, or the one error that may be raised instead."""
    try:
        return loading()
    except ConfigError as error:
        return error


def is_config_or_told(outcome: Config | ConfigError) -> bool:
    """Tell whether an outcome is a configuration, or problems of one printable line each."""
    if isinstance(outcome, Config):
        return True
    lines = [str(problem) for problem in outcome.problems]
    return bool(lines) and all(line.isprintable() and len(line) < 400 for line in lines)


@given(tables | st.dictionaries(st.text(max_size=8), written, max_size=4))
def test_whatever_is_written_is_a_config_or_told(some: dict[str, Any]) -> None:
    """No TOML raises anything but ConfigError, and each problem is one printable line."""

    def read() -> Config:
        values, wrong = checked(some)
        return from_values(Origin(Path("/etc/doorctl/f"), values=values), {}, wrong)

    outcome = outcome_of(read)

    assert is_config_or_told(outcome)


@given(st.lists(st.text(max_size=20) | st.text(max_size=9).map("door.release_s={}".format)))
def test_whatever_is_overridden_is_a_config_or_told(path: Path, overrides: list[str]) -> None:
    """No override raises anything but ConfigError."""
    outcome = outcome_of(lambda: load(path, overrides, environment={}))

    assert is_config_or_told(outcome)


# What `relay-off` reads: the pins, whatever else is wrong with the file.

PINS = """
[gpio]
relay_pin = 18
relay_active_high = false
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[door]\nrelease_s = 99\n",
        "[dor]\nrelease_s = 5\n",
        "door = 5\nxyzzy = 5\n",
        '[branch]\ntime_zone = "Mars/Olympus"\n[hours]\nmonday = ["25:00-26:00"]\n',
        '[secrets]\ninstallation_key_file = "$CREDENTIALS_DIRECTORY/installation.key"\n',
        "[storage]\ndirectory = 7\n",
    ],
)
def test_what_is_wrong_elsewhere_does_not_matter_to_the_pins(path: Path, text: str) -> None:
    """They are told as they stand, whatever other tables hold; the last override wins over them."""
    path.write_text(text + PINS, encoding="utf-8")
    pins = Gpio(relay_pin=18, relay_active_high=False)

    assert load_gpio(path) == pins
    assert load_gpio(path, ["door.release_s=99", "branch.id=Ø"]) == pins
    assert load_gpio(path, ["gpio.relay_pin=4", "gpio.factory=mock"]) == Gpio(
        factory="mock", relay_pin=4, relay_active_high=False
    )


def test_pins_are_the_daemons(path: Path) -> None:
    """Read alike in both ways; without the table a mistake elsewhere can't have meant a pin."""
    assert load_gpio(EXAMPLE) == load(EXAMPLE).gpio
    path.write_text("[door]\nrelease_s = 99\n", encoding="utf-8")
    assert load_gpio(path) == Gpio()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[gpio]\nrelay_pin = 40\n", "gpio.relay_pin"),
        ("[gpio]\nrelay_pni = 18\n", "gpio.relay_pni"),
        ("gpio = 18\n", "gpio"),
        ("[gpoi]\nrelay_pin = 18\n", "gpoi"),
        ("relay_pin = 18\n", "relay_pin"),
        ("[door]\nrelay_pin = 18\n", "door.relay_pin"),
    ],
)
def test_a_pin_is_never_guessed(path: Path, text: str, where: str) -> None:
    """A wrong or misspelt pin, or what is no override, is told: another could be the strike's."""
    path.write_text(text, encoding="utf-8")
    assert told_of_pins(path) == [where]
    path.write_text(PINS, encoding="utf-8")
    assert told_of_pins(path, "gpio.relay_pin:4") == ['--set "gpio.relay_pin:4"']
