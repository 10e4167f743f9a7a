"""Two machines and a stick: from nothing to the first push, by the commands of the page."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.door import COMMANDS, web
from tests.e2e.sender import patron
from tests.sources.http_server import free_port
from tests.web.certificates import Authority

TYPED = (
    ('id = "sender"', 'id = "sender"\n[clock]\ntrust = "always"'),
    ("/var/lib/doorctl-sync", "state"),
    ("memory_kib = 19456", "memory_kib = 8"),
    ("iterations = 2", "iterations = 1"),
    ("/srv/doorctl/exports", "exports"),
)
"""What somebody types into the example of ``sync.toml``."""


def call(config: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on the machine whose configuration it is."""
    return COMMANDS.run([*words, "--config", str(config)], stdin=typed)


def said(config: Path, *words: str, typed: str = "") -> str:
    """Run a command that has to go well, and return what it said."""
    done = call(config, *words, typed=typed)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def branch(tmp_path: Path) -> Path:
    """A branch's file: it has a certificate, and nobody may push."""
    (tmp_path / "branch").mkdir()
    (tmp_path / "stick").mkdir()
    certificate, key = Authority(tmp_path, "authority").issue("branch")
    file = tmp_path / "branch" / "doorctl.toml"
    file.write_text(
        f"""
        [branch]
        name = "Øst"
        id = "oest"
        [storage]
        directory = "data"
        [secrets]
        installation_key_file = "installation.key"
        [seal]
        memory_kib = 8
        iterations = 1
        [reader]
        port = "/dev/null"
        [gpio]
        factory = "mock"
        [clock]
        trust = "always"
        [web]
        port = {free_port()}
        [web.tls]
        certificate_file = "{certificate}"
        key_file = "{key}"
        """,
        encoding="utf-8",
    )
    return file


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server's file, as ``doorctl sync init`` and somebody's hand have left it."""
    file = tmp_path / "server" / "sync.toml"
    (file.parent / "exports").mkdir(parents=True)
    # The example is written first; what it names is root's, so this run makes nothing more.
    call(file, "sync", "init", "--set", "sync.workers=0")
    text = file.read_text(encoding="utf-8")
    for before, after in TYPED:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")
    said(file, "sync", "init")
    row = json.dumps(patron(1)) + "\n"
    (file.parent / "exports" / "1-full.ndjson").write_text(row, encoding="utf-8")
    return file


def paired(branch: Path, server: Path, *more: str) -> str:
    """Carry request, code and answer, and return what the branch said at the end."""
    request, answer = (branch.parents[1] / "stick" / name for name in ("request", "answer"))
    shown = said(branch, "pair", "begin", "--out", str(request))
    code = shown.rpartition(": ")[2]
    said(server, "sync", "pair", str(request), "--out", str(answer), typed=code)
    return said(branch, "pair", "finish", str(answer), *more)


@pytest.mark.parametrize("had_a_key", [False, True])
def test_one_push_works_after_pairing(branch: Path, server: Path, *, had_a_key: bool) -> None:
    """On a new branch, and on one whose own key gives way, as its log says; not before."""
    early = call(server, "sync", "push")
    if had_a_key:
        said(branch, "init")
    finished = paired(branch, server)
    if not had_a_key:
        said(branch, "init")
    with web([sys.executable, "-m", "doorctl", "web", "--config", str(branch)]):
        pushed = said(server, "sync", "push")
    noted = said(branch, "audit", "list")
    with closing(sqlite3.connect(branch.parent / "data" / "patrons.db")) as database:
        held = database.execute("SELECT patron_ref FROM patrons").fetchall()

    assert (early.returncode, "there is no branch yet" in early.stderr) == (1, True)
    assert "the server's installation key" in finished
    assert "oest: up to date at epoch 1" in pushed
    assert held == [("1",)]
    assert ("key_adopted" in noted) == had_a_key


def test_a_ban_of_a_card_keeps_its_key(branch: Path, server: Path) -> None:
    """Under another key nobody would find it, and who was kept out would come in."""
    said(branch, "init")
    said(branch, "bans", "add", "3000000001", "--reason", "noise")
    key = (branch.parent / "installation.key").read_bytes()
    with pytest.raises(AssertionError, match="bans or passes here are known by"):
        paired(branch, server, "--replace")

    assert (branch.parent / "installation.key").read_bytes() == key
