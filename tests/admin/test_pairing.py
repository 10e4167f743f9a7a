"""A branch and a server come to trust each other: right files, wrong ones, and a stop anywhere."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tomllib
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from doorctl.admin import pairing
from doorctl.admin.installation import initialise
from doorctl.core.errors import DoorctlError, InputError, KeyFileError
from doorctl.store.keys import create_key, read_key
from doorctl.store.sealer import key_id, seal_on_record
from doorctl.store.signing_keys import create_signing_key
from tests.admin.pairs import BRANCH, NOW, SERVER, Pair, laid_out, refusal, stopped_at
from tests.slices import WHOLE, every
from tests.web.certificates import Authority


def test_two_machines_are_paired(pair: Pair) -> None:
    """The server has the branch's table, the branch both keys; nothing else of a file is changed.

    Secrets are for their owner alone, and none is left that was of use for the pairing only.

    Bug (a second reading): a configuration that only its group could read was root's group's
    afterwards, so that neither process could.
    """
    config = pair.base / "branch" / "doorctl.toml"
    config.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(config, -1, 1)
    rights = config.stat().st_mode, config.stat().st_gid
    before = config.read_text(encoding="utf-8")
    pair.begin()
    request = pair.answer()
    assert pair.finish()

    assert pair.is_paired() == (True, True)
    assert (config.stat().st_mode, config.stat().st_gid) == rights
    after = config.read_text(encoding="utf-8")
    named = f'public_key_files = ["{pair.base}/branch/signing.pub"]'
    assert after == before.replace("public_key_files = []", named)
    assert tomllib.loads((pair.base / "server" / "sync.toml").read_text())["sync"]["targets"] == [
        {
            "branch": "oest",
            "url": "https://127.0.0.1:8080",
            "ca_file": f"{pair.base}/server/branch-oest.pem",
        }
    ]
    assert request.certificates == (pair.base / "branch" / "branch.pem").read_text()
    assert {path.stat().st_mode & 0o777 for path in pair.base.rglob("*.key")} == {0o600, 0o644}
    for path in (pair.branch.secrets.installation_key_file, pair.request, pair.answer_file):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not (pair.base / "branch" / "pairing.secret").exists()


def test_another_age_limit_goes_along(pair: Pair) -> None:
    """A branch's own limit stands in its table; another seal or PIN length fits no server."""
    file = pair.base / "branch" / "doorctl.toml"
    file.write_text(f"{BRANCH}[policy]\nminimum_age = 15\n", encoding="utf-8")
    pair.begin()
    pair.answer()
    assert pair.server.sync is not None
    assert pair.server.sync.targets[0].minimum_age == 15

    file.write_text(f"{BRANCH}[policy]\npin_length = 6\n", encoding="utf-8")
    pair.begin()
    with pytest.raises(InputError, match=r"policy\.pin_length is 4 here and 6 on the branch"):
        pair.answer()


def test_no_secret_is_on_the_stick(pair: Pair) -> None:
    """Nor does any value that holds one show it when it is printed."""
    pair.begin()
    pair.answer()
    key = pair.server.secrets.installation_key_file.read_bytes()

    stick = pair.request.read_bytes() + pair.answer_file.read_bytes()
    assert key not in stick
    assert pair.code.replace("-", "").encode() not in stick
    for value in (pairing.PairingAnswer("oest", key, key), pairing.Pending(NOW, key, key)):
        assert repr(key) not in repr(value)


def test_codes_are_rationed(pair: Pair) -> None:
    """After five wrong ones even the right one is refused; a typing error is no try."""
    pair.begin()
    before = pair.content("server", "branch")
    for odd in ("", "1234", f"{pair.code}0", pair.code.replace("-", "!")):
        with pytest.raises(InputError, match="16 letters"):
            pair.answer(odd)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(InputError, match=f"{left} tries are left"):
            pair.answer("0000-0000-0000-0000")
    with pytest.raises(InputError, match="too many wrong codes"):
        pair.answer()

    assert pair.content("server", "branch") == before
    pair.begin()
    pair.answer(f" {pair.code.lower()} ")


def test_a_code_works_once(pair: Pair) -> None:
    """Neither the request nor the answer is taken again, on any machine."""
    pair.begin()
    pair.answer()
    done = pair.content("server")
    with pytest.raises(InputError, match="was answered already"):
        pair.answer()
    assert pair.content("server") == done
    kept = pair.answer_file.read_bytes()
    pair.finish()
    done = pair.content("branch")
    with pytest.raises(KeyFileError, match="run `doorctl pair begin`"):
        pair.finish()
    pair.begin()
    pair.answer_file.write_bytes(kept)
    with pytest.raises(InputError, match="no answer to the last"):
        pair.finish()
    assert pair.content("branch").items() >= done.items()


@pytest.mark.parametrize("away", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=400)])
def test_it_lasts_an_hour(pair: Pair, away: timedelta) -> None:
    """By either machine's clock, however wrong that is."""
    pair.begin()
    before = pair.content("server", "branch")
    with pytest.raises(InputError, match="lasts an hour"):
        pair.answer(now=NOW + away)
    assert pair.content("server", "branch") == before
    pair.answer(now=NOW + timedelta(minutes=59))
    before = pair.content("server", "branch")
    with pytest.raises(InputError, match="lasts an hour"):
        pair.finish(now=NOW + away)
    assert pair.content("server", "branch") == before
    pair.finish(now=NOW + timedelta(minutes=59))
    assert pair.is_paired() == (True, True)


@pytest.mark.parametrize(
    "written",
    [
        SERVER.replace("[sync]", "[sync]\ntargets = []"),
        f"{SERVER}[[sync.targets]]\nbranch = 'syd'\nurl = 'https://a:1'\n# Øst is to come",
        f"\ufeff{SERVER}",
    ],
)
def test_a_senders_file_is_added_to_or_left_alone(pair: Pair, written: str) -> None:
    """It is loaded before it takes the old one's place; nothing else is written before that."""
    file = pair.base / "server" / "sync.toml"
    file.write_text(written, encoding="utf-8")
    before = pair.server
    content = pair.content("server")
    pair.begin()
    if refused := refusal(pair.answer):
        assert "\n" not in refused
        assert pair.content("server") == content
        return

    assert before.sync is not None
    assert pair.server.sync is not None
    assert pair.server.sync.targets[:-1] == before.sync.targets
    assert pair.server.sync.targets[-1].branch == "oest"


def test_keys_that_are_there_are_changed_when_told_so_only(pair: Pair) -> None:
    """Another installation key or another server's key stands in the way, each by itself."""
    own = pair.branch.secrets.installation_key_file
    create_key(own)
    create_signing_key(pair.base / "other.key", pair.base / "branch" / "signing.pub")
    pair.begin()
    pair.answer()
    before = pair.content("branch")
    with pytest.raises(InputError, match="another key than the server's"):
        pair.finish()
    assert pair.content("branch") == before
    shutil.copy(pair.server.secrets.installation_key_file, own)
    file = pair.base / "branch" / "doorctl.toml"
    file.write_text(BRANCH.replace("= []", '= ["signing.pub"]'), encoding="utf-8")
    with pytest.raises(InputError, match="another server's key"):
        pair.finish()
    assert not pair.finish(replaces=True)
    assert pair.is_paired() == (True, True)

    pair.begin()
    (pair.base / "server" / "sync.toml").write_text(SERVER, encoding="utf-8")
    pair.answer()
    done = pair.content("branch")
    assert not pair.finish()
    assert {path.name for path in done.keys() - pair.content("branch").keys()} == {"pairing.secret"}


@pytest.mark.parametrize(
    ("taken", "given_back"),
    [
        ("UPDATE cache SET epoch = 1", "UPDATE cache SET epoch = 0"),
        (
            "INSERT INTO shut_out (row_key, at, days) VALUES (zeroblob(16), '2026-11-28', 1)",
            "DELETE FROM shut_out",
        ),
    ],
)
def test_a_key_that_nothing_hangs_on_gives_way(pair: Pair, taken: str, given_back: str) -> None:
    """As on a branch that `doorctl setup` has made; one that had a register has to be told.

    Bug (a second reading): each branch that `doorctl setup` had made asked for ``--replace``.
    """
    initialise(pair.branch)
    pair.begin()
    pair.answer()
    with closing(sqlite3.connect(pair.branch.storage.patrons_db, isolation_level=None)) as database:
        database.execute(taken)
    with pytest.raises(InputError, match="another key than the server's"):
        pair.finish()
    with closing(sqlite3.connect(pair.branch.storage.patrons_db, isolation_level=None)) as database:
        database.execute(given_back)
    assert pair.finish()
    assert pair.is_paired() == (True, True)


def test_a_branch_that_is_known_is_not_entered_twice(pair: Pair) -> None:
    """Whoever pairs it anew takes its table out, so that nobody takes a branch's place unseen."""
    pair.begin()
    pair.answer()
    Authority(pair.base / "branch", "another").issue("branch")
    pair.begin()
    before = pair.content("server")
    with pytest.raises(InputError, match="has a table of oest already"):
        pair.answer()

    assert pair.content("server") == before


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (BRANCH.replace("branch.pem", "doorctl.toml"), "holds no certificate"),
        (BRANCH.replace("branch.pem", "missing.pem"), "is missing"),
        (BRANCH.replace("branch.pem", "authority.pem"), "names this branch"),
        (re.sub(r"\[web\.tls\](\n.*){2}", "", BRANCH), "has no certificate"),
    ],
)
def test_a_branch_without_a_certificate_says_so(pair: Pair, written: str, why: str) -> None:
    """Before anything is written."""
    (pair.base / "branch" / "doorctl.toml").write_text(written, encoding="utf-8")
    before = pair.content("branch", "stick")
    with pytest.raises(DoorctlError, match=why):
        pair.begin()

    assert pair.content("branch", "stick") == before


@pytest.mark.parametrize(
    "written",
    [
        BRANCH.replace("# Nobody yet.\npublic_key_files = []\n", ""),
        BRANCH.replace("public_key_files = []", "public_key_files = [ # none\n]"),
        BRANCH.replace("[web.push]\n# Nobody yet.\npublic_key_files = []\nremoved_floor = 2\n", ""),
        BRANCH.replace("[web.push]", "[ web . push ]"),
        BRANCH.replace("[web.push]", "[web]\npush.max_rows = 5\n[visits]").replace(
            "# Nobody yet.\npublic_key_files = []\nremoved_floor = 2\n", ""
        ),
    ],
)
def test_a_configuration_is_added_to_or_left_alone(pair: Pair, written: str) -> None:
    """However it is written, the branch is paired or says that nothing could be added."""
    file = pair.base / "branch" / "doorctl.toml"
    file.write_text(written, encoding="utf-8")
    before = pair.branch
    pair.begin()
    pair.answer()
    try:
        pair.finish()
    except InputError:
        assert pair.branch == before
        return

    assert pair.is_paired() == (True, True)


@pytest.mark.sliced
@pytest.mark.parametrize("part", ["answer", "finish"])
def test_it_can_be_stopped_anywhere(tmp_path: Path, part: str) -> None:
    """A kill at any touch of a file leaves a machine paired or not, and the same again pairs it.

    Bug (a second reading): where the branch had the new key already, but its audit log did not say
    so yet, it never said so.
    """
    states, base = set(), tmp_path / "machines"
    base.mkdir()
    pair = laid_out(base)
    if part == "finish":
        initialise(pair.branch)
    pair.begin()
    if part == "finish":
        pair.answer()
    template = base.rename(tmp_path / "template")
    for number in every(3, count(1)):
        shutil.copytree(template, base)
        if not stopped_at(number, getattr(pair, part)):
            break
        states.add(pair.is_paired())
        try:
            getattr(pair, part)()
        except DoorctlError:
            # It had ended, but for the last word.
            assert pair.is_paired()[part == "finish"]
        else:
            assert pair.is_paired()[part == "finish"]
        assert part == "answer" or pair.says_which_key()
        shutil.rmtree(pair.base)

    assert number > 10
    ends = {(False, False), (True, False)} if part == "answer" else {(True, False), (True, True)}
    assert states <= ends
    assert states == ends or not WHOLE


def test_a_key_with_earlier_ones_is_laid_over(pair: Pair) -> None:
    """A branch that comes after a rotation gets the whole file, and its databases are told."""
    path, own = (each.secrets.installation_key_file for each in (pair.server, pair.branch))
    create_key(own)
    initialise(pair.branch)
    path.unlink()
    create_key(path, after=own.read_bytes())
    pair.begin()
    pair.answer()
    assert pair.finish()

    seal = seal_on_record(pair.branch.storage.patrons_db)
    assert seal is not None
    assert seal.key_id == key_id(read_key(path))
    assert pair.branch.secrets.installation_key_file.read_bytes() == path.read_bytes()
