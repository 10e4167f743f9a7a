"""``python -m tests.fuzz [TARGET...]``: kept inputs, then guided ones, then very many."""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from tests.fuzz.targets import NAMES, Count, counted, keep, targets

# Inputs that atheris makes: it sees which branches an input took, and goes on from new ones.

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


SHARE = 1_000
"""Of the inputs asked for, each other target than the reader gets this part: they are slower."""

ROW = "{:<10}{:>8}{:>12}{:>8}{:>14}{:>9}{:>10}  {}"


@click.command()
@click.argument("names", nargs=-1, metavar="[TARGET...]")
@click.option("--inputs", default=10_000_000, show_default=True, help="For the reader; see below.")
@click.option("--seconds", default=10, show_default=True, help="Of guided fuzzing, each target.")
@click.option("--seed", type=int, help="Of all of them; a fresh one by default.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
def fuzz(names: Sequence[str], *, inputs: int, seconds: int, seed: int | None, jobs: int) -> None:
    """Feed readers of foreign bytes what nobody meant; exit 1 if one of them broke.

    Targets: reader, keypad, keyboard, push, config, feed, form, card_bits, osdp_line, mapped. All
    but the reader get a thousandth of its inputs. What broke one is kept in tests/fuzz/corpus and
    tried first from then on.
    """
    if unknown := set(names) - set(NAMES):
        raise click.UsageError(f"there is no target {', '.join(sorted(unknown))}")
    seed = secrets.randbelow(1_000_000_000) if seed is None else seed
    click.echo(f"seed {seed}")
    click.echo(ROW.format("target", "kept", "guided", "fresh", "mutated", "cpu s", "us each", ""))
    plan = Plan(inputs, seconds, seed, jobs)
    failures = [told for name in names or NAMES for told in _fuzzed(name, plan)]
    for failure in failures:
        click.echo(failure, err=True)
    sys.exit(bool(failures))


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for; see the command's options."""

    inputs: int
    seconds: int
    seed: int
    jobs: int


def _fuzzed(name: str, plan: Plan) -> Iterator[str]:
    began_s = time.monotonic()
    kept_ones, broken = _replayed(name)
    guide = guided(name, plan.seconds, plan.seed) if plan.seconds else Guided(ran=True)
    wanted = plan.inputs if name == "reader" else plan.inputs // SHARE
    counts = list(_counted(name, wanted, plan))
    done, cpu_s = sum(one.inputs for one in counts), sum(one.cpu_s for one in counts)
    click.echo(
        ROW.format(
            name,
            kept_ones,
            f"{guide.runs:,}" if guide.ran else "-",
            len(guide.fresh),
            f"{done:,}",
            f"{cpu_s:.1f}",
            f"{cpu_s / max(done, 1) * 1e6:.1f}",
            f"{time.monotonic() - began_s:.0f} s",
        )
    )
    yield from broken
    if not guide.ran:
        yield f"{name}: the guided run failed: {guide.told}"
    for data in guide.broken:
        yield f"{name}: broken by {keep(name, data)}\n{guide.told}"
    for one in counts:
        if one.failure is not None:
            where = keep(name, one.broken) if one.broken else "a stream"
            yield f"{name}: broken by {where}\n{one.failure}"


def _replayed(name: str) -> tuple[int, list[str]]:
    broken = []
    with targets() as all_of_them:
        target = all_of_them[name]
        for data in target.stock.kept:
            try:
                target.check(data)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
                broken.append(f"{name}: a kept input breaks it: {data[:80]!r}: {error!r}")
        return len(target.stock.kept), broken


def _counted(name: str, inputs: int, plan: Plan) -> Iterator[Count]:
    seeds = range(plan.seed, plan.seed + plan.jobs)
    with ProcessPoolExecutor(plan.jobs) as pool:
        shares = [pool.submit(_share, name, inputs // plan.jobs, seed) for seed in seeds]
        yield from (share.result() for share in shares)


def _share(name: str, inputs: int, seed: int) -> Count:
    with targets() as all_of_them:
        return counted(all_of_them[name], inputs=inputs, seed=seed)


if __name__ == "__main__":
    fuzz()
