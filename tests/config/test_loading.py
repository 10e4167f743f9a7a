from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.config import Config, load
from doorctl.config.loading import Origin, check_table, checked, from_values, keys
from doorctl.config.tables import Push, Tls
from doorctl.core.errors import ConfigError
from tests.config.conftest import RIGHT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration with only what is required."""
    written = tmp_path / "doorctl.toml"
    written.write_text(RIGHT, encoding="utf-8")
    return written


def problems(path: Path, *overrides: str) -> list[str]:
    """Load with wrong overrides and return the problems' lines."""
    with pytest.raises(ConfigError) as caught:
        load(path, overrides, environment={})
    return [str(problem) for problem in caught.value.problems]


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


@pytest.mark.parametrize("bound", [0.5, 30.0])
def test_bounds_belong_to_what_is_allowed(path: Path, bound: float) -> None:
    """The least and the most that a message names are themselves right."""
    assert load(path, [f"door.release_s={bound}"], environment={}).door.release_s == bound


def test_the_limits_between_keys_are_allowed(path: Path) -> None:
    """Equal time-outs and a socket path of exactly 107 bytes are right."""
    socket = f"/{'x' * 106}"
    overrides = ["keypad.total_timeout_s=20", f"control.socket={socket}"]

    config = load(path, overrides, environment={})

    assert config.keypad.total_timeout_s == config.keypad.digit_timeout_s
    assert config.control.socket == Path(socket)


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
    "override", ["", "reader.port", "=x", "reader=x", "reader.=x", ".port=x", "reader.port.x=y"]
)
def test_a_malformed_override_is_a_problem(path: Path, override: str) -> None:
    """What is no table.key=value is told with the way to write it."""
    assert problems(path, override) == [
        f'--set "{override}": is not table.key=value; write it like --set reader.port=/dev/ttyUSB0'
    ]


def test_overrides_are_checked_like_the_file(path: Path) -> None:
    """An override's mistake is told like the file's, together with everything else."""
    overrides = ["x", "door.relase_s=5", "door.release_s=1\n[web]\nport=1", "reader.baud=fast"]

    assert [line.split(";")[0] for line in problems(path, *overrides)] == [
        '--set "x": is not table.key=value',
        'reader.baud: found "fast"',
        'door.release_s: found "1\\u000a[web]\\u000aport=1"',
        "door.relase_s: unknown key",
    ]


def test_an_override_does_not_hide_a_broken_table(path: Path) -> None:
    """A table that is none is still told when one of its keys is overridden."""
    path.write_text(f"door = 5\n{RIGHT}", encoding="utf-8")

    assert problems(path, "door.release_s=5") == ["door: found 5; give a table: [door]"]


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


@pytest.mark.parametrize(
    "overrides",
    [
        ["web.host=127.0.0.7"],
        ["web.host=::1"],
        ["web.host=localhost"],
        ["web.host=192.0.2.7", "web.allow_plain=true"],
        ["web.host=192.0.2.7", "web.tls.certificate_file=c", "web.tls.key_file=k"],
    ],
)
def test_where_the_web_process_may_listen(path: Path, overrides: list[str]) -> None:
    """On this machine, elsewhere under TLS, or where somebody has allowed plain HTTP."""
    assert load(path, overrides, environment={}).web.host in overrides[0]


def test_what_may_be_empty_is_taken_empty(path: Path) -> None:
    """As the example says of it.

    Bug (a second reading): `web.catalogues = ""` was refused, whose default is a path.
    """
    empty = [key for table in keys().values() for key in table.values() if '""' in key.allowed]
    for key in empty:
        assert not list(check_table({key.leaf: key}, {key.leaf: ""}, {})), key.name

    assert load(path, ("web.catalogues=",)).web.catalogues == Path()


def test_tables_within_tables_are_read(path: Path) -> None:
    """A table within a table is written like any other, and its section stands in the outer one."""
    path.write_text(f"{RIGHT}[web]\nport = 81\n[web.push]\nmax_rows = 7\n", encoding="utf-8")

    web = load(path, environment={}).web

    assert (web.port, web.push.max_rows, web.push.removed_floor) == (81, 7, 10)
    assert not web.tls.wanted


def test_a_relative_file_gives_absolute_paths() -> None:
    """A configuration named by a relative path gives paths that outlive a change of directory."""
    config = load(Path("config/doorctl.toml"), ["control.socket=d.sock"], environment={})

    assert config.control.socket == Path("config/d.sock").absolute()


def test_the_credentials_directory_is_filled_in(path: Path) -> None:
    """A leading $CREDENTIALS_DIRECTORY/ is taken from the environment that was passed in."""
    override = "secrets.installation_key_file=$CREDENTIALS_DIRECTORY/installation.key"
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials/doorctl.service"}

    config = load(path, [override], environment=environment)

    assert config.secrets.installation_key_file == Path(
        "/run/credentials/doorctl.service/installation.key"
    )


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


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_whatever_bytes_are_in_the_file_are_told(path: Path, content: bytes) -> None:
    """No file raises anything but ConfigError: none of these holds what is required."""
    path.write_bytes(content)

    with pytest.raises(ConfigError):
        load(path, environment={})


@given(st.lists(st.text(max_size=20) | st.text(max_size=9).map("door.release_s={}".format)))
def test_whatever_is_overridden_is_a_config_or_told(path: Path, overrides: list[str]) -> None:
    """No override raises anything but ConfigError."""
    outcome = outcome_of(lambda: load(path, overrides, environment={}))

    assert is_config_or_told(outcome)


def test_dates_are_shown_as_toml_writes_them(path: Path) -> None:
    """A value of any of TOML's types is shown as it was written."""
    today = date(2026, 8, 3)
    path.write_text(f"web.port = [{today}, 07:30:00, true, 'x']\n{RIGHT}", encoding="utf-8")

    (line,) = problems(path)

    assert line.startswith('web.port: found [2026-08-03, 07:30:00, true, "x"]; give ')
