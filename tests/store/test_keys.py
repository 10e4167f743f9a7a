"""Keys in files, and what an identifier is sealed with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import argon2.low_level
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
from doorctl.core.masked import Identifier, IdentifierKind, InstallationKey
from doorctl.core.ports import Seal
from doorctl.store.keys import create_key, put, read_key
from doorctl.store.sealer import ITERATIONS, MEMORY_KIB, ArgonSealer, key_id
from doorctl.store.signing_keys import create_signing_key, read_public_keys, read_signing_key
from tests.fakes.another_user import NOBODY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the installation key goes."""
    return tmp_path / "installation.key"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Where the private key goes; the public one stands beside it."""
    return tmp_path / "signing.pem"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Where the public key goes."""
    return tmp_path / "signing.pub.pem"


Use = Callable[[Path], object]
Make = Callable[[], bytes]


def _create_pair(private: Path) -> None:
    create_signing_key(private, private.with_suffix(".pub.pem"))


def _read_public(path: Path) -> object:
    return read_public_keys([path])


def test_a_new_key_is_32_random_bytes_that_only_the_owner_can_read(path: Path) -> None:
    """What was created is what is read, two keys differ, and the mode is 0600."""
    other = path.with_name("other.key")
    create_key(path)
    create_key(other)

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path).reveal() == path.read_bytes()
    assert len(path.read_bytes()) == 32
    assert path.read_bytes() != other.read_bytes()


def test_a_key_is_never_overwritten(path: Path) -> None:
    """A second init leaves the key alone, also where a dangling link stands in its place.

    What somebody has left who was killed while making one is no key.
    """
    path.with_name("installation.key.new").write_bytes(b"half a key")
    create_key(path)
    before = path.read_bytes()
    link = path.with_name("link.key")
    link.symlink_to(path.with_name("elsewhere"))

    for taken in (path, link):
        with pytest.raises(AlreadyExistsError, match="already exists"):
            create_key(taken)

    assert path.read_bytes() == before
    assert {one.name for one in path.parent.iterdir()} == {path.name, link.name}


@pytest.mark.parametrize("create", [create_key, _create_pair], ids=["installation", "signing"])
def test_a_key_that_cannot_be_written_is_the_technicians_to_solve(
    tmp_path: Path, create: Use
) -> None:
    """A missing directory is told with the path and the system's reason, and nothing is left."""
    with pytest.raises(KeyFileError, match=r"nowhere/k.* can't be written: No such file"):
        create(tmp_path / "nowhere" / "k")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_file_of_roots_in_anothers_directory_can_be_added_to() -> None:
    """It is the directory's owner's afterwards, as a new one would be, and of the mode that it had.

    Bug (a second reading): where root had copied ``sync.toml`` into the sender's directory, no
    branch could be paired.
    """
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        path = Path(directory, "sync.toml")
        path.write_text("before")
        path.chmod(0o644)
        put(path, b"after", keep=True)
        status, names = path.stat(), [one.name for one in Path(directory).iterdir()]

        assert path.read_text() == "after"
        assert (status.st_uid, status.st_mode & 0o777) == (NOBODY, 0o644)
        assert names == ["sync.toml"]


@pytest.mark.parametrize(
    ("read", "command"),
    [(read_key, "init"), (read_signing_key, "sync init"), (_read_public, "sync init")],
    ids=["installation", "signing", "public"],
)
def test_a_missing_key_names_the_command_that_makes_it(path: Path, read: Use, command: str) -> None:
    """The technician is told what to run."""
    with pytest.raises(
        KeyFileError, match=rf"installation\.key is missing; run `doorctl {command}`"
    ):
        read(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.parametrize(
    ("create", "read"),
    [(create_key, read_key), (_create_pair, read_signing_key)],
    ids=["installation", "signing"],
)
def test_a_key_that_others_can_read_is_refused(
    path: Path, create: Use, read: Use, mode: int
) -> None:
    """A key that leaked to the group or the world is not used; the text gives the cure."""
    create(path)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read(path)


def test_an_acl_for_one_user_is_no_readable_group(path: Path) -> None:
    """A systemd credential shows group bits in its mode; the group's own entry decides."""
    create_key(path)
    _set_acl(path, group=0)
    assert path.stat().st_mode & 0o070
    assert len(read_key(path).reveal()) == 32

    _set_acl(path, group=4)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(path)


def _set_acl(path: Path, *, group: int) -> None:
    user_obj, user, group_obj, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
    nobody, undefined = 65534, 0xFFFFFFFF
    entries = [
        (user_obj, 6, undefined),
        (user, 4, nobody),
        (group_obj, group, undefined),
        (mask, 4, undefined),
        (other, 0, undefined),
    ]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access control lists")


@pytest.mark.parametrize("size", [0, 31, 33, 4096])
def test_a_key_of_another_length_is_refused_without_showing_it(path: Path, size: int) -> None:
    """A cut or foreign file is no key, and no byte of it is in the text."""
    path.touch(0o600)
    path.write_bytes(b"K" * size)

    with pytest.raises(KeyFileError, match="exactly 32 bytes") as caught:
        read_key(path)

    assert "KKKK" not in str(caught.value)


@pytest.mark.parametrize(
    ("read", "of_a_pipe", "of_a_directory"),
    [
        (read_key, "not a regular file", "not a regular file"),
        (read_signing_key, "not a regular file", "not a regular file"),
        (_read_public, "holds no Ed25519 public key", "can't be read: Is a directory"),
    ],
    ids=["installation", "signing", "public"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    path: Path, read: Use, of_a_pipe: str, of_a_directory: str
) -> None:
    """A directory or a pipe that nobody writes does not hold up the start."""
    os.mkfifo(path, 0o600)

    with pytest.raises(KeyFileError, match=of_a_pipe):
        read(path)
    with pytest.raises(KeyFileError, match=of_a_directory):
        read(path.parent)


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


AROUND: dict[str, Callable[[bytes], bytes]] = {
    "as made": lambda pem: pem,
    "comment": lambda pem: b"# of the library's server, 2026\n\n" + pem,
    "Windows": lambda pem: pem.replace(b"\n", b"\r\n"),
    "no last line end": lambda pem: pem.rstrip(),
    "blank lines": lambda pem: pem + b"\n\n",
    "BOM": lambda pem: b"\xef\xbb\xbf" + pem,
    "indented": lambda pem: pem.replace(b"\n", b"\n  "),
    "another after it": lambda pem: pem + _pem(Ed25519PrivateKey.generate()),
}
"""What people's hands do to a file on its way."""


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_each_half_is_found_in_what_stands_around_it(
    private: Path, public: Path, around: Callable[[bytes], bytes]
) -> None:
    """However the files went through people's hands; the first key is it."""
    create_signing_key(private, public)
    content, (key,) = read_signing_key(private).content(), read_public_keys([public])
    for path in (private, public):
        path.write_bytes(around(path.read_bytes()))

    assert read_signing_key(private).content() == content
    assert read_public_keys([public])[0].content == key.content


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
    public.write_bytes(_spki(other.public_key()))
    half = load_pem_public_key(public.read_bytes())
    assert isinstance(half, Ed25519PublicKey)

    assert read_signing_key(private).content() == other.private_bytes_raw()
    assert read_public_keys([public])[0].content == half.public_bytes_raw()


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


NO_KEY: dict[str, Make] = {
    "empty": bytes,
    "raw": lambda: b"K" * 32,
    "binary": lambda: b"\xff" * 100,
    "cut": lambda: _pem(Ed25519PrivateKey.generate())[:-40],
    "cut in front": lambda: _public_pem()[9:],
    "no base64": lambda: _public_pem().replace(b"\n-----END", b"A=\n-----END"),
    "bare": lambda: _bare(b"K" * 32),
    "password": _with_password,
    "P-256": lambda: _pem(ec.generate_private_key(ec.SECP256R1())),
    "P-256, public": lambda: _spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "X25519": lambda: _pem(x25519.X25519PrivateKey.generate()),
    "X25519, public": lambda: _spki(x25519.X25519PrivateKey.generate().public_key()),
}


@pytest.mark.parametrize("make", [*NO_KEY.values(), _public_pem], ids=[*NO_KEY, "public"])
def test_what_is_no_signing_key_is_refused_without_showing_it(private: Path, make: Make) -> None:
    """Each sort of wrong file gets the one sentence, and no byte of it is told."""
    private.touch(0o600)
    private.write_bytes(make())

    with pytest.raises(KeyFileError, match="holds no Ed25519 private key") as caught:
        read_signing_key(private)

    assert caught.value.__cause__ is None
    assert "KKKK" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [*NO_KEY.values(), lambda: _pem(Ed25519PrivateKey.generate())],
    ids=[*NO_KEY, "private"],
)
def test_what_is_no_public_key_is_refused(public: Path, make: Make) -> None:
    """Above all the private key, which has no business at a branch."""
    public.write_bytes(make())

    with pytest.raises(KeyFileError, match=r"holds no Ed25519 public key.*copy the \.pub"):
        read_public_keys([public])


@pytest.mark.parametrize("cut", [40, 60, 100])
def test_another_key_is_not_taken_for_one_that_is_cut_off(private: Path, cut: int) -> None:
    """A sender that signs with whatever it finds is refused everywhere; nobody knows why."""
    private.touch(0o600)
    one, other = (_pem(Ed25519PrivateKey.generate()) for _ in range(2))
    private.write_bytes(one[:cut] + b"\n" + other)

    with pytest.raises(KeyFileError, match="holds no Ed25519 private key"):
        read_signing_key(private)


KEY = InstallationKey(bytes(range(32)))
CPR = Identifier(IdentifierKind.CPR, "0101701234")
CARD = Identifier(IdentifierKind.CARD, "0101701234")


def test_stretch_is_argon2id_of_the_kind_and_number_under_a_salt_made_of_the_key() -> None:
    """K is what RFC 9106 gives for the design's parameters, computed here the long way."""
    salt = hmac.new(bytes(range(32)), b"salt", hashlib.sha256).digest()
    encoded = argon2.low_level.hash_secret(
        b"cpr:0101701234", salt, 2, 256, 1, 32, argon2.low_level.Type.ID, version=0x13
    )

    stretched = ArgonSealer(KEY, memory_kib=256, iterations=2).stretch(CPR)

    assert argon2.low_level.verify_secret(encoded, b"cpr:0101701234", argon2.low_level.Type.ID)
    assert stretched.reveal() == base64.b64decode(encoded.rsplit(b"$", 1)[1] + b"=")


def test_stretch_never_changes_from_one_release_to_the_next() -> None:
    """A known answer: another one would make every sealed row in the field unreadable."""
    stretched = ArgonSealer(KEY, memory_kib=64, iterations=1).stretch(CPR)

    assert (
        stretched.reveal().hex()
        == "0e3a879751479856acccb4275600d2b56771971b3549d8edfaa7c08e08a1c007"
    )


def test_kind_key_and_costs_each_give_another_key() -> None:
    """A number typed as a card never finds a CPR's row, nor does another key or another cost."""
    other_key = InstallationKey(bytes(32))
    keys = {
        sealer.stretch(identifier).reveal()
        for sealer, identifier in [
            (ArgonSealer(KEY, 64, 1), CPR),
            (ArgonSealer(KEY, 64, 1), CARD),
            (ArgonSealer(other_key, 64, 1), CPR),
            (ArgonSealer(KEY, 72, 1), CPR),
            (ArgonSealer(KEY, 64, 2), CPR),
        ]
    }

    assert len(keys) == 5


def test_default_costs_are_owasps_minimum() -> None:
    """Whoever names no costs gets 19 MiB and 2 passes."""
    assert (MEMORY_KIB, ITERATIONS) == (19456, 2)
    assert ArgonSealer(KEY).seal == Seal(key_id(KEY), 19456, 2)


def test_key_id_names_the_key_and_shows_nothing_of_it() -> None:
    """The id is 8 hex digits of an HMAC, so no byte of the key itself."""
    expected = hmac.new(KEY.reveal(), b"id", hashlib.sha256).hexdigest()[:8]

    assert key_id(KEY) == expected
    assert key_id(KEY) not in KEY.reveal().hex()
