"""``python -m tests.soak --minutes 10``: a branch that is used without a pause; what grows?

Bug (soak): the soak's own door had mock pins that keep every state: 0.5 KiB a visit that no door
has (the harness's own).
"""

from __future__ import annotations

import os
import queue
import random
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import click

from doorctl.demo.door import Wires
from tests.soak.disk import full_disk
from tests.soak.people import Looking, Pushing, Visits, add_account, order, rows_of, visitors
from tests.soak.report import Run, Sampler, told
from tests.web.branch import Branch

PUSH_EVERY_S, PAGE_EVERY_S, PURGE_EVERY_S = 7.0, 1.0, 45.0
REPLUG_EVERY_S, REPLUG_OUT_S = 50.0, 0.5
FULL_EVERY_S, FULL_S = 60.0, 4.0
CALM_S = 15.0
"""At the end without a full disk, so that everything can be put on record."""

SWIPES, RSS_KIB = 200, 200.0
"""A minute: how many, and the steepest growth of memory."""

NICE = 10
START_LIMITS = 5


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of who comes when.")
def soak(minutes: float, seed: int) -> None:
    """Use a real door and a real web process without a pause; exit 1 if anything grows or is wrong.

    People swipe, pushes come, staff look at pages, the log is purged and proved, the reader is
    pulled out, and the disk is full for 4 s each minute. All at low priority, so that it can run
    beside other things.
    """
    os.nice(NICE)
    with tempfile.TemporaryDirectory() as root:
        run = _lived(Path(root), minutes, seed)
    lines, failures = told(run, RSS_KIB)
    click.echo("\n".join(lines))
    for failure in failures:
        click.echo(f"wrong: {failure}", err=True)
    sys.exit(bool(failures))


def _lived(directory: Path, minutes: float, seed: int) -> Run:
    # gpiozero's own mock pins keep all they ever were, half a KiB a visit.
    wires = Wires(lambda _name, _high: None)
    branch = Branch(directory, "door.release_s=0.5", wires=wires)
    add_account(branch)
    try:
        _start(branch)
        with branch.stage as stage:
            stage.start()
            run = _used(branch, time.monotonic() + minutes * 60, 60 / SWIPES, seed)
            run.codes.append(stage.stop())
            run.read(directory)
    finally:
        code = branch.end()
        wires.close()
    run.codes.append(code)
    return run


def _used(branch: Branch, until_s: float, every_s: float, seed: int) -> Run:
    people = visitors()
    pushing = Pushing(branch, list(rows_of(people, branch.sealer)))
    assert pushing.push() == 200
    visits = Visits(branch.stage, order(people, random.Random(seed)))  # noqa: S311 - no secret
    ready = next(line for line in branch.lines if line["event"] == "ready")
    pids = {"door": branch.stage.pid, "web": int(ready["pid"])}
    with closing(Looking(branch)) as looking, Sampler(pids, branch.directory) as sampler:
        run = Run(visits.tally, pushing.answers, looking.answers)
        works = {
            PUSH_EVERY_S: lambda: run.judge("push", pushing.push()),
            PAGE_EVERY_S: lambda: run.judge("page", looking.look()),
            PURGE_EVERY_S: lambda: run.purged(branch.stage.call("purge", "--prove")),
            FULL_EVERY_S: lambda: _fill(run, list(pids.values()), until_s),
        }
        with _beside(run, works):
            _visit(visits, run, until_s, every_s)
    run.samples, run.wals = sampler.samples, sampler.wals
    return run


def _start(branch: Branch) -> None:
    with suppress(queue.Empty):
        branch.start()
        return
    # Beside other things, and behind all of them, it takes longer than tests wait.
    for _ in range(START_LIMITS):
        with suppress(queue.Empty):
            branch.wait_for("ready")
            return
    raise TimeoutError("the web process does not become ready")


def _visit(visits: Visits, run: Run, until_s: float, every_s: float) -> None:
    next_s = time.monotonic()
    replug_s = next_s + REPLUG_EVERY_S
    while time.monotonic() < until_s:
        visits.one()
        if time.monotonic() > replug_s:
            visits.replug(REPLUG_OUT_S)
            run.replugs += 1
            replug_s = time.monotonic() + REPLUG_EVERY_S
        next_s = max(next_s + every_s, time.monotonic() - 5)
        time.sleep(max(0.0, next_s - time.monotonic()))


def _fill(run: Run, pids: list[int], until_s: float) -> None:
    if time.monotonic() + FULL_S + CALM_S > until_s:
        return
    began_s = time.monotonic()
    with full_disk(pids):
        time.sleep(FULL_S)
    run.full.append((began_s, time.monotonic()))


@contextmanager
def _beside(run: Run, works: dict[float, Callable[[], None]]) -> Iterator[None]:
    """Do each work every so many seconds, on a thread of its own."""
    stopping = threading.Event()

    def repeat(every_s: float, work: Callable[[], None]) -> None:
        while not stopping.wait(every_s):
            try:
                work()
            except Exception:  # noqa: BLE001 - it is told, and the others go on
                run.troubles.append((time.monotonic(), traceback.format_exc(limit=-3)))

    threads = [threading.Thread(target=repeat, args=one) for one in works.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    soak()
