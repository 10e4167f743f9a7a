"""A library of C that is laid over a process by `LD_PRELOAD`, built where a test needs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def built(directory: Path, name: str, source: str) -> Path:
    """Build a library of that name from C; without a compiler the test is skipped."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    written = directory / f"{name}.c"
    written.write_text(source, encoding="ascii")
    library = written.with_suffix(".so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, written], check=True)
    return library
