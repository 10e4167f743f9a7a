"""The installation key on disk: 32 bytes that only doorctl may read."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import struct
from pathlib import Path

from doorctl.errors import AlreadyExistsError, KeyFileError
from doorctl.identity import owner_of
from doorctl.masked import InstallationKey
from doorctl.store.new_file import create_private

KEY_BYTES = 32

_ACL = "system.posix_acl_access"
_ACL_HEADER_BYTES = 4
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_SHARED = frozenset({0x04, 0x08, 0x20})
"""Tags of the owning group, a named group and others (linux/posix_acl.h)."""

_READABLE = 4


def create_key(path: Path) -> None:
    """Write a new random key, durably, with mode 0600.

    Raises:
        AlreadyExistsError: something stands there; it was not touched.
        KeyFileError: it can't be written.
    """
    try:
        with owner_of(path.parent):
            create_private(path, secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        raise AlreadyExistsError(
            f"{path} already exists; a new key would make every sealed row unreadable"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror}") from error


def read_key(path: Path) -> InstallationKey:
    """Read the key of a regular file that neither its group nor others can read.

    Raises:
        KeyFileError: it is missing, too open, not a file or not of 32 bytes; says what to do.
    """
    key = read_key_file(path, KEY_BYTES + 1, made_by="doorctl init", private=True)
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"{path} does not hold exactly {KEY_BYTES} bytes, so it is no installation key; "
            "put the right one back from its backup"
        )
    return InstallationKey(key)


def read_key_file(path: Path, most_bytes: int, *, made_by: str, private: bool) -> bytes:
    """Return what a key file begins with.

    Args:
        path: of the file.
        most_bytes: read no more than that.
        made_by: the command that makes such a file.
        private: whether it must be a regular file that neither its group nor others can read.

    Raises:
        KeyFileError: it is missing, too open or can't be read; says what to do.
    """
    try:
        # Without O_NONBLOCK a named pipe in its place would hold the start for ever.
        with owner_of(path.parent):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing; run `{made_by}`") from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    try:
        if private:
            _refuse_unsafe(path, descriptor)
        return os.read(descriptor, most_bytes)
    except OSError as error:
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError(f"{path} can't be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


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
