"""A branch and a server come to trust each other: right files, wrong ones, and a stop anywhere."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import httpx2
import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.public import PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.signing import SigningKey

from doorctl.admin import pairing
from doorctl.admin.installation import initialise
from doorctl.admin.setup import make_certificate, openssl
from doorctl.config import Config, load
from doorctl.config.tables import Setup
from doorctl.core.errors import DoorctlError, InputError, KeyFileError
from doorctl.privacy.audit import KEY, Action
from doorctl.sources.branches import tls_context
from doorctl.store.keys import (
    ITERATIONS,
    MEMORY_KIB,
    PUBLIC,
    create_key,
    create_signing_key,
    days_of,
    key_id,
    read,
    read_key,
    read_public_keys,
    seal_on_record,
)
from doorctl.store.records import AuditRecords
from tests.fakes.strikes import OVER, struck
from tests.slices import WHOLE, every
from tests.web.certificates import Authority, shaken_hands

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TAMPERED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BRANCH = """
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
[web.tls]
certificate_file = "branch.pem"
key_file = "branch.key"
[web.push]
# Nobody yet.
public_key_files = []
removed_floor = 2
[door]
release_s = 4.0
"""
SERVER = """
[branch]
name = "Randers"
id = "sender"
[secrets]
installation_key_file = "state/installation.key"
[seal]
memory_kib = 8
iterations = 1
[sync]
feed = "exports"
signing_key_file = "state/signing.key"
state_directory = "state"
"""


@dataclass
class Pair:
    """Two machines and a stick between them, each a directory."""

    base: Path
    code: str = ""

    @property
    def branch(self) -> Config:
        """The branch's configuration, as it stands now."""
        return load(self.base / "branch" / "doorctl.toml")

    @property
    def server(self) -> Config:
        """The sender's configuration, as it stands now."""
        return load(self.base / "server" / "sync.toml")

    @property
    def request(self) -> Path:
        """What the branch has written."""
        return self.base / "stick" / "request"

    @property
    def answer_file(self) -> Path:
        """What the server has written."""
        return self.base / "stick" / "answer"

    def begin(self, now: datetime = NOW) -> None:
        """Do the branch's first part."""
        self.code = pairing.begin(self.branch, self.request, now)

    def answer(self, code: str | None = None, now: datetime = NOW) -> pairing.Request:
        """Do the server's part."""
        key = read_key(self.server.secrets.installation_key_file)
        typed = self.code if code is None else code
        return pairing.answer(
            self.server, self.request, typed, key=key, out=self.answer_file, now=now
        )

    def finish(self, now: datetime = NOW, *, replaces: bool = False) -> bool:
        """Do the branch's last part."""
        return pairing.finish(self.branch, self.answer_file, now, replaces=replaces)

    def is_paired(self) -> tuple[bool, bool]:
        """Tell whether the server knows the branch, and whether the branch takes its pushes."""
        sync, push = self.server.sync, self.branch.web.push
        assert sync is not None
        signing = read(PUBLIC, sync.signing_key_file.with_suffix(".pub"))
        taken = [read(PUBLIC, path) for path in push.public_key_files] == [signing]
        keys = (config.secrets.installation_key_file for config in (self.branch, self.server))
        return (
            [target.branch for target in sync.targets] == ["oest"],
            taken and len({path.read_bytes() for path in keys}) == 1,
        )

    def says_which_key(self) -> bool:
        """Tell whether the branch's audit log says which key it has been given."""
        key = key_id(read_key(self.branch.secrets.installation_key_file))
        with closing(AuditRecords(self.branch.storage.branch_db)) as records:
            deeds = [entry.deed for entry in records.entries()]
        said = {deed.details[KEY] for deed in deeds if deed.action is Action.KEY_ADOPTED}
        return said == {key}

    def content(self, *machines: str) -> dict[Path, bytes]:
        """Return the files of some machines, but for what counts tries."""
        return {
            path: path.read_bytes()
            for machine in machines
            for path in (self.base / machine).rglob("*")
            if path.is_file() and path.name != "pairings.json"
        }


def laid_out(base: Path) -> Pair:
    """Return two machines that know nothing of each other; the server has its keys."""
    for name in ("branch", "server", "stick", "server/state"):
        (base / name).mkdir()
    (base / "branch" / "doorctl.toml").write_text(BRANCH, encoding="utf-8")
    (base / "server" / "sync.toml").write_text(SERVER, encoding="utf-8")
    Authority(base / "branch", "authority").issue("branch")
    state = base / "server" / "state"
    create_key(state / "installation.key")
    create_signing_key(state / "signing.key", state / "signing.pub")
    return Pair(base)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Two machines before their first word."""
    return laid_out(tmp_path)


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
    for value in (pairing.Answer("oest", key, key), pairing.Pending(NOW, key, key)):
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


def test_another_branchs_answer_is_refused(
    pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As is the branch's own request, where an answer is expected, and the other way round."""
    other = laid_out(tmp_path_factory.mktemp("other"))
    for each in (pair, other):
        each.begin()
        each.answer()
    before = pair.content("branch")
    for wrong in (other.answer_file, pair.request):
        with pytest.raises(InputError, match="no answer to the last"):
            pairing.finish(pair.branch, wrong, NOW)
    shutil.copy(pair.answer_file, pair.request)
    with pytest.raises(InputError, match="no request"):
        pair.answer()

    assert pair.content("branch") == before


def tampered(content: bytes, draw: st.DataObject) -> bytes:
    """Return a file with one byte changed, lost, put in or doubled, or with an end cut off."""
    at = draw.draw(st.integers(0, len(content) - 1))
    byte = bytes([content[at] ^ draw.draw(st.integers(1, 255))])
    return draw.draw(
        st.sampled_from(
            [
                content[:at] + byte + content[at + 1 :],
                content[:at] + content[at + 1 :],
                content[:at] + byte + content[at:],
                content[:at],
                content[at + 1 :],
                content + byte,
            ]
        )
    )


@pytest.fixture(scope="module", params=["request", "answer"])
def carried(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Pair, str]:
    """Two machines before the part that reads this file."""
    pair = laid_out(tmp_path_factory.mktemp(request.param))
    pair.begin()
    if request.param == "answer":
        pair.answer()
    return pair, request.param


@TAMPERED
@given(draw=st.data())
def test_no_byte_of_what_is_carried_can_be_changed(
    carried: tuple[Pair, str], draw: st.DataObject
) -> None:
    """Whoever reads the file refuses it and has changed nothing."""
    pair, name = carried
    file = pair.request if name == "request" else pair.answer_file
    part: Callable[[], object] = pair.answer if name == "request" else pair.finish
    right, before = file.read_bytes(), pair.content("server", "branch")
    try:
        file.write_bytes(tampered(right, draw))
        with pytest.raises(InputError):
            part()
    finally:
        file.write_bytes(right)

    assert pair.content("server", "branch") == before
    assert pair.answer_file.exists() is (name == "answer")


def opened_by_code(pair: Pair) -> bytes:
    """Return what a request says, as whoever has the code reads it."""
    content = pair.request.read_bytes().removeprefix(pairing.REQUEST)
    return box(pair, pairing.REQUEST).decrypt(content[pairing.SALT_BYTES :])


def box(pair: Pair, purpose: bytes) -> SecretBox:
    """Return the box of one direction, of whoever has the code."""
    salt = pair.request.read_bytes().removeprefix(pairing.REQUEST)[: pairing.SALT_BYTES]
    costs, code = (ITERATIONS, MEMORY_KIB, 1), pair.code.replace("-", "").encode()
    key = hash_secret_raw(code, salt, *costs, SecretBox.KEY_SIZE, Type.ID)
    return SecretBox(hmac.digest(key, purpose, "sha256"))


def request_that_says(pair: Pair, said: bytes) -> None:
    """Write a request of whoever has the code, a captured branch say."""
    salt = pair.request.read_bytes().removeprefix(pairing.REQUEST)[: pairing.SALT_BYTES]
    pair.request.write_bytes(pairing.REQUEST + salt + box(pair, pairing.REQUEST).encrypt(said))


def refusal(part: Callable[[], object]) -> str:
    """Do a part; return why it was refused, "" where it was not."""
    try:
        part()
    except InputError as err:
        return str(err)
    return ""


SYD = """
[[sync.targets]]
branch = "syd"
url = "https://127.0.0.1:8443"
"""


def pushes_go_on(pair: Pair) -> bool:
    """Tell whether the sender's file can be used, and each branch of it be asked."""
    sync = pair.server.sync
    assert sync is not None
    for target in sync.targets:
        tls_context(target.ca_file, target.certificate_file, target.key_file)
        socket.getaddrinfo(httpx2.URL(target.url).host, None, flags=socket.AI_NUMERICHOST)
    return "syd" in {target.branch for target in sync.targets}


def encoded(content: bytes) -> str:
    """Return bytes as a request has them."""
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("branch", value) for value in ("../../x", 'a"b', "a\nb", "", "Øst", "x" * 33, 7, None)),
        ("url", "file:///etc/passwd"),
        *(("url", f"http{end}") for end in ("://127.0.0.1:8080", "s://127.0.0.1", "s://[::")),
        *(("url", f"https://127.0.0.1:{end}") for end in ("0", "99999", "8080/x", '8"', "1\n")),
        *(("url", f"https://{host}:8080") for host in ("other.example", "a..b", "[]", "[::1]x")),
        *(("minimum_age", value) for value in (-5, 100, 15.5, "15", True, None, 2**70)),
        *(("at", value) for value in ("2026-11-28T12:00:00", "2026-11-28", "nu", 0, None)),
        *(("public_key", encoded(bytes(length))) for length in (0, 1, 31, 32, 33)),
        ("public_key", encoded(b"\1" + bytes(31))),
        *(("certificates", value) for value in ("", "x", "-----BEGIN CERTIFICATE-----\n", None)),
        *(("memory_kib", value) for value in ("8", 9, 2**70)),
        ("more", 1),
        ("iterations", ...),
    ],
)
def test_a_request_says_what_a_branch_can_be(pair: Pair, name: str, value: object) -> None:
    """Or it is one line, and the sender goes on as it was.

    Bug (second penetration test, S6): a captured branch, which has the code, made the file of all
    branches unusable, so that after 72 hours nobody got in anywhere; other values were tracebacks.
    """
    (pair.base / "server" / "sync.toml").write_text(SERVER + SYD, encoding="utf-8")
    pair.begin()
    said = json.loads(opened_by_code(pair)) | {name: value}
    left = {key: each for key, each in said.items() if each is not ...}
    request_that_says(pair, json.dumps(left).encode())
    before = pair.content("server", "branch", "stick")
    with pytest.raises(InputError) as refused:
        pair.answer()

    assert "\n" not in str(refused.value)
    assert pair.content("server", "branch", "stick") == before
    assert pushes_go_on(pair)


def test_no_private_key_comes_beside_a_certificate(pair: Pair) -> None:
    """Nor a certificate of somebody else's address."""
    pair.begin()
    said = json.loads(opened_by_code(pair))
    key = (pair.base / "branch" / "branch.key").read_text()
    elsewhere = Setup(certificate="self-signed", web_name="other.example")
    (other := pair.base / "other").mkdir()
    make_certificate(elsewhere, other)
    before = pair.content("server")
    authority = (pair.base / "branch" / "authority.pem").read_text()
    for text in (said["certificates"] + key, (other / "web.pem").read_text(), authority):
        request_that_says(pair, json.dumps(said | {"certificates": text}).encode())
        with pytest.raises(InputError, match="the request says"):
            pair.answer()
    assert pair.content("server") == before


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two machines whose branch has asked; the server knows another branch."""
    pair = laid_out(tmp_path_factory.mktemp("asked"))
    (pair.base / "server" / "sync.toml").write_text(SERVER + SYD, encoding="utf-8")
    pair.begin()
    return pair


@TAMPERED
@given(draw=st.data())
def test_whatever_whoever_has_the_code_says_the_other_branches_go_on(
    asked: Pair, draw: st.DataObject
) -> None:
    """A byte of what a request says is another, or lost, or there twice: refused, or harmless."""
    right, before = asked.request.read_bytes(), asked.content("server")
    said = opened_by_code(asked)
    try:
        request_that_says(asked, tampered(said, draw))
        if refused := refusal(asked.answer):
            assert "\n" not in refused
            assert asked.content("server") == before
        assert pushes_go_on(asked)
    finally:
        asked.request.write_bytes(right)
        asked.answer_file.unlink(missing_ok=True)
        for path in asked.content("server").keys() - before.keys():
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)


ZERO = encoded(bytes(32))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("installation_key", encoded(bytes([7]) * many)) for many in (0, 31, 33, 32 * 65)),
        ("installation_key", ZERO),
        ("installation_key", encoded(bytes([7]) * 32 + bytes(32))),
        *(("signing_key", encoded(bytes([7]) * many)) for many in (0, 31, 33)),
        ("signing_key", ZERO),
        ("signing_key", encoded(b"\1" + bytes(31))),
        *(("branch", value) for value in ("../../x", "syd", "", None)),
        ("more", 1),
    ],
)
def test_an_answer_brings_keys(pair: Pair, name: str, value: object) -> None:
    """Or it is one line, and the branch goes on as it was.

    Bug (second penetration test, S6): a key of zero bytes was put in place, and the door could not
    start.
    """
    pair.begin()
    asked = json.loads(opened_by_code(pair))
    said = {
        "branch": "oest",
        "installation_key": encoded(os.urandom(32)),
        "signing_key": encoded(bytes(SigningKey.generate().verify_key)),
    } | {name: value}
    public = PublicKey(base64.b64decode(asked["public_key"]))
    sealed = SealedBox(public).encrypt(json.dumps(said).encode())
    pair.answer_file.write_bytes(pairing.ANSWER + box(pair, pairing.ANSWER).encrypt(sealed))
    before = pair.content("branch")
    with pytest.raises(InputError) as refused:
        pair.finish()

    assert "\n" not in str(refused.value)
    assert pair.content("branch") == before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"at":"2026-11-28T12:00:00"}'])
def test_what_each_keeps_may_be_damaged(pair: Pair, damage: bytes) -> None:
    """One line says which file, and nothing is taken."""
    pair.begin()
    ledger = pair.base / "server" / "state" / "pairings.json"
    ledger.write_bytes(damage or b"x")
    with pytest.raises(KeyFileError, match=r"pairings\.json is damaged"):
        pair.answer()
    ledger.unlink()
    pair.answer()
    (pair.base / "branch" / "pairing.secret").write_bytes(damage)
    with pytest.raises(KeyFileError, match=r"pairing\.secret is damaged"):
        pair.finish()

    assert pair.is_paired() == (True, False)


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


def stopped_at(number: int, part: Callable[[], object]) -> bool:
    """Run a part that is killed before it changes a file for that time; tell if it was."""
    said = struck(part, number)
    assert said in {"", OVER}
    return not said


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


def self_signed(directory: Path, name: str = "branch") -> None:
    """Have the branch's pages served by a certificate as `doorctl setup` makes it."""
    own = Setup(certificate="self-signed", web_name="127.0.0.1")
    make_certificate(own, directory)
    for end in ("pem", "key"):
        (directory / f"web.{end}").replace(directory / f"{name}.{end}")


def reaches(pair: Pair) -> bool:
    """Tell whether the server's sender trusts what the branch serves, checked by TLS itself."""
    sync, tls = pair.server.sync, pair.branch.web.tls
    assert sync is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    no_client = Path()
    client = tls_context(sync.targets[0].ca_file, no_client, no_client)
    return shaken_hands(context, client, "127.0.0.1")


def test_a_certificate_is_renewed_wherever_it_is_stopped(tmp_path: Path) -> None:
    """Made on the branch, trusted on the server, served by the branch: the server reaches it.

    Killed at any touch of a file it does so as well, and the same command again goes on.
    """
    pair = laid_out(tmp_path)
    self_signed(tmp_path / "branch")
    pair.begin()
    pair.answer()
    first, later = (tmp_path / "branch" / name for name in ("branch.pem", "branch-next.pem"))
    before, old = days_of(first), first.read_bytes()
    steps = (
        lambda: pairing.renew_certificate(pair.branch),
        lambda: pairing.adopt_public(pair.server, later, only=False),
        lambda: pairing.adopt_public(pair.branch, later, only=False),
    )
    for step in steps:
        number = 0
        while stopped_at(number := number + 1, step):
            assert reaches(pair)
        assert number > 2
        assert reaches(pair)

    after = days_of(first)
    assert before
    assert after
    assert after.ends >= before.ends
    assert old != first.read_bytes() == later.read_bytes()


def test_what_is_no_renewal_is_refused(pair: Pair) -> None:
    """Another key, another name, an earlier end, a branch that nobody knows: nothing changes."""
    branch = pair.base / "branch"
    self_signed(branch)
    pair.begin()
    pair.answer()
    sooner, pem, key = (branch / name for name in ("sooner.pem", "branch.pem", "branch.key"))
    ends = ("-days", "9", "-out", str(sooner))
    openssl("x509", "-in", str(pem), "-signkey", str(key), *ends)
    other, _ = Authority(branch, "other").issue("other")
    before = pair.content("server", "branch")
    for config, file, why in (
        (pair.branch, other, "of another key"),
        (pair.branch, sooner, "ends before"),
        (pair.server, other, "of no branch"),
    ):
        with pytest.raises(InputError, match=why):
            pairing.adopt_public(config, file, only=False)
    assert pair.content("server", "branch") == before


def test_an_authority_is_asked_for_its_next_certificate(pair: Pair) -> None:
    """By a request with the same names and key."""
    made = x509.load_pem_x509_csr(pairing.renew_certificate(pair.branch).read_bytes())
    old = x509.load_pem_x509_certificate((pair.base / "branch" / "branch.pem").read_bytes())

    assert (made.is_signature_valid, made.subject) == (True, old.subject)
    assert made.public_key() == old.public_key()
    kind = x509.SubjectAlternativeName
    names = [one.extensions.get_extension_for_class(kind).value for one in (made, old)]
    assert names[0] == names[1]


def test_a_signing_key_counts_beside_the_old_one_until_that_is_dropped(pair: Pair) -> None:
    """Killed anywhere, the branch takes pushes of one that it took before; never of none."""
    pair.begin()
    pair.answer()
    pair.finish()
    (old,) = pair.branch.web.push.public_key_files
    new = pair.base / "next.pub"
    create_signing_key(new.with_suffix(".key"), new)
    with pytest.raises(InputError, match="not taken yet"):
        pairing.adopt_public(pair.branch, new, only=True)

    def taken() -> list[bytes]:
        return [key.content for key in read_public_keys(pair.branch.web.push.public_key_files)]

    keys = [read(PUBLIC, path) for path in (old, new)]
    for only, states in ((False, [keys[:1], keys]), (True, [keys, keys[1:]])):
        number = 0
        while stopped_at(
            number := number + 1, partial(pairing.adopt_public, pair.branch, new, only=only)
        ):
            assert taken() in states
        assert number > 2
        assert taken() == states[1]
