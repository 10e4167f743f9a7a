"""``doorctl selftest``: the running door's answer, or what can be told without it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doorctl.config import Config, load
from doorctl.doord.self_test import CHECKS, self_test
from doorctl.services import cards
from doorctl.services.app import App
from doorctl.services.installation import initialise

COMMAND = (sys.executable, "-c", "from doorctl.cli.processes import selftest; selftest()")

ROW = {
    "patronId": 1001,
    "identifiers": [{"identifier": "3000001234", "identifierType": "CARD", "status": "ACTIVE"}],
    "pincode": "4711",
    "resident": True,
    "birthday": "1970-01-01",
    "blockStatus": None,
}


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A branch that was set up, and that nobody runs."""
    path = tmp_path / "doorctl.toml"
    path.write_text(
        f"""
        [branch]
        name = "Prøvebiblioteket"
        id = "proeve"
        [storage]
        directory = "{tmp_path}"
        [secrets]
        installation_key_file = "{tmp_path}/installation.key"
        [seal]
        memory_kib = 8
        iterations = 1
        [reader]
        port = "/dev/null"
        [gpio]
        factory = "mock"
        [clock]
        trust = "always"
        [control]
        socket = "{tmp_path}/control.socket"
        """,
        encoding="utf-8",
    )
    initialise(config(path))
    return path


def config(path: Path) -> Config:
    """Read it."""
    return load(path, (), {})


def fill(config_file: Path) -> None:
    """Load one patron."""
    feed = config_file.with_name("feed.ndjson")
    feed.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    app = App.of(config(config_file))
    cards.load_patrons(app, feed, full=True, on_progress=lambda _done, _total: None)


def on_a_terminal(config_file: Path, **environment: str) -> str:
    """Run the command with a terminal as its output; return what that shows."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--config", str(config_file)],
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONCOERCECLOCALE": "0", **environment},
    ) as process:
        os.close(slave)
        shown = b"".join(iter(lambda: _read(master), b""))
        process.communicate()
    os.close(master)
    return shown.decode("utf-8", "replace")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""  # The other end is closed.


def test_without_the_door_the_rest_is_tested(config_file: Path) -> None:
    """On real files: only the door itself fails, and what it alone knows is left out."""
    fill(config_file)
    found = {one.check: one for one in self_test(config(config_file))}

    assert [name for name, one in found.items() if not one.ok] == ["door"]
    missing = {check.name for check in CHECKS} - set(found)
    assert missing == {"reader", "keypad", "purge"}
    assert found["visit_log"].what == "The door log can be read."


def fresh(_config_file: Path) -> None:
    """Do nothing: no push ever came."""


def damaged(config_file: Path) -> None:
    """Spoil the cache."""
    fill(config_file)
    cache = config_file.with_name("patrons.db")
    cache.write_bytes(b"this is no database." * 500)


def other_key(config_file: Path) -> None:
    """Change the installation key under the rows."""
    fill(config_file)
    config_file.with_name("installation.key").unlink()
    kept = [path.rename(path.with_suffix(".kept")) for path in config_file.parent.glob("*.db")]
    initialise(config(config_file))
    for path in kept:
        path.rename(path.with_suffix(".db"))


@pytest.mark.parametrize(
    ("spoil", "check"), [(fresh, "register_filled"), (damaged, "register"), (other_key, "register")]
)
def test_a_real_cache_that_is_spoiled_is_found(
    spoil: Callable[[Path], None], check: str, config_file: Path
) -> None:
    """On real files, under its own name."""
    spoil(config_file)
    failing = [one.check for one in self_test(config(config_file)) if not one.ok]

    assert failing == ["door", check]


def test_a_terminal_shows_marks_where_it_can(config_file: Path) -> None:
    """A tick or a cross in UTF-8; in ASCII, the words that a pipe gets too."""
    fill(config_file)
    modern = on_a_terminal(config_file, PYTHONUTF8="1")
    ancient = on_a_terminal(config_file, PYTHONUTF8="0", LC_ALL="C", PYTHONIOENCODING="ascii")

    assert "✓" in modern
    assert "✗" in modern
    assert "fails door" not in modern
    assert "ok    card" in ancient
    assert "fails door" in ancient
