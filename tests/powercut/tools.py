"""The programs of Debian that are needed, wherever they are."""

from __future__ import annotations

import shutil

TOOLS = (
    *("qemu-system-x86_64", "mke2fs", "e2fsck", "debugfs"),
    *("dmsetup", "busybox", "cpio", "strace", "apt-get", "dpkg-deb"),
)
"""Of the packages qemu-system-x86, e2fsprogs, dmsetup, busybox-static, cpio and strace."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Some are for root alone, and in nobody else's path."""


def missing() -> list[str]:
    """Return the tools that are not installed."""
    return [name for name in TOOLS if shutil.which(name, path=_PATH) is None]


def tool(name: str) -> str:
    """Return where a tool is.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise RuntimeError(f"{name} is not installed")
    return found
