"""Inputs that atheris makes: it sees which branches an input took, and goes on from new ones."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import targets

FOUND = "found-"
MARGIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Guided:
    """What a guided run has found.

    Args:
        ran: whether it could.
        runs: inputs that were tried.
        fresh: those that reached something new.
        broken: inputs that broke the target.
        told: the last of what it said.
    """

    ran: bool
    runs: int = 0
    fresh: tuple[bytes, ...] = ()
    broken: tuple[bytes, ...] = ()
    told: str = ""


def guided(name: str, seconds: int, seed: int) -> Guided:
    """Fuzz a target for so many seconds, from its seeds and its corpus."""
    if importlib.util.find_spec("atheris") is None:
        return Guided(ran=False, told="atheris is not installed; see pyproject.toml")
    with tempfile.TemporaryDirectory() as root:
        fresh, seeds, found = (Path(root) / each for each in ("fresh", "seeds", "found"))
        for directory in (fresh, seeds, found):
            directory.mkdir()
        with targets() as all_of_them:
            for number, data in enumerate(all_of_them[name].stock.kept):
                (seeds / str(number)).write_bytes(data)
        options = (
            f"-max_total_time={seconds}",
            f"-seed={seed or 1}",
            f"-artifact_prefix={found}/{FOUND}",
            "-print_final_stats=1",
            "-rss_limit_mb=1024",
        )
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.fuzz.guided_process",
                name,
                *options,
                str(fresh),
                str(seeds),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + MARGIN_S,
            check=False,
        )
        broken = tuple(path.read_bytes() for path in sorted(found.iterdir()))
        new = tuple(path.read_bytes() for path in sorted(fresh.iterdir()))
    failed = done.returncode != 0 and not broken
    return Guided(
        ran=not failed, runs=_runs(done.stdout), fresh=new, broken=broken, told=done.stdout[-2000:]
    )


def _runs(told: str) -> int:
    counts = [line.split()[-1] for line in told.splitlines() if "number_of_executed_units" in line]
    return int(counts[0]) if counts else 0
