"""A known hole fails a run, and a service that can't be asked fails none and is not called well.

Bug (second penetration test): where pip-audit could not ask, its gate's end said nothing of holes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.known_holes import AUDIT, LOCKS, NO_ANSWER, ROOT, asked, judged
from tests.sources.http_server import Request, answering, free_port

PACKAGES = re.findall(
    r"^([a-z0-9-]+)==", "".join((ROOT / lock).read_text("utf-8") for lock in LOCKS), re.MULTILINE
)
ELSEWHERE = {"httpx2-jsfetch"}
"""What the lock files have for another system than this."""

HOLE = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["9.9"]}
CAN_ASK = pytest.mark.skipif(not AUDIT.exists(), reason="pip-audit is not installed here")


def said(*packages: Mapping[str, Any]) -> str:
    """Return what pip-audit writes."""
    return json.dumps({"dependencies": packages, "fixes": []})


def well(name: str, *holes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what it says of a package that it asked about."""
    return {"name": name, "version": "1.0", "vulns": holes}


def missed(name: str) -> Mapping[str, Any]:
    """Return what it says of one that its service does not know."""
    return {"name": name, "skip_reason": f"Dependency not found on PyPI: {name} (1.0)"}


@pytest.mark.parametrize(
    ("ended", "code", "summary"),
    [
        ((0, said(well("a"), well("b")), ""), 0, "2 packages, none with a known hole"),
        ((1, said(well("a"), well("b", HOLE)), ""), 1, "1 known holes in 2 packages"),
        ((1, said(missed("a"), well("b", HOLE)), ""), 1, "1 known holes in 2 packages"),
        ((0, said(well("a"), missed("b")), ""), NO_ANSWER, "not asked about 1 of 2 packages: b"),
        ((0, said(*map(missed, "abcde")), ""), NO_ANSWER, "not asked about 5 of 5 packages: a, b,"),
        ((0, said(), ""), NO_ANSWER, "not asked about 0 of 0 packages"),
        ((1, "", "ServiceError: x\n"), NO_ANSWER, "not asked: ServiceError: x"),
        ((1, "", "requests.exceptions.ProxyError: y\n"), NO_ANSWER, "not asked: requests"),
        ((1, "", "ERROR:pip_audit._cli:requirement file is wrong\n"), 1, "pip-audit fails: ERROR"),
        ((2, "", ""), 1, "pip-audit fails: it says nothing"),
        ((1, said(well("a")), "ERROR"), 1, "pip-audit ends with 1 and names no hole"),
    ],
)
def test_what_an_end_means(ended: tuple[int, str, str], code: int, summary: str) -> None:
    """A hole counts, whatever else could not be asked; silence is neither good nor bad."""
    found = judged(*ended)

    assert found.code == code
    assert found.lines[-1].startswith(summary)


def test_a_hole_is_named_with_what_mends_it() -> None:
    """So that whoever reads it knows what to do."""
    found = judged(1, said(well("b", HOLE)), "")

    assert found.lines[0] == "b 1.0: CVE-2026-1 PYSEC-2026-1; mended in 9.9"


def test_without_pip_audit_nothing_was_asked(tmp_path: Path) -> None:
    """As on a machine that has not installed it."""
    found = asked([], tmp_path / "pip-audit")

    assert (found.code, found.lines) == (NO_ANSWER, ("not asked: pip-audit: FileNotFoundError",))


@CAN_ASK
@pytest.mark.parametrize("holed", [None, "msgspec"])
def test_pip_audit_asks_about_every_package(holed: str | None) -> None:
    """The real one, of a service on loopback which knows of one hole or none."""
    heard: list[str] = []

    def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
        name = json.loads(request.body)["package"]["name"]
        heard.append(name)
        events = [{"introduced": "0"}, {"fixed": "9.9"}]
        affected = {
            "package": {"name": name, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        hole = {"id": "CVE-2026-1", "summary": "x", "affected": [affected]}
        return 200, {}, json.dumps({"vulns": [hole]} if name == holed else {}).encode()

    with answering(answer) as port:
        found = asked(["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{port}/"])

    assert {*PACKAGES} - ELSEWHERE <= {*heard} <= {*PACKAGES}
    assert found.code == (0 if holed is None else 1)
    assert [line for line in found.lines if "CVE-2026-1" in line] == (
        [] if holed is None else [line for line in found.lines if line.startswith(f"{holed} ")]
    )


@CAN_ASK
def test_where_nobody_answers_it_was_not_asked() -> None:
    """The real one, and a port where nobody listens; as a program, whose end a gate reads."""
    url = f"http://127.0.0.1:{free_port()}/"
    words = ("-m", "tests.known_holes", "--vulnerability-service=osv", f"--osv-url={url}")
    done = subprocess.run(
        (sys.executable, *words), cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == NO_ANSWER
    assert done.stdout.splitlines()[-1].startswith("not asked: requests.exceptions.")
