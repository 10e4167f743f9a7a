from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

from doorctl.config import load
from doorctl.config.loading import Key, keys
from doorctl.config.tables import REQUIRED, shown

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLE, SENDERS = CONFIG / "doorctl.toml", CONFIG / "sync.toml"
SAMPLES = {
    "branch.isil": "DK-773000",
    "keypad.port": "/dev/serial/by-id/usb-KEYPAD-if00-port0",
    "storage.door_directory": "/var/lib/doorctl-door",
}
"""Keys whose default says "none", shown with what a branch would write."""

OF_SENDERS = ("sync", "source")
DOORS = {name: known for name, known in keys().items() if not name.startswith(OF_SENDERS)}
DESCRIBED = [key for known in DOORS.values() for key in known.values()]
"""The sender's keys are shown in an example of their own, so that a door's stays readable."""

_COMMENTED = re.compile(r"^# (\[\[?[a-z.]+\]?\]|[a-z_]+ = .*)$", re.MULTILINE)


def written_tables(text: str) -> dict[str, dict[str, object]]:
    """Return each table of a TOML text by its dotted name, in order, without those within it.

    Of tables under ``[[name]]`` the first is returned.
    """
    found: dict[str, dict[str, object]] = {}
    waiting: list[tuple[str, object]] = list(tomllib.loads(text).items())
    while waiting:
        name, table = waiting.pop(0)
        first = table[0] if isinstance(table, list) else table
        assert isinstance(first, dict)
        inner = {leaf: value for leaf, value in first.items() if is_table(value)}
        found[name] = {leaf: value for leaf, value in first.items() if leaf not in inner}
        waiting[:0] = [(f"{name}.{leaf}", value) for leaf, value in inner.items()]
    return found


def is_table(value: object) -> bool:
    """Tell whether a value is a table, or the tables of one name."""
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict)


def comments(path: Path) -> dict[str, str]:
    """Return the comment above each key of an example, on one line."""
    found: dict[str, str] = {}
    table = ""
    block: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        bare = line.removeprefix("# ")
        if header := re.fullmatch(r"\[\[?([a-z.]+)\]?\]", bare):
            table, block = header[1], []
        elif key := re.match(r"([a-z_]+) = ", bare):
            found[f"{table}.{key[1]}"] = " ".join(block)
            block = []
        elif line.startswith("# "):
            block.append(bare)
    return found


def test_the_example_loads() -> None:
    """What the example says is a right configuration, with the branch's samples in it."""
    config = load(EXAMPLE, environment={})

    assert config.branch.name == "Randers Bibliotek, Øst"
    assert (config.branch.id, config.branch.isil) == ("oest", "DK-773000")
    assert config.reader.port == "/dev/serial/by-id/usb-CARD_READER-if00-port0"
    assert config.opening.week is None


def test_the_example_has_every_key_in_order() -> None:
    """The example names every key of the schema, commented out or not, and no other, in order."""
    whole = _COMMENTED.sub(r"\1", EXAMPLE.read_text(encoding="utf-8"))
    named = [(table, list(section)) for table, section in written_tables(whole).items()]

    assert named == [(table, list(known)) for table, known in DOORS.items()]


def test_the_example_with_every_comment_taken_off_loads(tmp_path: Path) -> None:
    """Whatever line somebody takes the # off, it is a right one, alone and with all others."""
    path = tmp_path / "doorctl.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    path.write_text(_COMMENTED.sub(r"\1", text), encoding="utf-8")

    config = load(path, environment={})

    assert config.gpio.green_pin == 23
    assert config.opening.week is not None


def test_the_example_shows_the_defaults() -> None:
    """Each key that is not commented out has the schema's default, or is a known sample."""
    written = written_tables(EXAMPLE.read_text(encoding="utf-8"))

    for table, section in written.items():
        for leaf, value in section.items():
            default = keys()[table][leaf].default
            if default is REQUIRED or f"{table}.{leaf}" in SAMPLES:
                continue
            read = tomllib.loads(f"default = {shown(default)}")["default"]
            assert (leaf, type(value), value) == (leaf, type(read), read)


def test_what_is_commented_out_is_absent_by_default() -> None:
    """A key stands behind a # only where leaving it out means something of its own.

    Those of extras do: the example asks for none, so that it is right where one was deleted.

    Bug (a second reader): it asked for metrics and oidc, and a branch without them could not be set
    up.
    """
    written = written_tables(EXAMPLE.read_text(encoding="utf-8"))
    left_out = {key.name for key in DESCRIBED if key.leaf not in written.get(key.table, {})}
    own = defaultdict(dict, keys(()))

    assert left_out == {
        key.name
        for key in DESCRIBED
        if key.default is None or key.name.startswith("hours.") or key.leaf not in own[key.table]
    }


def note(key: Key) -> str:
    """Return how the comment above a key ends: what is allowed, and the default."""
    told = {REQUIRED: "Required.", None: "Absent by default."}.get(key.default)
    return f" Allowed: {key.allowed}. {told or f'Default {shown(key.default)}.'}"


UNITS = {
    "_s": "Seconds ",
    "_h": "Hours ",
    "_min": "Minutes ",
    "_kib": "KiB ",
    "_bytes": "Bytes ",
    "_rows": "Rows ",
    "_percent": "Percent ",
    "_days": "Days ",
    "_pin": "BCM number ",
}


def test_the_example_says_what_the_schema_says() -> None:
    """Above a key: its unit first, if its name ends in one, and why; what is allowed; the default.

    It is the one place where a key is explained.
    """
    above = comments(EXAMPLE)
    for key in DESCRIBED:
        comment = above[key.name]
        assert comment.endswith(note(key)), key.name
        assert comment.removesuffix(note(key)).endswith(".")
        unit = next((word for end, word in UNITS.items() if key.leaf.endswith(end)), "")
        assert unit in comment or key.leaf in {"require_pin", "weak_pin"}


def test_the_demo_file_is_cheap_safe_and_short() -> None:
    """The demo drives mock pins only, seals cheaply, waits briefly and believes the clock."""
    config = load(CONFIG / "demo.toml", environment={})

    assert config.gpio.factory == "mock"
    assert (config.seal.memory_kib, config.seal.iterations) == (1024, 1)
    assert (config.keypad.digit_timeout_s, config.keypad.total_timeout_s) == (4.0, 8.0)
    assert config.door.release_s == 1.0
    assert config.clock.trust == "always"
    assert "demo` only" in (CONFIG / "demo.toml").read_text(encoding="utf-8").splitlines()[0]


def test_the_demo_file_takes_the_overrides_of_a_run(tmp_path: Path) -> None:
    """What the demo lays over its file at run time makes a configuration of that directory."""
    overrides = [
        f"storage.directory={tmp_path}",
        f"secrets.installation_key_file={tmp_path}/installation.key",
        "reader.port=/dev/pts/3",
        "keypad.port=/dev/pts/4",
    ]

    config = load(CONFIG / "demo.toml", overrides, environment={})

    assert config.control.socket == tmp_path / "door.sock"
    assert config.keypad.port == "/dev/pts/4"


def test_the_senders_example_says_what_the_schema_says() -> None:
    """It loads, and each key of the sender and of a target stands there, with why and values."""
    sync = load(SENDERS, environment={}).sync
    assert sync is not None
    assert [target.branch for target in sync.targets] == ["oest"]
    own = [name for name in keys() if name.startswith("source")]
    tables = ("sync", *own, "sync.nats", "sync.targets")
    known = {key.name: key for name in tables for key in keys()[name].values()}
    above = {name: text for name, text in comments(SENDERS).items() if name.startswith(OF_SENDERS)}
    assert list(above) == list(known)
    assert [name for name, key in known.items() if not above[name].endswith(f".{note(key)}")] == []


def test_the_senders_example_with_every_comment_taken_off_loads(tmp_path: Path) -> None:
    """Whatever line somebody takes the # off, it is a right one, alone and with all others."""
    written = _COMMENTED.sub(r"\1", SENDERS.read_text(encoding="utf-8"))
    (tmp_path / "sync.toml").write_text(written, encoding="utf-8")

    assert load(tmp_path / "sync.toml", environment={}).sync is not None


def test_the_senders_example_shows_the_defaults() -> None:
    """Beside what a library has to fill in.

    Its keys lie in the sender's own directory, which its unit can write and a boot leaves alone.
    """
    written = tomllib.loads(SENDERS.read_text(encoding="utf-8"))
    key = Path(written["secrets"].pop("installation_key_file"))

    for table in ("secrets", "seal", "policy"):
        for leaf, value in written[table].items():
            default = keys()[table][leaf].default
            assert value == (str(default) if isinstance(default, Path) else default)
    sync = keys()["sync"]
    own = written["sync"]["state_directory"]
    assert own == str(sync["state_directory"].default)
    assert {Path(written["sync"]["signing_key_file"]).parent, key.parent} == {Path(own)}
