"""``python -m tests.benchmark``: measure, print, and judge only if asked to."""

from __future__ import annotations

import compileall
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

import doorctl
from tests.benchmark import machine
from tests.benchmark.parts import PARTS, measured, wrong
from tests.benchmark.plan import FULL, MILLION, QUICK
from tests.benchmark.table import as_json, as_table


@click.command()
@click.option("--quick", is_flag=True, help="Under a minute, for each commit; fewer repeats.")
@click.option(
    "--million", is_flag=True, help="Also time grants at a register of 1,000,000, and push one."
)
@click.option("--part", type=click.Choice(list(PARTS)), multiple=True, help="Measure that alone.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON, for scripts.")
@click.option(
    "--gate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="FACTOR",
    help="Exit 1 if a figure is more than FACTOR times its budget.",
)
def benchmark(
    quick: bool, million: bool, part: tuple[str, ...], as_json_: bool, gate: float | None
) -> None:
    """Print how fast and how small the door is on this machine, each figure beside its floor.

    Exit 0 whatever the figures are, unless --gate is given, and 1 if a row is missing; anything
    that breaks is a traceback.
    """
    plan = QUICK if quick else FULL
    if million:
        plan = replace(plan, sizes=(*plan.sizes, MILLION), received=MILLION)
    # As pip leaves it. A process that may not write its bytecode compiles doorctl at each start,
    # which takes time and leaves 0.6 MB behind (measured).
    compileall.compile_dir(Path(doorctl.__file__).parent, quiet=1)
    before = time.monotonic()
    here = machine.described()
    with tempfile.TemporaryDirectory(prefix="doorctl-benchmark-") as work:
        figures = measured(plan, Path(work), _tell, part)
    here["took"] = f"{time.monotonic() - before:.0f} s"
    click.echo(as_json(here, figures) if as_json_ else as_table(here, figures))
    lacking = [] if part or million else wrong(figures)
    for each in lacking:
        click.echo(each, err=True)
    missed = [one for one in figures if gate and (one.of_budget or 0) > gate]
    for figure in missed:
        click.echo(f"over {gate:g} x its budget: {figure.part}, {figure.what}", err=True)
    sys.exit(bool(missed or lacking))


def _tell(part: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"measuring: {part} ...", err=True)


if __name__ == "__main__":
    benchmark()
