from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from doorctl.core.errors import AlreadyExistsError, KeyFileError
from doorctl.store.keys import create_signing_key, read_public_keys, read_signing_key


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Where the private key goes; the public one stands beside it."""
    return tmp_path / "signing.pem"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Where the public key goes."""
    return tmp_path / "signing.pub.pem"


def test_a_new_pair_signs_and_verifies(private: Path, public: Path) -> None:
    """What the one signs the other proves; only the public one may be read by others."""
    create_signing_key(private, public)

    signature = read_signing_key(private).sign(b"message")
    (key,) = read_public_keys([public])
    assert key.has_signed(signature, b"message")

    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644


def test_two_pairs_differ_and_keys_keep_their_order(tmp_path: Path) -> None:
    """For a rotation a branch is given both."""
    paths = [tmp_path / "old.pub", tmp_path / "new.pub"]
    for path in paths:
        create_signing_key(path.with_suffix(".pem"), path)

    keys = read_public_keys(paths)

    assert [key.content for key in keys] == [
        read_signing_key(path.with_suffix(".pem")).verify_key().content for path in paths
    ]
    assert keys[0].content != keys[1].content
    assert read_public_keys([]) == []


@pytest.mark.parametrize(
    "around",
    [
        lambda pem: pem,
        lambda pem: b"# of the library's server, 2026\n\n" + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.rstrip(),
        lambda pem: pem + b"\n\n",
    ],
    ids=["as made", "comment", "Windows", "no last line end", "blank lines"],
)
def test_a_public_key_is_read_as_cryptography_reads_it(
    public: Path, around: Callable[[bytes], bytes]
) -> None:
    """Our reader takes out the same key, however the file went through people's hands."""
    text = around(_public_pem())
    public.write_bytes(text)
    expected = load_pem_public_key(text)
    assert isinstance(expected, Ed25519PublicKey)

    (key,) = read_public_keys([public])

    assert key.content == expected.public_bytes_raw()


def test_each_reads_what_the_other_wrote(private: Path, public: Path) -> None:
    """A pair of ours is one to cryptography, and one of its is one to us."""
    create_signing_key(private, public)
    theirs = load_pem_private_key(private.read_bytes(), password=None)
    assert isinstance(theirs, Ed25519PrivateKey)
    assert theirs.private_bytes_raw() == read_signing_key(private).content()
    assert _pem(theirs) == private.read_bytes()
    assert _spki(theirs.public_key()) == public.read_bytes()

    other = Ed25519PrivateKey.generate()
    private.write_bytes(_pem(other))

    assert read_signing_key(private).content() == other.private_bytes_raw()


@pytest.mark.parametrize("taken", ["signing.pem", "signing.pub.pem"])
def test_nothing_is_overwritten_and_no_half_pair_is_left(
    private: Path, public: Path, taken: str
) -> None:
    """If one of the two paths is taken, neither file is touched or made."""
    path = private.with_name(taken)
    path.write_text("precious")

    with pytest.raises(AlreadyExistsError, match=f"{taken} already exists"):
        create_signing_key(private, public)

    assert [each.name for each in private.parent.iterdir()] == [taken]
    assert path.read_text() == "precious"


def test_a_pair_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A missing directory is told with the path and the system's reason."""
    with pytest.raises(KeyFileError, match="nowhere/k can't be written: No such file"):
        create_signing_key(tmp_path / "nowhere" / "k", tmp_path / "k.pub")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_signing_key_that_others_can_read_is_refused(
    private: Path, public: Path, mode: int
) -> None:
    """Who has it can let anybody in at every branch."""
    create_signing_key(private, public)
    private.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_signing_key(private)


def test_a_missing_key_names_the_command_that_makes_it(private: Path) -> None:
    """The technician is told to run sync init."""
    for read in (read_signing_key, _read_public):
        with pytest.raises(KeyFileError, match="is missing; run `doorctl sync init`"):
            read(private)


def _read_public(path: Path) -> object:
    return read_public_keys([path])


def _pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _with_password() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"synthetic")
    )


def _public_pem() -> bytes:
    return _spki(Ed25519PrivateKey.generate().public_key())


def _spki(
    key: Ed25519PublicKey | ec.EllipticCurvePublicKey | x25519.X25519PublicKey,
) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _bare(content: bytes) -> bytes:
    lines = (b"-----BEGIN PUBLIC KEY-----", base64.b64encode(content), b"-----END PUBLIC KEY-----")
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        lambda: b"K" * 32,
        lambda: b"\xff" * 100,
        lambda: _pem(Ed25519PrivateKey.generate())[:-40],
        lambda: _pem(ec.generate_private_key(ec.SECP256R1())),
        lambda: _pem(x25519.X25519PrivateKey.generate()),
        _with_password,
        _public_pem,
    ],
    ids=["empty", "raw", "binary", "cut", "P-256", "X25519", "password", "public"],
)
def test_what_is_no_signing_key_is_refused_without_showing_it(
    private: Path, make: Callable[[], bytes]
) -> None:
    """Each sort of wrong file gets the one sentence, and no byte of it is told."""
    private.touch(0o600)
    private.write_bytes(make())

    with pytest.raises(KeyFileError, match="holds no Ed25519 private key") as caught:
        read_signing_key(private)

    assert caught.value.__cause__ is None
    assert "KKKK" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        lambda: b"K" * 32,
        lambda: _pem(Ed25519PrivateKey.generate()),
        lambda: _public_pem()[9:],
        lambda: _public_pem().replace(b"\n-----END", b"A=\n-----END"),
        lambda: _bare(b"K" * 32),
        lambda: _spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
        lambda: _spki(x25519.X25519PrivateKey.generate().public_key()),
    ],
    ids=["empty", "raw", "private", "cut", "no base64", "bare", "P-256", "X25519"],
)
def test_what_is_no_public_key_is_refused(public: Path, make: Callable[[], bytes]) -> None:
    """Above all the private key, which has no business at a branch."""
    public.write_bytes(make())

    with pytest.raises(KeyFileError, match=r"holds no Ed25519 public key.*copy the \.pub"):
        read_public_keys([public])


def test_what_is_no_regular_file_is_refused_at_once(private: Path) -> None:
    """A pipe that nobody writes, or a directory, does not hold up the start."""
    os.mkfifo(private, 0o600)

    with pytest.raises(KeyFileError, match="not a regular file"):
        read_signing_key(private)
    with pytest.raises(KeyFileError, match="holds no Ed25519 public key"):
        read_public_keys([private])
    with pytest.raises(KeyFileError, match="can't be read: Is a directory"):
        read_public_keys([private.parent])


@pytest.mark.parametrize(
    "around",
    [
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"# of the library's server\n\n" + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.replace(b"\n", b"\n  "),
        lambda pem: pem.rstrip(),
        lambda pem: pem + _pem(Ed25519PrivateKey.generate()),
    ],
    ids=["BOM", "comment", "Windows", "indented", "no last line end", "another after it"],
)
def test_a_signing_key_is_found_in_what_stands_around_it(
    private: Path, public: Path, around: Callable[[bytes], bytes]
) -> None:
    """However the file went through people's hands; the first key is it."""
    create_signing_key(private, public)
    content = read_signing_key(private).content()
    private.write_bytes(around(private.read_bytes()))

    assert read_signing_key(private).content() == content


@pytest.mark.parametrize("cut", [40, 60, 100])
def test_another_key_is_not_taken_for_one_that_is_cut_off(private: Path, cut: int) -> None:
    """A sender that signs with whatever it finds is refused everywhere; nobody knows why."""
    private.touch(0o600)
    one, other = (_pem(Ed25519PrivateKey.generate()) for _ in range(2))
    private.write_bytes(one[:cut] + b"\n" + other)

    with pytest.raises(KeyFileError, match="holds no Ed25519 private key"):
        read_signing_key(private)
