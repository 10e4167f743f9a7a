"""The browser that the tests drive: the one that Debian keeps safe, never a download."""

from __future__ import annotations

import shutil
from typing import Final

NAMES: Final = ("chromium", "chromium-browser")
"""Debian's and Ubuntu's name of it."""

ARGUMENTS: Final = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
"""For containers, whose root it would refuse and whose shared memory is too small for it."""

MISSING: Final = "Chromium is missing: apt-get install chromium"


def found() -> str | None:
    """Return where it is; None where it isn't."""
    return next(filter(None, map(shutil.which, NAMES)), None)
