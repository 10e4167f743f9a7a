"""``python -m tests.benchmark``: measure and print."""

from __future__ import annotations

import compileall
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import click

import doorctl
from tests.benchmark.decision import decision, swipe
from tests.benchmark.figures import FULL, MILLION, QUICK, Figure, Plan, as_table, described
from tests.benchmark.kinds import KINDS_PART, kinds
from tests.benchmark.lanes import busy, door, replug, starts
from tests.benchmark.pages import PAGES, pages
from tests.benchmark.peers import KEPT, as_markdown, compared
from tests.benchmark.peers import problems_of as problems_of_peers
from tests.benchmark.push import changes, purge_of_a_month, push
from tests.benchmark.pushing import pushing, receiving
from tests.benchmark.regular import PART as REGULAR
from tests.benchmark.regular import regular
from tests.benchmark.sources import PART as SOURCES
from tests.benchmark.sources import sources
from tests.benchmark.stops import PART as STOPS_PART
from tests.benchmark.stops import RESTS, STOPS, TOTALS, stops
from tests.e2e.kinds import KINDS

PARTS: MappingProxyType[str, Callable[[Plan, Path], Iterator[Figure]]] = MappingProxyType(
    {
        "decision": decision,
        "stops": stops,
        "door": door,
        "busy": busy,
        "pushing": pushing,
        "pages": pages,
        "start": starts,
        "replug": replug,
        "kinds": kinds,
        "swipe": swipe,
        "push": push,
        "changes": changes,
        "receiving": receiving,
        "purge": purge_of_a_month,
        "regular": regular,
        "sources": sources,
    }
)

ROWS = Counter(
    {
        "last digit -> relay, own time in one process": 2 * (2 * 3 + 1),
        STOPS_PART: RESTS * (len(STOPS) + len(TOTALS)),
        "last digit -> relay, whole door": 2 * 5 + 1,
        "last digit -> relay beside loads and purges": 5,
        "last digit -> relay beside pushes": 4,
        "door process": 7,
        "reader unplugged and back": 1,
        KINDS_PART: 8 * len(KINDS) + 2 * (len(KINDS) - 1),
        "swipe": 1,
        "push of": 4,
        "changes of": 6,
        "last digit -> relay beside 25 staff pages": 3,
        "page": 3 * len(PAGES) + 1,
        "web process": 5,
        "purge of 30 days": 1,
        f"{REGULAR} that reads": 2 * 5,
        REGULAR: 2 * 14,
        SOURCES: 2 * 4,
    }
)
"""How the heading of a part begins -> how many rows stand under such headings, of two sizes."""


def problems_of(figures: Sequence[Figure]) -> list[str]:
    """Return what is wrong with a table of all parts: rows that are missing, or say nothing."""
    found = Counter(
        next(heading for heading in ROWS if each.part.startswith(heading)) for each in figures
    )
    counts = [f"{part}: {found[part]} rows of {n}" for part, n in ROWS.items() if found[part] != n]
    may_be_nothing = ("less the floor", "RSS added", "RECKONED: added")
    return counts + [
        f"{each.part}, {each.what}: {each.value:g}"
        for each in figures
        if each.value <= 0 and not any(what in each.what for what in may_be_nothing)
    ]


def measured(
    plan: Plan, work: Path, on_part: Callable[[str], None], parts: Sequence[str] = ()
) -> list[Figure]:
    """Measure every part, one after the other, and return all rows of the table.

    Args:
        plan: how much.
        work: an empty directory; about 200 MB, 2 GB for a million patrons.
        on_part: gets the name of each part before it begins.
        parts: those to measure; none is all.
    """
    figures: list[Figure] = []
    for name, measure in PARTS.items():
        if parts and name not in parts:
            continue
        on_part(name)
        figures.extend(measure(plan, work / name))
    return figures


@click.command()
@click.option("--quick", is_flag=True, help="Under a minute, for each commit; fewer repeats.")
@click.option(
    "--million", is_flag=True, help="Also time grants and work at 1,000,000 patrons, and push them."
)
@click.option("--part", type=click.Choice(list(PARTS)), multiple=True, help="Measure that alone.")
@click.option("--peers", is_flag=True, help="Only: the same job the ways others do it.")
@click.option("--keep", is_flag=True, help="With --peers: README's table is drawn from this run.")
def benchmark(quick: bool, million: bool, part: tuple[str, ...], peers: bool, keep: bool) -> None:
    """Print how fast and how small the door is on this machine, each figure beside its floor.

    Exit 0 whatever the figures are, and 1 if a row is missing; anything that breaks is a traceback.
    """
    if peers:
        _compare(keep)
    plan = QUICK if quick else FULL
    if million:
        sizes, branches = (*plan.sizes, MILLION), (plan.regular[0], MILLION)
        plan = replace(plan, sizes=sizes, received=MILLION, regular=branches)
    # As pip leaves it. A process that may not write its bytecode compiles doorctl at each start,
    # which takes time and leaves 0.6 MB behind (measured).
    compileall.compile_dir(Path(doorctl.__file__).parent, quiet=1)
    before = time.monotonic()
    here = described()
    with tempfile.TemporaryDirectory(prefix="doorctl-benchmark-") as work:
        figures = measured(plan, Path(work), _announce, part)
    here["took"] = f"{time.monotonic() - before:.0f} s"
    click.echo(as_table(here, figures))
    problems = [] if part or million else problems_of(figures)
    for each in problems:
        click.echo(each, err=True)
    sys.exit(bool(problems))


def _compare(keep: bool) -> NoReturn:
    compared_now = compared()
    problems = problems_of_peers(compared_now)
    if not problems:
        click.echo(as_markdown(compared_now))
    if keep and not problems:
        KEPT.write_text(json.dumps(compared_now, indent=1) + "\n", encoding="utf-8")
    for each in problems:
        click.echo(each, err=True)
    sys.exit(bool(problems))


def _announce(part: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"measuring: {part} ...", err=True)


if __name__ == "__main__":
    benchmark()
