"""Files of a pairing that are wrong, damaged or made by an enemy change nothing."""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx2
import pytest
from argon2.low_level import Type, hash_secret_raw
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.public import PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.signing import SigningKey

from doorctl.admin import pairing
from doorctl.admin.certificate import make_certificate
from doorctl.config.tables import Setup
from doorctl.core.errors import InputError, KeyFileError
from doorctl.sources.branches import tls_context
from doorctl.store.sealer import ITERATIONS, MEMORY_KIB
from tests.admin.pairs import NOW, SERVER, Pair, encoded, laid_out, refusal

ZERO = encoded(bytes(32))
TAMPERED = settings(max_examples=settings().max_examples // 2)
"""Each derives a key from the code three times, as slowly as the product does."""


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
    return SecretBox(hmac.digest(key_of(pair.code, salt), purpose, "sha256"))


@cache
def key_of(code: str, salt: bytes) -> bytes:
    """Return the key of a code, which takes as long as the product's."""
    costs, typed = (ITERATIONS, MEMORY_KIB, 1), code.replace("-", "").encode()
    return hash_secret_raw(typed, salt, *costs, SecretBox.KEY_SIZE, Type.ID)


def request_that_says(pair: Pair, said: bytes) -> None:
    """Write a request of whoever has the code, a captured branch say."""
    salt = pair.request.read_bytes().removeprefix(pairing.REQUEST)[: pairing.SALT_BYTES]
    pair.request.write_bytes(pairing.REQUEST + salt + box(pair, pairing.REQUEST).encrypt(said))


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
def test_a_request_says_what_a_branch_can_be(asked: Pair, name: str, value: object) -> None:
    """Or it is one line, and the sender goes on as it was.

    Bug (second penetration test, S6): a captured branch, which has the code, made the file of all
    branches unusable, so that after 72 hours nobody got in anywhere; other values were tracebacks.
    """
    said = json.loads(opened_by_code(asked)) | {name: value}
    left = {key: each for key, each in said.items() if each is not ...}
    with as_it_was(asked):
        request_that_says(asked, json.dumps(left).encode())
        before = asked.content("server", "branch", "stick")
        with pytest.raises(InputError) as refused:
            asked.answer()

        assert "\n" not in str(refused.value)
        assert asked.content("server", "branch", "stick") == before
        assert pushes_go_on(asked)


def test_what_would_make_the_senders_file_unreadable_is_refused(pair: Pair) -> None:
    """A table at the end of a file that has its branches in one line makes no TOML.

    Bug (all planted faults run together): no test noticed a sender that did not read the file
    anew before it replaced the old one.
    """
    path = pair.base / "server" / "sync.toml"
    path.write_text(f"{SERVER}targets = []\n", encoding="utf-8")
    pair.begin()
    before = pair.content("server", "branch", "stick")
    with pytest.raises(InputError, match="nothing can be added to") as refused:
        pair.answer()

    assert "\n" not in str(refused.value)
    assert pair.content("server", "branch", "stick") == before


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


@contextmanager
def as_it_was(asked: Pair) -> Iterator[dict[Path, bytes]]:
    """Yield what the server has; put that and the request back after the block."""
    right, before = asked.request.read_bytes(), asked.content("server")
    try:
        yield before
    finally:
        asked.request.write_bytes(right)
        asked.answer_file.unlink(missing_ok=True)
        for path in asked.content("server").keys() - before.keys():
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)


@TAMPERED
@given(draw=st.data())
def test_whatever_whoever_has_the_code_says_the_other_branches_go_on(
    asked: Pair, draw: st.DataObject
) -> None:
    """A byte of what a request says is another, or lost, or there twice: refused, or harmless."""
    said = opened_by_code(asked)
    with as_it_was(asked) as before:
        request_that_says(asked, tampered(said, draw))
        if refused := refusal(asked.answer):
            assert "\n" not in refused
            assert asked.content("server") == before
        assert pushes_go_on(asked)


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


ZERO = encoded(bytes(32))
