"""Plants a fault into a copy of the source and has the harness that is meant for it look."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.planted.faults import SIMULATION, Fault

ROOT = Path(__file__).parents[2]
COPIED = ("doorctl", "tests", "config", "pyproject.toml", "README.md")
SEEDS = (1, 2, 3, 4)
"""Branches that are run one after the other until one breaks an invariant."""

YEARS = 0.5
LIMIT_S = 900


@dataclass(frozen=True)
class Found:
    """What came of a fault.

    Args:
        by: who noticed it and by what; empty for nobody.
    """

    fault: Fault
    by: str
    seconds: float

    def line(self) -> str:
        """Return it for people."""
        what = f"caught by {self.by}" if self.by else f"SURVIVED {self.fault.harness}"
        return f"{self.fault.name}: {what} in {self.seconds:.1f} s"


def planted(fault: Fault) -> Found:
    """Plant a fault, look, and throw the copy away.

    Raises:
        ValueError: its old text does not stand in its file exactly once.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        # For harnesses that run it as other users; else these would take what is installed.
        copy.chmod(0o755)
        changed(copy / fault.file, fault)
        by = _simulated(copy) if fault.harness == SIMULATION else _tested(copy, fault.harness)
    return Found(fault, by, time.monotonic() - started)


def changed(path: Path, fault: Fault) -> None:
    """Replace a fault's old text by its new one.

    Raises:
        ValueError: it does not stand there exactly once.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: its text stands {text.count(fault.old)} times in {path}")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(source, target)


def _simulated(copy: Path) -> str:
    for seed in SEEDS:
        ran = _run(copy, "-m", "tests.simulation", "--seed", str(seed), "--years", str(YEARS))
        if ran.returncode:
            broken = re.search(r"invariant \d+: [^\n]*", ran.stderr)
            raised = re.findall(r"^([\w.]+Error)\b", ran.stderr, re.MULTILINE)
            what = broken.group() if broken else " ".join(raised[-1:]) or "its end"
            return f"simulation, seed {seed}, {what}"
    return ""


def _tested(copy: Path, file: str) -> str:
    ran = _run(
        copy, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", file
    )
    failed = re.search(r"^FAILED (\S+)", ran.stdout, re.MULTILINE)
    return failed.group(1) if failed else ""


def _run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
