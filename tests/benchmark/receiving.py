"""How large the web process gets while it takes a push in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmark.figures import Figure
from tests.benchmark.plan import Plan
from tests.benchmark.pushing import serving
from tests.benchmark.register import KNOWN, random_rows
from tests.benchmark.sender import Sender
from tests.benchmark.start import resident_mb

ADDED_MB = 20.0
HELD_MB = 60.0
"""Budgets of the design; the first one is for 1 000 000 rows."""


def measure(plan: Plan, work: Path) -> Iterator[Figure]:
    """Push a few rows, so that everything is loaded, then many, and look before and after."""
    with serving(work / "receiving") as branch:
        sender = Sender(branch)
        pid = int(branch.lines[0]["pid"])
        _push(sender, "few", KNOWN)
        before = resident_mb(pid, "VmRSS")
        _push(sender, "many", plan.received)
        highest = resident_mb(pid, "VmHWM")
    part = f"web process that receives a push of {plan.received:,} rows"
    yield Figure(part, "RSS before", before, "MB", 1)
    yield Figure(part, "RSS at its highest", highest, "MB", 1, budget=HELD_MB)
    yield Figure(part, "RSS added", highest - before, "MB", 1, budget=ADDED_MB)


def _push(sender: Sender, name: str, count: int) -> None:
    failed = sender.push(sender.rows(name, "snapshot", random_rows(count)))
    assert not failed, failed
