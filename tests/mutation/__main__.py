"""``python -m tests.mutation [ROOM|FILE...]``: a line for each file, exit 1 for a new survivor."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from mutmut.stats import status_by_exit_code

from tests.mutation.mutants import Mutant, as_entry, listed, mutants_of
from tests.mutation.rooms import (
    COPIED,
    ROOMS,
    Chosen,
    chosen,
    copy_tree,
    files_of,
    of_files,
    python_in,
)

# Runs mutmut over a copy of the tree, never over the checkout.
#
# In the copy hypothesis tries a few examples of each property, the same each time, and looks for no
# smaller one: what a property needs thousands of examples to notice counts as not noticed.

EXAMPLES = 12
PROFILE = f"""

from hypothesis import Phase

settings.register_profile(
    "mutation",
    parent=settings.get_profile("suite"),
    derandomize=True,
    max_examples={EXAMPLES},
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("mutation")
"""
SURVIVED = "survived"
NOTICED = frozenset({"killed", "timeout"})
"""Whatever else comes of a change is a survivor: nothing reached it, or nobody knows."""


@dataclass(frozen=True)
class Result:
    """What came of one change, and how long it took."""

    name: str
    status: str
    seconds: float


def run(chosen: Chosen, names: Sequence[str] | None, jobs: int) -> list[Result]:
    """Change, test, and throw the copy away.

    Args:
        chosen: what to change and what to ask.
        names: mutmut's names of the changes to make; None for all.
        jobs: processes at the same time.

    Raises:
        RuntimeError: the tests fail without any change, or mutmut does not run.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _prepare(copy, chosen)
        _mutmut(copy, names or (), jobs)
        results = _results(copy, chosen.files)
    return [one for one in results if names is None or one.name in set(names)]


def _prepare(copy: Path, chosen: Chosen) -> None:
    copy_tree(copy)
    with (copy / "tests/conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(PROFILE)
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write(_settings(chosen))


def _settings(chosen: Chosen) -> str:
    left_out = [f"--deselect={name}" for name in chosen.slow]
    values = {
        "source_paths": ["doorctl"],
        "only_mutate": chosen.files,
        "also_copy": [name for name in COPIED if name != "doorctl"],
        "pytest_add_cli_args_test_selection": chosen.tests,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", *left_out],
        "timeout_constant": 5,
        # Of 15, a change that never ends takes minutes.
        "timeout_multiplier": 4,
        "use_git_change_detection": False,
    }
    # JSON's lists, texts, numbers and booleans are TOML's too.
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return "\n[tool.mutmut]\n" + "".join(lines)


def _mutmut(copy: Path, names: Iterable[str], jobs: int) -> None:
    ran = python_in(copy, "-m", "mutmut", "run", "--max-children", str(jobs), *names)
    if ran.returncode:
        raise RuntimeError(f"mutmut: {ran.stdout[-3000:]}{ran.stderr[-1000:]}")


def _results(copy: Path, files: Iterable[str]) -> list[Result]:
    results = []
    for file in files:
        meta = json.loads((copy / "mutants" / f"{file}.meta").read_text(encoding="utf-8"))
        lasted = meta["durations_by_key"]
        for name, code in meta["exit_code_by_key"].items():
            status = status_by_exit_code[code]
            results.append(Result(name, status, lasted.get(name) or 0.0))
    return results


@click.command()
@click.argument("names", metavar="[ROOM|FILE]...", nargs=-1)
@click.option("--sample", type=click.IntRange(min=1), help="So many changes, all in one room.")
@click.option("--seed", type=int, help="What decides which; the day by default.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True)
def mutation(*, names: Sequence[str], sample: int | None, seed: int | None, jobs: int) -> None:
    """Change the code that decides; each change must fail a test or be listed with a reason."""
    try:
        what = chosen(names)
    except LookupError as err:
        raise click.ClickException(str(err)) from err
    draw = datetime.now(UTC).toordinal() if seed is None else seed
    if sample is not None:
        what = one_room(what, draw)
    mutants = {name: mutant for file in what.files for name, mutant in mutants_of(file).items()}
    drawn = None if sample is None else drawn_from(mutants, sample, draw)
    reasons = listed()
    started = time.monotonic()
    results = run(what, drawn, jobs) if mutants else []
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
