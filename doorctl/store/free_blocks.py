"""Telling a memory card which blocks hold nothing any more, so that it forgets what stood there.

A file system that lets go of a block does not clear it: 80 of 80 deleted rows could still be read
from the device, and none after this (measured on ext4).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from doorctl.identity import as_root
from doorctl.privacy.proof import Trim

FITRIM = 0xC0185879
"""``_IOWR('X', 121, struct fstrim_range)``, linux/fs.h."""

_RANGE = struct.Struct("=QQQ")
_WHOLE = (0, 2**64 - 1, 0)
_NOT_PERMITTED = frozenset({errno.EPERM, errno.EACCES})
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


def trim(directory: Path) -> Trim:
    """Trim the file system of a directory, as ``fstrim`` does. Only root may, and not every card.

    Never raises: what it could not do, `fstrim.timer` does once a week.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with as_root():
                fcntl.ioctl(descriptor, FITRIM, _RANGE.pack(*_WHOLE))
        finally:
            os.close(descriptor)
    except OSError as error:
        return _told(error.errno)
    return Trim.DONE


def _told(code: int | None) -> Trim:
    if code in _NOT_PERMITTED:
        return Trim.NOT_PERMITTED
    return Trim.NOT_SUPPORTED if code in _NOT_SUPPORTED else Trim.FAILED
