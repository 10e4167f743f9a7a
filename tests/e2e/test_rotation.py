"""Keys of a real sender and its branches: paired by two files and a code, and new after a theft.

Bug (penetration test): after a theft there was no new installation key without losing bans of
cards, passes, codes and counts of wrong PINs.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorctl.access.patron import KEY_BYTES
from doorctl.store.signing_keys import read_signing_key
from tests.admin.pairs import BRANCH
from tests.e2e.door import COMMANDS, web
from tests.e2e.sender import Sender, patron
from tests.fakes.waiting import LIMIT_S
from tests.install.pages import block_that_says
from tests.sources.http_server import free_port
from tests.web.branch import Branch, rows
from tests.web.certificates import Authority

ENTITLED, BANNED, GUESSED, STRANGER = "3000000001", "3000000002", "3000000003", "3000009999"
PIN = "4711"
FULL = "01-full.ndjson"
OTHER_KEY = "its installation key is none that is in use here, so it was sent nothing"


class House(Branch):
    """A branch of the sender's: its key is a copy of the sender's, its targets' name its own."""

    def __init__(self, directory: Path, name: str, sender: Path) -> None:
        shutil.copy2(sender / "installation.key", directory)
        super().__init__(
            directory,
            f"branch.id={name}",
            f'web.push.public_key_files=["{sender / "signing.pub"}"]',
            "web.push.removed_floor=2",
            "keypad.digit_timeout_s=20",
            "keypad.total_timeout_s=30",
            "policy.code_entry=true",
        )
        self.name = name
        self.key = read_signing_key(sender / "signing.key")

    def open_up(self) -> None:
        """Start both processes."""
        self.stage.start()
        self.start()

    def shut_down(self) -> None:
        """Stop both; the door as a power cut would."""
        self.stage.cut()
        self.end()

    def come(self, card: str, pin: str = PIN) -> object:
        """Swipe a card, type a PIN and return what the door decided."""
        reason = self.decided(card, pin)
        if reason == "ok":
            self.stage.wait_for("door", state="locked", timeout_s=LIMIT_S)
        return reason

    def enter(self, code: str) -> object:
        """Type a code and return what the door decided."""
        self.type(f"{code}#")
        reason = self.stage.wait_for("decision", timeout_s=LIMIT_S)["reason"]
        self.stage.wait_for("door", state="locked", timeout_s=LIMIT_S)
        return reason

    def said(self, *words: str) -> str:
        """Run a command that has to go well, and return what it said."""
        done = self.stage.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def query(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Read a database as it stands on the disk."""
        path = self.directory / database
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def library(tmp_path: Path) -> Sender:
    """The library's server; it pushes to somebody who is never there."""
    sender = Sender(tmp_path)
    sender.target({"branch": "nobody", "url": "http://127.0.0.1:9"})
    sender.call("sync", "init")
    return sender


def target(library: Sender, *houses: House) -> None:
    """Have the library push to these from now on."""
    library.target(*({"branch": one.name, "url": f"http://127.0.0.1:{one.port}"} for one in houses))


@pytest.fixture
def house(
    library: Sender, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], House]]:
    """Make branches that have the sender's key of the moment, and end with the test."""
    with ExitStack() as stack:

        def made(name: str) -> House:
            house = House(tmp_path_factory.mktemp(name), name, library.directory)
            stack.enter_context(house.stage)
            stack.callback(house.end, signal.SIGKILL)
            return house

        yield made


def carried(library: Sender, house: House) -> str:
    """Carry the next key to a branch, and return where it lies there."""
    copy = house.directory / "from-the-library.key"
    shutil.copy2(library.directory / "installation.key.next", copy)
    return str(copy)


def guide() -> list[list[str]]:
    """Return the commands of the guide, without where the configuration is."""
    lines = block_that_says("doorctl keys rotate --stolen").text.splitlines()
    return [line.partition(" --config")[0].split()[1:] for line in lines]


def test_after_a_theft(  # noqa: PLR0915 -- one story
    library: Sender, house: Callable[[str], House]
) -> None:
    """The guide of doorctl/admin/README.md, step by step, with one branch that hears of it late.

    Nobody who was entitled is refused and nobody who was banned comes in, before, between and
    after; what is held of a card that no register knows is carried over as well.
    """
    rotate, adopt, push = guide()
    assert push == ["sync", "push"]
    rotate = [word.replace("BRANCH", "stolen") for word in rotate]
    library.export(FULL, *map(patron, (1, 2, 3)))
    oest, syd = house("oest"), house("syd")
    target(library, oest, syd)
    for one in (oest, syd):
        one.open_up()
    library.push("--approved-by", "B. Hansen")
    oest.said("bans", "add", BANNED, "--reason", "uro")
    oest.said("bans", "add", STRANGER, "--reason", "uro")
    until = (date.today() + timedelta(days=60)).isoformat()  # noqa: DTZ011 - far off
    words = ("--code", "--digits", "8", "--kind", "association", "--label", "kor", "--no-pin")
    issued = oest.said("passes", "add", *words, "--to", until)
    code = re.findall(r"The code is ([0-9 ]+);", issued)[0].replace(" ", "")
    guesses = [oest.come(GUESSED, "0000") for _ in range(3)]
    assert guesses == ["wrong_pin"] * 3
    old_seal = oest.seal

    # The stolen one is out of the targets before the key is made, and is told so if it is not.
    stolen = house("stolen")
    stolen.start()
    target(library, oest, syd, stolen)
    refused = library.call(*rotate)
    target(library, oest, syd)
    made, again = (library.call(*rotate), library.call("keys", "rotate"))

    assert (refused.returncode, made.returncode, again.returncode) == (1, 0, 1)
    assert "stolen is still sent patrons" in refused.stderr
    assert "a rotation is under way" in again.stderr
    assert (library.directory / "installation.key.next").stat().st_mode & 0o777 == 0o600

    # Pushes go on as before while no branch has it.
    library.export(FULL, *map(patron, (1, 2, 3, 4)))
    between = library.push()
    assert between["old_key_for"] == ["oest", "syd"]
    assert between["oest"]["kind"] == between["syd"]["kind"] == "changes"

    new = carried(library, oest)
    in_use = oest.stage.call(*(word.replace("FILE", new) for word in adopt))
    assert in_use.returncode == 1
    assert "another doorctl process" in in_use.stderr
    oest.shut_down()
    marks = oest.query("branch.db", "SELECT row_key FROM bans")
    assert "the new key is in use" in oest.said(*(word.replace("FILE", new) for word in adopt))
    assert not Path(new).exists()
    oest.open_up()

    # Before a push as well as after the full one.
    first = between
    for _ in range(2):
        assert oest.come(ENTITLED) == "ok"
        assert oest.come(BANNED) == "banned"
        # The fourth guess, or one that has to wait for the third: the card has one count.
        assert oest.come(GUESSED, "0000") in {"wrong_pin", "throttled"}
        counted = oest.query("visits.db", "SELECT failures FROM throttles WHERE failures > 2")
        assert len(counted) == 1
        assert oest.come(STRANGER) == "unknown_card"
        assert oest.enter(code) == "ok"
        assert syd.come(ENTITLED) == "ok"
        first = library.push()
        if first["oest"]["result"] == "sent":
            assert (first["oest"]["kind"], first["oest"]["cards"]) == ("snapshot", 4)
    assert first["old_key_for"] == ["syd"]
    assert oest.come("3000000004") == "ok"
    assert {mark for (mark,) in marks}.isdisjoint(
        mark for (mark,) in oest.query("branch.db", "SELECT row_key FROM bans")
    )

    # What is sealed with the old key is refused from then on, whatever its number.
    old = oest.document(rows(9), 10_000, branch="oest", seal=old_seal, approved_by="X")
    assert oest.push(old).status_code == 422

    # The other one was away for a week: its register is what it was, and it is not waited for.
    syd.end()
    library.export(FULL, *map(patron, (1, 2, 3, 4, 5)))
    assert library.push()["old_key_for"] == ["syd"]
    syd.stage.cut()
    syd.said("keys", "adopt", carried(library, syd))
    syd.open_up()
    assert syd.come(ENTITLED) == "ok"
    last = library.push()
    assert (last["old_key_for"], last["syd"]["kind"]) == ([], "snapshot")
    assert syd.come("3000000005") == "ok"
    assert not (library.directory / "installation.key.next").exists()
    assert (library.directory / "installation.key").stat().st_size == 2 * KEY_BYTES
    assert library.push()["old_key_for"] is None

    # Even as a target the stolen one is sent nothing, and says nothing that is believed.
    target(library, oest, syd, stolen)
    told = library.push(code=1)
    assert OTHER_KEY in told["stolen"]["why"]
    assert stolen.held()["epoch"] == 0
    listed = oest.said("audit", "list", "--json")
    assert listed.count("key_adopted") == 1


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
    file = tmp_path / "branch" / "doorctl.toml"
    for directory in (file.parent, tmp_path / "stick"):
        directory.mkdir()
    Authority(file.parent, "authority").issue("branch")
    here = f'[clock]\ntrust = "always"\n[web]\nport = {free_port()}\n'
    file.write_text(BRANCH + here, encoding="utf-8")
    return file


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server's file, as ``doorctl sync init`` and somebody's hand have left it."""
    return laid_out(tmp_path / "server" / "sync.toml")


def laid_out(file: Path) -> Path:
    """Make what a server's file names, and an export of one patron; return the file."""
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


def test_another_server_takes_over(branch: Path, tmp_path: Path) -> None:
    """Its keys take the old one's place, and its first push the register's, which no card finds.

    Bug (found by playing it): the guard took the new register, whose rows are all others, for one
    that shuts out everybody, so `doorctl check` said "no patron is let in" for ever.
    """
    first, second = (tmp_path / name / "sync.toml" for name in ("first", "second"))
    for server in (first, second):
        laid_out(server)
    said(branch, "init")
    serve = [sys.executable, "-m", "doorctl", "web", "--config", str(branch)]
    paired(branch, first)
    with web(serve):
        said(first, "sync", "push")
    paired(branch, second, "--replace")
    with web(serve):
        pushed = said(second, "sync", "push")
        old = call(first, "sync", "push")
    with closing(sqlite3.connect(branch.parent / "data" / "patrons.db")) as database:
        held = database.execute("SELECT patron_ref FROM patrons").fetchall()
        noted = database.execute("SELECT count(*) FROM shut_out").fetchone()

    assert "oest: up to date at epoch" in pushed
    assert (held, noted) == ([("1",)], (0,))
    assert OTHER_KEY in old.stdout


def test_a_ban_of_a_card_keeps_its_key(branch: Path, server: Path) -> None:
    """Under another key nobody would find it, and who was kept out would come in."""
    said(branch, "init")
    said(branch, "bans", "add", "3000000001", "--reason", "noise")
    key = (branch.parent / "installation.key").read_bytes()
    with pytest.raises(AssertionError, match="bans or passes here are known by"):
        paired(branch, server, "--replace")

    assert (branch.parent / "installation.key").read_bytes() == key
