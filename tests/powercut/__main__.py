"""``python -m tests.powercut``: cut the power at each write to the disk, and tell what is left."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from tests.powercut.cuts import Kind
from tests.powercut.guest import fetched, missing, worked
from tests.powercut.model import modelled
from tests.powercut.replay import Judged, Recorded, chosen, judged

STATES, ROUNDS = 20_000, 24
QUICK_STATES, QUICK_ROUNDS = 2_500, 3
"""About a minute on two cores, half of it for the guest."""

SHOWN = 20
"""Violations that are told one by one; others are as these."""

CACHE = Path("~/.cache/doorctl-powercut")


@click.command()
@click.option("--states", type=click.IntRange(min=1), default=STATES, show_default=True)
@click.option("--quick", is_flag=True, help="A minute's worth; skipped where it can't be done.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count(), help="Processes.")
@click.option("--flaw", multiple=True, metavar="PRAGMA", help="Such as synchronous=NORMAL.")
@click.option("--cache", type=click.Path(path_type=Path), default=CACHE, show_default=True)
def powercut(*, states: int, quick: bool, jobs: int, flaw: tuple[str, ...], cache: Path) -> None:
    """Cut the power of a machine at each write of a branch's evenings; judge what is on the disk.

    The real stores write to ext4 in a guest whose disk logs each write; then the log is replayed
    up to every write, and with writes that no flush covered lost and torn. A table at the end;
    the exit code is 1 if anything was damaged, half there, or lost after it was acknowledged.
    """
    if quick:
        states = QUICK_STATES
    absent = missing()
    if absent:
        _give_up(f"not installed: {', '.join(absent)}", quick=quick)
    rounds = QUICK_ROUNDS if quick else max(1, ROUNDS * states // STATES)
    try:
        kernel = fetched(cache.expanduser())
    except (RuntimeError, OSError) as error:
        _give_up(f"no kernel: {error}", quick=quick)
        return
    with tempfile.TemporaryDirectory(prefix="doorctl-powercut-") as name:
        work = Path(name)
        start = time.monotonic()
        (work / "model").mkdir()
        model = modelled(work / "model", rounds)
        log = worked(kernel, work, rounds, flaw)
        guest_s = time.monotonic() - start
        found = _judged(Recorded(work / "before", log, model), states, jobs)
    click.echo(_table(found, guest_s))
    sys.exit(bool(found.violations))


def _give_up(why: str, *, quick: bool) -> None:
    if not quick:
        raise click.ClickException(why)
    click.echo(f"skipped: {why}")
    sys.exit(0)


def _judged(recorded: Recorded, states: int, jobs: int) -> Judged:
    start = time.monotonic()
    cuts = chosen(recorded.entries(), states)
    found = Judged()
    with click.progressbar(
        length=len(cuts), label="states", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for some in judged(recorded, cuts, jobs):
            found.add(some)
            bar.update(some.states.total())
    found.seconds = time.monotonic() - start
    return found


def _table(found: Judged, guest_s: float) -> str:
    wrong = Counter(kind for kind, _ in found.violations)
    lines = [f"{'the power went':<28}{'states':>8}{'violations':>12}"]
    lines += [
        f"{kind.value:<28}{found.states[kind]:>8,}{wrong[kind]:>12,}"
        for kind in Kind
        if found.states[kind]
    ]
    lines += [f"  {kind.value}, {told}" for kind, told in found.violations[:SHOWN]]
    total, rate = found.states.total(), found.states.total() / found.seconds
    lines.append(
        f"{total:,} states, {len(found.violations):,} violations; {guest_s:.0f} s in the guest, "
        f"{found.seconds:.0f} s for the states ({rate:.0f} a second)"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    powercut()
