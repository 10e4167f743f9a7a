"""The installation key in its file: made, read, removed; refused where others can read it.

It is 32 bytes that only doorctl may read, and 32 of each later key.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import struct
from pathlib import Path

from doorctl.access.patron import KEY_BYTES
from doorctl.core.errors import AlreadyExistsError, KeyFileError
from doorctl.core.identity import owner_of
from doorctl.core.masked import InstallationKey
from doorctl.store.connection import (
    changing,
    create_private,
    opened,
    sync_directory,
    write_over,
)

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
    create_file(path, after + secrets.token_bytes(KEY_BYTES), "make every sealed row unreadable")


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


def create_file(path: Path, content: bytes, costs: str) -> None:
    """Write a key's file, 0600 and durable; KeyFileError, or AlreadyExistsError: it is there."""
    try:
        with changing(path, error=KeyFileError):
            create_private(path, content)
    except AlreadyExistsError:
        raise AlreadyExistsError(f"{path} already exists; a new key would {costs}") from None
