"""The browser that the tests drive: the one that Debian keeps safe, never a download."""

from __future__ import annotations

import shutil
from typing import Final

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser")
"""Debian's without a window, which takes two thirds of the processor (measured), its whole one, and
Ubuntu's name of that."""

ARGUMENTS: Final = [
    *("--no-sandbox", "--disable-gpu", "--in-process-gpu", "--disable-dev-shm-usage"),
    *("--disable-gpu-compositing", "--disable-site-isolation-trials", "--num-raster-threads=1"),
]
"""For containers, whose root it would refuse and whose shared memory is too small for it.

The second line makes pages of one host a tenth cheaper; a process for no GPU would be idle.
"""

MISSING: Final = "Chromium is missing: apt-get install chromium-headless-shell"


def found() -> str | None:
    """Return where it is; None where it isn't."""
    return next(filter(None, map(shutil.which, NAMES)), None)
