"""The sender's tables: what is right, what is wrong, and the example that shows them."""

import re
import tomllib
from functools import partial
from pathlib import Path

import pytest

from doorctl.config import load
from doorctl.config.loading import keys
from doorctl.config.tables import Sync, Target
from doorctl.core.errors import ConfigError
from tests.config.conftest import Configured, Wrong
from tests.config.conftest import Configured as Loading
from tests.config.test_example_files import note

EXAMPLE = Path(__file__).parents[2] / "config" / "sync.toml"
RIGHT = """
[branch]
name = "Randers Bibliotek"
id = "sender"
[sync]
feed = "exports"
[[sync.targets]]
branch = "oest"
url = "http://127.0.0.1:8080"
"""
AN_ADDRESS = 'an address that begins with https:// or http://, such as "https://oest.example:8443"'


@pytest.fixture
def loaded(configured: Configured) -> Loading:
    """Return a function that loads a text, where systemd hands over credentials."""
    return partial(configured, environment={"CREDENTIALS_DIRECTORY": "/run/credentials"})


def test_a_senders_file_needs_no_door(loaded: Loading, tmp_path: Path) -> None:
    """A sender names its feed and its branches; a reader it has not."""
    config = loaded(RIGHT)

    assert config.sync == Sync(
        feed=tmp_path / "exports",
        targets=(Target(branch="oest", url="http://127.0.0.1:8080"),),
    )
    assert config.reader.port == ""
    assert hash(config)


def test_a_door_is_no_sender(loaded: Loading) -> None:
    """Without the table there is no sender, and the reader is missed."""
    door = "[branch]\nname = 'Øst'\nid = 'oest'\n"

    assert loaded(door + "[reader]\nport = '/dev/ttyS0'\n").sync is None
    with pytest.raises(ConfigError, match=r"reader\.port: missing"):
        loaded(door)


def test_a_reader_beside_the_sender_is_checked(wrong: Wrong) -> None:
    """One machine may be both; what it says of its door must then be right."""
    assert wrong(RIGHT + "[reader]\nbaud = 9600\n") == [
        (
            "reader.port: missing; give the path of a serial device, such as "
            '"/dev/serial/by-id/usb-CARD_READER-if00-port0"'
        )
    ]


def test_paths_count_from_the_file(loaded: Loading, tmp_path: Path) -> None:
    """Relative paths are of the file's directory, and systemd's credentials are found."""
    files = 'ca_file = "ca.pem"\ncertificate_file = "/c.pem"\n'
    key = 'key_file = "$CREDENTIALS_DIRECTORY/sender.key"\n'
    overrides = ["sync.signing_key_file=$CREDENTIALS_DIRECTORY/k", "sync.state_directory=state"]

    sync = loaded(RIGHT.replace("http:", "https:") + files + key, *overrides).sync

    assert sync is not None
    assert sync.signing_key_file == Path("/run/credentials/k")
    assert sync.state_directory == tmp_path / "state"
    assert sync.targets[0].ca_file == tmp_path / "ca.pem"
    assert sync.targets[0].certificate_file == Path("/c.pem")
    assert sync.targets[0].key_file == Path("/run/credentials/sender.key")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            ("[[sync.targets]]", "[sync.targets]"),
            "sync.targets: found a table; give each a table: [[sync.targets]]",
        ),
        (
            ('branch = "oest"', 'branch = "Øst"'),
            'sync.targets[0].branch: found "Øst"; give 1 to 32 of a-z, 0-9 and -, such as "oest"',
        ),
        (
            ("http:", "ftp:"),
            f'sync.targets[0].url: found "ftp://127.0.0.1:8080"; give {AN_ADDRESS}',
        ),
        (
            ("\nurl", '\ncert = "x"\nurl'),
            (
                "sync.targets[0].cert: unknown key; there are branch, url, ca_file, "
                "certificate_file, key_file, minimum_age"
            ),
        ),
        (
            ("\nurl", '\nca_file = "x"\nurl'),
            'sync.targets[0].url: found "http://127.0.0.1:8080" beside certificates; give https',
        ),
        (
            ("http:", 's"\ncertificate_file = "x"\n#'),
            f'sync.targets[0].url: found "s"; give {AN_ADDRESS}',
        ),
        (
            ('"http:', '"https://h"\nkey_file = "x"\n#'),
            (
                "sync.targets[0].certificate_file: missing beside sync.targets[0].key_file; "
                "give its path"
            ),
        ),
        (
            ('"http:', '"https://h"\ncertificate_file = "x"\n#'),
            (
                "sync.targets[0].key_file: missing beside sync.targets[0].certificate_file; "
                "give its path"
            ),
        ),
        (
            ("[[sync", '[[sync.targets]]\nbranch = "oest"\nurl = "http://h"\n[[sync'),
            (
                'sync.targets[1].branch: found "oest", which is sync.targets[0].branch too; give '
                "each its own"
            ),
        ),
    ],
)
def test_what_is_wrong_is_told(wrong: Wrong, changed: tuple[str, str], expected: str) -> None:
    """Each problem names its key, the place of its target, and what would be right."""
    assert expected in wrong(RIGHT.replace(*changed))


def test_no_targets(loaded: Loading) -> None:
    """A sender is set up before its first branch is paired with it."""
    sync = loaded(RIGHT.split("[[", maxsplit=1)[0]).sync

    assert sync is not None
    assert sync.targets == ()


def test_the_example_loads() -> None:
    """What the example says is a right configuration of a sender."""
    sync = load(EXAMPLE, environment={}).sync

    assert sync is not None
    assert [target.branch for target in sync.targets] == ["oest"]


def test_the_example_says_what_the_schema_says() -> None:
    """Each key of the sender and of a target stands there in order, with its why and its values."""
    text = EXAMPLE.read_text(encoding="utf-8")
    sender, targets = text[text.index("\n[sync]\n") :].split("\n[[sync.targets]]\n")

    for table, written in (("sync", sender), ("sync.targets", targets)):
        known = keys()[table]
        assert [name for name, _ in _commented(written)] == list(known)
        for name, comment in _commented(written):
            assert comment.endswith(f".{note(known[name])}"), name


def test_the_example_shows_the_defaults() -> None:
    """Beside what a library has to fill in, the sender's example shows the defaults.

    Its keys lie in the sender's own directory, which its unit can write and a boot leaves alone.
    """
    written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    key = Path(written["secrets"].pop("installation_key_file"))

    for table in ("secrets", "seal", "policy"):
        for leaf, value in written[table].items():
            default = keys()[table][leaf].default
            assert value == (str(default) if isinstance(default, Path) else default)
    sync = keys()["sync"]
    own = written["sync"]["state_directory"]
    assert own == str(sync["state_directory"].default)
    assert {Path(written["sync"]["signing_key_file"]).parent, key.parent} == {Path(own)}


def _commented(text: str) -> list[tuple[str, str]]:
    """Return each key and the comment above it on one line."""
    found: list[tuple[str, str]] = []
    block: list[str] = []
    for line in text.splitlines():
        if key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found.append((key[1], " ".join(block)))
            block = []
        elif line.startswith("# "):
            block.append(line.removeprefix("# "))
    return found
