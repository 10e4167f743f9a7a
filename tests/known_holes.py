"""``python -m tests.known_holes``: ask which package of the lock files has a known hole.

By pip-audit, with its options behind it. Exit 0: it was asked about each, and none has one; 1: one
has, or a lock file can't be read; 75: nobody answered about one of them, which says nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "systemd/lgpio.lock")
"""What a branch installs."""

AUDIT = Path(sys.executable).with_name("pip-audit")
NO_ANSWER = 75
"""``EX_TEMPFAIL`` of sysexits(3)."""

LIMIT_S = 300
MOST_NAMED = 4

ACCEPTED: Mapping[str, str] = {}
"""Holes that have no mended version yet -> why a branch can live with each; see the changelog."""

_NETWORK = re.compile(
    r"requests\.exceptions\.|urllib3\.exceptions\.|ServiceError|Could not connect|not redirecting"
)
"""How pip-audit ends where its service can't be asked: a traceback, mostly."""


@dataclass(frozen=True)
class Found:
    """The exit code, and lines that say why; the last one is the summary."""

    code: int
    lines: tuple[str, ...]


def asked(options: Sequence[str], audit: Path = AUDIT) -> Found:
    """Ask, and return what was found."""
    locks = (word for lock in LOCKS for word in ("--requirement", str(ROOT / lock)))
    words = ("--disable-pip", "--progress-spinner=off", "--format=json", *locks, *options)
    try:
        done = subprocess.run(
            (str(audit), *words), capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return Found(NO_ANSWER, (f"not asked: pip-audit: {type(error).__name__}",))
    return judged(done.returncode, done.stdout, done.stderr)


def judged(code: int, said: str, complaint: str) -> Found:
    """Return what pip-audit's end means; without `--strict` it calls "not found" well."""
    try:
        packages = json.loads(said)["dependencies"]
    except (ValueError, LookupError, TypeError):
        last = (complaint.strip().splitlines() or ["it says nothing"])[-1]
        if _NETWORK.search(complaint):
            return Found(NO_ANSWER, (f"not asked: {last}",))
        return Found(1, (complaint, f"pip-audit fails: {last}"))
    holes = tuple(line for package in packages for line in _holes(package))
    missed = [package["name"] for package in packages if "skip_reason" in package]
    if holes:
        return Found(1, (*holes, f"{len(holes)} known holes in {len(packages)} packages"))
    if code and not any(package.get("vulns") for package in packages):
        return Found(1, (complaint, f"pip-audit ends with {code} and names no hole"))
    if missed or not packages:
        more = ", ..." if len(missed) > MOST_NAMED else ""
        named = f"{', '.join(missed[:MOST_NAMED])}{more}"
        return Found(
            NO_ANSWER, (f"not asked about {len(missed)} of {len(packages)} packages: {named}",)
        )
    return Found(0, (f"{len(packages)} packages, none with a known hole",))


def _holes(package: Mapping[str, Any]) -> Iterator[str]:
    for hole in package.get("vulns", ()):
        names = {hole["id"], *hole["aliases"]}
        if not names & ACCEPTED.keys():
            mended = ", ".join(hole["fix_versions"]) or "no version yet"
            which = " ".join(sorted(names))
            yield f"{package['name']} {package['version']}: {which}; mended in {mended}"


if __name__ == "__main__":
    found = asked(sys.argv[1:])
    sys.stdout.write("".join(f"{line}\n" for line in found.lines))
    sys.exit(found.code)
