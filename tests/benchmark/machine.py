"""Where the figures come from: a figure without its machine means nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib.util import find_spec
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def described() -> dict[str, str]:
    """Return the machine, the commit and the versions, as texts."""
    load_1_min, *_ = os.getloadavg()
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.machine()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at start": f"{load_1_min:.2f}",
        "commit": _commit(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
        "packages": _packages(),
    }


def _packages() -> str:
    if find_spec("rich") is None:
        return "as on a door"
    return "more than on a door: structlog finds rich and imports it (slower start, more memory)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown processor")


def _commit() -> str:
    # A wheel or a tarball has no history.
    commit = _git("rev-parse", "--short", "HEAD")
    changed = " and changes" if commit and _git("status", "--porcelain") else ""
    return f"{commit or 'unknown'}{changed}"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", CHECKOUT, *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
