"""The installation key on disk: 32 bytes that only doorctl may read, and 32 of each later key."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import struct
from pathlib import Path

from doorctl.access.patron import KEY_BYTES
from doorctl.errors import AlreadyExistsError, KeyFileError, StoreError
from doorctl.identity import owner_of
from doorctl.masked import InstallationKey
from doorctl.store.new_file import create_private, sync_directory

MOST_KEYS = 64
"""A new key each year for a lifetime."""

_ACL = "system.posix_acl_access"
_ACL_HEADER_BYTES = 4
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_SHARED = frozenset({0x04, 0x08, 0x20})
"""Tags of the owning group, a named group and others (linux/posix_acl.h)."""

_READABLE = 4


def create_key(path: Path, *, after: bytes = b"") -> None:
    """Write a new random key, durably, with mode 0600; it follows on those of `after`.

    Raises:
        AlreadyExistsError: something stands there; it was not touched.
        KeyFileError: it can't be written.
    """
    try:
        with owner_of(path.parent):
            create_private(path, after + secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        raise AlreadyExistsError(
            f"{path} already exists; a new key would make every sealed row unreadable"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{path} can't be written: {error.strerror}") from error


def read_key(path: Path) -> InstallationKey:
    """Read the key of a regular file that neither its group nor others can read.

    Raises:
        KeyFileError: it is missing, too open, not a file or of no whole keys; says what to do.
    """
    key = read_key_file(path, MOST_KEYS * KEY_BYTES + 1, made_by="doorctl init", private=True)
    if not key or len(key) % KEY_BYTES:
        raise KeyFileError(
            f"{path} does not hold exactly {KEY_BYTES} bytes for each key there was, so it is no "
            "installation key; put the right one back from its backup"
        )
    return InstallationKey(key)


def replace_key(path: Path, new: Path) -> None:
    """Put a new key in an old one's place, durably; a kill leaves one of the two, whole.

    Args:
        path: of the old key.
        new: of the new one; it stays.

    Raises:
        KeyFileError: the new key can't be read, or not be written.
    """
    key = read_key(new).reveal()
    whole = path.with_name(f"{path.name}.whole")
    try:
        with owner_of(path.parent):
            whole.unlink(missing_ok=True)
            create_private(whole, key)
            whole.replace(path)
            sync_directory(path.parent)
    except StoreError:
        raise
    except OSError as error:
        raise KeyFileError(f"{path} can't be replaced: {error.strerror}") from error


def remove_key(path: Path) -> None:
    """Remove a key's file, durably, if it is there.

    Raises:
        KeyFileError: it can't be removed.
    """
    try:
        with owner_of(path.parent):
            path.unlink(missing_ok=True)
            sync_directory(path.parent)
    except StoreError:
        raise
    except OSError as error:
        raise KeyFileError(f"{path} can't be removed: {error.strerror}") from error


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
