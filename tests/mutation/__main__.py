"""``python -m tests.mutation [ROOM|FILE...]``: a line for each file, exit 1 for a new survivor."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import click

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.rooms import ROOMS, ROOT, Chosen, chosen, files_of, of_files
from tests.mutation.running import NOTICED, Result, run
from tests.mutation.survivors import as_entry, listed


@click.command()
@click.argument("names", metavar="[ROOM|FILE]...", nargs=-1)
@click.option("--changed", is_flag=True, help="Only files that differ from the last commit.")
@click.option("--sample", type=click.IntRange(min=1), help="So many changes, all in one room.")
@click.option("--seed", type=int, help="What decides which; the day by default.")
@click.option("--slow", is_flag=True, help="Show survivors to the slow tests: minutes for each.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
def mutation(
    *,
    names: Sequence[str],
    changed: bool,
    sample: int | None,
    seed: int | None,
    slow: bool,
    jobs: int,
) -> None:
    """Change the code that decides; each change must fail a test or be listed with a reason."""
    try:
        what = chosen(names)
    except LookupError as err:
        raise click.ClickException(str(err)) from err
    if changed:
        what = of_files(_changed() & {*what.files})
    draw = datetime.now(UTC).toordinal() if seed is None else seed
    if sample is not None:
        what = one_room(what, draw)
    mutants = {name: mutant for file in what.files for name, mutant in mutants_of(file).items()}
    drawn = None if sample is None else drawn_from(mutants, sample, draw)
    reasons = listed()
    looked_at = {name for name, mutant in mutants.items() if slow and mutant not in reasons}
    started = time.monotonic()
    results = run(what, drawn, jobs, looked_at) if mutants else []
    _tell_files(what.files, mutants, results)
    click.echo(f"{len(results)} of {len(mutants)} in {time.monotonic() - started:.0f} s")
    sys.exit(_tell_survivors(mutants, results, reasons))


def one_room(of: Chosen, draw: int) -> Chosen:
    """Return one room's part of what was chosen, another one each day: each room starts slowly."""
    rooms = [part for room in ROOMS if (part := of_files({*of.files} & {*files_of(room)})).files]
    return rooms[draw % len(rooms)] if rooms else of


def drawn_from(names: Iterable[str], sample: int, draw: int) -> list[str]:
    """Return some of the names, the same for the same draw."""
    click.echo(f"draw {draw}")
    ordered = sorted(names)
    return random.Random(draw).sample(ordered, min(sample, len(ordered)))  # noqa: S311 - no secret


def _changed() -> set[str]:
    git = ("git", "diff", "--name-only", "HEAD")
    told = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(told.stdout.split())


def _tell_files(
    files: Iterable[str], mutants: Mapping[str, Mutant], results: Iterable[Result]
) -> None:
    for file in files:
        of_file = [one for one in results if mutants[one.name].file == file]
        count = Counter(one.status for one in of_file)
        survived = len(of_file) - sum(count[status] for status in NOTICED)
        click.echo(
            f"{file}: {len(of_file)} mutants, {count['killed']} killed, {survived} survived, "
            f"{count['timeout']} timeouts, {sum(one.seconds for one in of_file):.0f} s"
        )


def _tell_survivors(
    mutants: Mapping[str, Mutant], results: Iterable[Result], reasons: Mapping[Mutant, str]
) -> int:
    """Tell of survivors that are not listed, and of what is listed in vain; return how many."""
    new, noticed = set[Mutant](), set[Mutant]()
    for one in results:
        (noticed if one.status in NOTICED else new).add(mutants[one.name])
    for mutant in sorted(new - {*reasons}):
        click.echo(as_entry(mutant) + "\n")
    # The same lines may stand in a function twice; one that survives is reason enough.
    for mutant in sorted((noticed - new) & {*reasons}):
        click.echo(f"listed, and noticed by now: {mutant}")
    gone = gone_from(reasons, mutants.values())
    for mutant in gone:
        click.echo(f"listed, and there is no such change: {mutant}")
    return len(new - {*reasons}) + len(gone)


def gone_from(reasons: Iterable[Mutant], mutants: Collection[Mutant]) -> list[Mutant]:
    """Return what is listed for a file, and no change of it any more."""
    there = set(mutants)
    files = {mutant.file for mutant in there}
    return sorted(one for one in reasons if one.file in files and one not in there)


if __name__ == "__main__":
    mutation()
