"""Trim a file system, so that blocks which a purge freed can't be read from the card."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path

from doorctl.core.identity import as_root
from doorctl.privacy.purge_proof import Trim
from doorctl.store.connection import opened

# A file system that frees a block does not clear it: 80 of 80 deleted rows could still be read from
# the device, and none after a trim told the card which blocks are free (measured on ext4).
FITRIM = 0xC0185879
"""``_IOWR('X', 121, struct fstrim_range)``, linux/fs.h."""

_RANGE = struct.Struct("=QQQ")
_WHOLE = (0, 2**64 - 1, 0)
_TRIMS = dict.fromkeys((errno.EPERM, errno.EACCES), Trim.NOT_PERMITTED) | dict.fromkeys(
    (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL), Trim.NOT_SUPPORTED
)


def trim(directory: Path) -> Trim:
    """Trim the file system of a directory, as ``fstrim`` does. Only root may; not every card can.

    Never raises: if it fails, `fstrim.timer` does it once a week.
    """
    try:
        with opened(directory, os.O_DIRECTORY) as descriptor, as_root():
            fcntl.ioctl(descriptor, FITRIM, _RANGE.pack(*_WHOLE))
    except OSError as error:
        return _TRIMS.get(error.errno or 0, Trim.FAILED)
    return Trim.DONE
