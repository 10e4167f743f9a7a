"""Keys in files, how long each is to be used, and what an identifier is sealed with.

The installation key is 32 bytes that only doorctl may read, and 32 of each later key; the sender's
signing key and the public one that goes to the branches are Ed25519, in PEM files.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hmac
import os
import re
import secrets
import sqlite3
import stat
import struct
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from argon2.low_level import Type, hash_secret_raw

from doorctl.access.code_throttle import CODES_KEY
from doorctl.access.patron import KEY_BYTES, key_parts, overlaid
from doorctl.core.errors import AlreadyExistsError, KeyFileError
from doorctl.core.identity import owner_of
from doorctl.core.masked import Identifier, InstallationKey, StretchedKey
from doorctl.core.ports import Seal
from doorctl.privacy.tables import CARD, PATRONS
from doorctl.store.connection import (
    Writer,
    changing,
    create_private,
    open_reader,
    opened,
    sync_directory,
    translated,
    write_over,
)
from doorctl.store.tables import KEY_SUM, key_sum, person_tables

if TYPE_CHECKING:
    # A door signs nothing, and needs no NaCl.
    from doorctl.sync.signing import SigningKey, VerifyKey

MOST_KEYS = 64
"""Most keys in a file: a new one each year for a lifetime."""

_ACL = "system.posix_acl_access"
_ACL_HEADER_BYTES = 4
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_SHARED = frozenset({0x04, 0x08, 0x20})
"""Tags of the owning group, a named group and others (linux/posix_acl.h)."""

_READABLE = 4


def put(path: Path, content: bytes, mode: int = 0o600, *, keep: bool = False) -> None:
    """Write or replace a file, as `write_over` does; KeyFileError."""
    with changing(path, error=KeyFileError):
        write_over(path, content, mode, keep=keep)


def create_key(path: Path, *, after: bytes = b"") -> None:
    """Write a new random key after those of `after`, durably; AlreadyExistsError, KeyFileError."""
    _create(path, after + secrets.token_bytes(KEY_BYTES), "make every sealed row unreadable")


def read_key(path: Path) -> InstallationKey:
    """Read the key of a file that its owner alone can read; KeyFileError says what is wrong."""
    key = read_key_file(path, MOST_KEYS * KEY_BYTES + 1, made_by="doorctl init", private=True)
    if not key or len(key) % KEY_BYTES:
        raise KeyFileError(
            f"{path} does not hold exactly {KEY_BYTES} bytes for each key there was, so it is no "
            "installation key; put the right one back from its backup"
        )
    return InstallationKey(key)


def remove_key(path: Path) -> None:
    """Remove a key's file, durably, if it is there. Raises KeyFileError: it can't be removed."""
    with changing(path, "removed", error=KeyFileError):
        path.unlink(missing_ok=True)
        sync_directory(path.parent)


def read_key_file(path: Path, most_bytes: int, *, made_by: str, private: bool) -> bytes:
    """Return the first `most_bytes` of a key file.

    Args:
        made_by: the command that makes such a file, for the error's text.
        private: whether it must be a regular file that neither its group nor others can read.

    Raises KeyFileError: it is missing, too open or can't be read; says what to do.
    """
    try:
        with owner_of(path.parent), opened(path) as descriptor:
            if private:
                _refuse_unsafe(path, descriptor)
            return os.read(descriptor, most_bytes)
    except KeyFileError:
        raise
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing; run `{made_by}`") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error


def _refuse_unsafe(path: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path} is not a regular file; name the installation key's file")
    if status.st_mode & 0o077 and _shared(descriptor):
        raise KeyFileError(f"{path} can be read by its group or others; run `chmod 600 {path}`")


def _shared(descriptor: int) -> bool:
    """Tell whether more than named users can read a file whose mode says so.

    systemd hands a credential to its service by an access control list; the mode's group bits
    then show that list's mask (0440), though no group can read the file.
    """
    try:
        entries = os.getxattr(descriptor, _ACL)[_ACL_HEADER_BYTES:]
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return True
        raise
    return any(
        tag in _ACL_SHARED and permissions & _READABLE
        for tag, permissions, _ in _ACL_ENTRY.iter_unpack(entries)
    )


# An identifier becomes its row key so slowly that a stolen database reveals none.

MEMORY_KIB = 19456
"""OWASP's minimum for Argon2id with 2 iterations; about 0.3 s on the smallest Pi (estimate)."""

ITERATIONS = 2
"""Passes over the memory that go with :data:`MEMORY_KIB`."""


def key_id(key: InstallationKey) -> str:
    """Name a key by 8 hex digits: ``HMAC-SHA256(key, "id")``, cut."""
    return hmac.digest(key.reveal(), b"id", "sha256").hex()[:8]


def first_key(key: InstallationKey) -> InstallationKey:
    """Return the oldest key: all others are laid over it, and it makes the salt."""
    return InstallationKey(key.reveal()[:KEY_BYTES])


def earlier_keys(key: InstallationKey) -> tuple[InstallationKey, ...]:
    """Return the keys that this one replaced, the last one first."""
    ends = range(len(key.reveal()) - KEY_BYTES, 0, -KEY_BYTES)
    return tuple(InstallationKey(key.reveal()[:end]) for end in ends)


def links(key: InstallationKey) -> tuple[bytes, ...]:
    """Return the link that lays each later key over the one before it; see `overlaid`."""
    return tuple(hmac.digest(part, b"link", "sha256") for part in key_parts(key.reveal())[1:])


class ArgonSealer:
    """Stretch identifiers with Argon2id under the newest installation key (design, section 4).

    Thread-safe; each call holds `memory_kib` for its duration and lets other threads run. Only
    tests give lower costs than the defaults.
    """

    def __init__(
        self, key: InstallationKey, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS
    ) -> None:
        self.seal, *earlier = (
            Seal(key_id(any_key), memory_kib, iterations) for any_key in (key, *earlier_keys(key))
        )
        self.earlier = tuple(earlier)
        self._salt = hmac.digest(first_key(key).reveal(), b"salt", "sha256")
        self._links = b"".join(links(key))

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return ``K``, 32 bytes of Argon2id over identifier and kind, then later keys' links."""
        stretched = hash_secret_raw(
            secret=identifier.reveal().encode(),
            salt=self._salt,
            time_cost=self.seal.iterations,
            memory_cost=self.seal.memory_kib,
            parallelism=1,
            hash_len=KEY_BYTES,
            type=Type.ID,
        )
        return StretchedKey(stretched + self._links)


def seal_on_record(path: Path) -> Seal | None:
    """Return the seal that a cache was last filled with, None for a bare file; StoreError."""
    with translated(path), closing(open_reader(path)) as database:
        record = database.execute("SELECT key_id, memory_kib, iterations FROM cache").fetchone()
    return None if record is None else Seal(*record)


# A database is rewritten for a key that was laid over the old one.
#
# No card's number has to be known for that, so nothing is lost: no ban of a card that is in no
# register, no pass by a code, no count of wrong PINs. A tombstone's mark can't be rewritten and
# need not be: no push of the old key is taken any more, and a patron's number stays what it was.


def lay_over(writer: Writer, key: InstallationKey) -> bool:
    """Rewrite a database from the key before to the newest; return whether that was necessary.

    In one durable transaction, and only once, however often it is called. Raises StoreError:
    nothing was changed.
    """
    path, mark = writer.path, int(key_id(key), 16) >> 1
    with writer.transaction() as connection:
        if connection.execute("PRAGMA application_id").fetchone() == (mark,):
            return False
        if path.name == PATRONS and not _restamped(connection, key):
            return False
        link = links(key)[-1:]
        connection.create_function("overlaid", 1, lambda value: value and overlaid(value, link))
        connection.create_function("summed", 3, partial(_summed, link))
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for table in person_tables(path.name):
            of_card = [name for name in (CARD, "pin_check") if name in table.names]
            if not of_card:
                continue
            values = ", ".join(f"{name} = overlaid({name})" for name in of_card)
            if KEY_SUM in table.names:
                values += ", key_sum = summed(key_sum, row_key, pin_check)"
            # What a start in between has counted gives way to what was counted before.
            connection.execute(
                f"UPDATE OR REPLACE {table.name} SET {values} WHERE row_key <> ?",  # noqa: S608 -- ours
                (CODES_KEY,),
            )
        connection.execute(f"PRAGMA application_id = {mark}")
    return True


def _summed(
    link: tuple[bytes, ...], total: int | None, row_key: bytes, check: bytes | None
) -> int | None:
    """Return a row's checksum under the newest key; one that is wrong stays so."""
    if total is None or total != key_sum(row_key, check):
        return total
    return key_sum(overlaid(row_key, link), check and overlaid(check, link))


def _restamped(connection: sqlite3.Connection, key: InstallationKey) -> bool:
    """Record the newest key in a cache of the key before; without a digest all is sent again."""
    change = "UPDATE cache SET key_id = ?, digest = '' WHERE key_id = ?"
    before = key_id(earlier_keys(key)[0])
    return connection.execute(change, (key_id(key), before)).rowcount == 1


# An Ed25519 key in a PEM file (RFC 8410) is read and written by hand, for it is two constant
# beginnings and 32 bytes: a library's reader loads every kind of key there is.

LARGEST_FILE_BYTES = 16 * 1024
"""An Ed25519 key in PEM has 0.1 KiB; comments may stand before it."""


class Form(NamedTuple):
    """One half of a pair in a file; nobody else may read a private one.

    Args:
        label: between the dashes.
        before: what DER writes before the 32 bytes.
    """

    label: bytes
    before: bytes
    private: bool


PUBLIC = Form(b"PUBLIC KEY", bytes.fromhex("302a300506032b6570032100"), private=False)
"""A SubjectPublicKeyInfo."""

PRIVATE = Form(b"PRIVATE KEY", bytes.fromhex("302e020100300506032b657004220420"), private=True)
"""PKCS #8 without a password and without the public half, as `openssl genpkey` makes it."""


def written(form: Form, key: bytes) -> bytes:
    """Return the PEM text of a key."""
    text = base64.b64encode(form.before + key)
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (form.label, text, form.label)


def read(form: Form, path: Path) -> bytes:
    """Return a file's first key of a form, of any length, none if damaged. KeyFileError."""
    text = read_key_file(
        path, LARGEST_FILE_BYTES, made_by="doorctl sync init", private=form.private
    )
    # Another key may follow one that is cut off; it is not taken in its place.
    _, begun, rest = text.partition(b"-----BEGIN %b-----" % form.label)
    inside, ended, _ = rest.partition(b"-----END %b-----" % form.label)
    try:
        der = binascii.a2b_base64(b"".join(inside.split()), strict_mode=True)
    except binascii.Error:
        return b""
    whole = begun and ended and der.startswith(form.before)
    return der[len(form.before) :] if whole else b""


def create_signing_key(private: Path, public: Path) -> None:
    """Write a new pair, modes 0600 and 0644, or nothing: AlreadyExistsError, KeyFileError."""
    from doorctl.sync.signing import SigningKey  # noqa: PLC0415 - as said above

    key, costs = SigningKey(), "have to be given to every branch"
    with owner_of(private.parent):
        _create(public, written(PUBLIC, key.verify_key().content), costs)
        try:
            _create(private, written(PRIVATE, key.content()), costs)
        except BaseException:
            # Half a pair would stand in the way of the next attempt.
            public.unlink()
            raise
        public.chmod(0o644)


def read_signing_key(path: Path) -> SigningKey:
    """Read the private key of a file that its owner alone can read; raises KeyFileError."""
    from doorctl.sync.signing import SigningKey  # noqa: PLC0415 - as said above

    try:
        return SigningKey(read(PRIVATE, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 private key in PEM without a password; "
            "put the right one back from its backup"
        ) from None


def read_public_keys(paths: Sequence[Path]) -> list[VerifyKey]:
    """Read one public key of each file, in their order; raises KeyFileError."""
    return [_read_public(path) for path in paths]


def _read_public(path: Path) -> VerifyKey:
    from doorctl.sync.signing import VerifyKey  # noqa: PLC0415 - as said above

    try:
        return VerifyKey(read(PUBLIC, path))
    except ValueError:
        raise KeyFileError(
            f"{path} holds no Ed25519 public key in PEM; copy the .pub file of the sender's key"
        ) from None


# A key grows old unseen, and a certificate ends at a time that nobody remembers.

KEY_LIFE = timedelta(days=3 * 365)
"""How long a library that has lost no Pi keeps a key."""

AHEAD = timedelta(days=30)
"""How long before its last day a key or certificate is told of."""

_VALIDITY = re.compile(
    rb"0.((?:\x17\r\d{12}|\x18\x0f\d{14})Z)((?:\x17\r\d{12}|\x18\x0f\d{14})Z)", re.DOTALL
)
"""Begin and end as RFC 5280, 4.1.2.5, has every certificate write them."""


class Days(NamedTuple):
    """From when until when a key or a certificate is to be used."""

    begins: datetime
    ends: datetime

    def near(self, now: datetime) -> bool:
        """Tell whether the end is told of; one that renews itself does so a third before it."""
        return now > self.ends - min(AHEAD, (self.ends - self.begins) / 4)


def days_of(certificate: Path) -> Days | None:
    """Return when a PEM file's first certificate is good; None where it does not say. OSError."""
    _, _, rest = certificate.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    with suppress(ValueError):
        if found := _VALIDITY.search(base64.b64decode(rest.partition(b"-----END")[0])):
            return Days(*map(_time, found.groups()))
    return None


def _time(told: bytes) -> datetime:
    text = told[2:].decode()
    text = text if len(text) > len("yymmddHHMMSSZ") else f"20{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def key_days(path: Path) -> Days:
    """Return from when a key's file is, and until when it is to be used. OSError: there is none."""
    made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Days(made, made + KEY_LIFE)


def _create(path: Path, content: bytes, costs: str) -> None:
    try:
        with changing(path, error=KeyFileError):
            create_private(path, content)
    except AlreadyExistsError:
        raise AlreadyExistsError(f"{path} already exists; a new key would {costs}") from None
