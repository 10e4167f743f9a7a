"""``tests/pi/run``: build the emulated Pi, boot it, do to it what happens to one, print a table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import click

from tests.pi import scenarios
from tests.pi.booting import living
from tests.pi.build import Parts, built
from tests.pi.guest import Guest
from tests.pi.table import Result, as_table

CACHE = Path("/var/tmp/doorctl-pi")  # noqa: S108 - root's, and too big for /tmp

Scenario = Callable[[Guest, str], Iterator[Result]]

KEEPS = "keeps"
FREES = "frees"

KERNELS = (KEEPS, FREES)
"""As Raspberry Pi OS has it, then as Debian has it."""

SCENARIOS: tuple[Scenario, ...] = (
    scenarios.wrong_clock,
    scenarios.visits,
    scenarios.web,
    scenarios.faults,
    scenarios.replugging,
)


@click.command()
@click.option(
    "--cache", type=click.Path(path_type=Path), default=CACHE, help="Where what is built is kept."
)
@click.option("--build-only", is_flag=True, help="Build, and boot nothing.")
@click.option("--outputs", type=click.Choice(KERNELS), help="One round; both by default.")
@click.option("--only", multiple=True, help="Scenarios by name, such as faults; default all.")
def run(cache: Path, build_only: bool, outputs: str | None, only: tuple[str, ...]) -> None:
    """Print what became of each scenario. Exit 1 if one failed. Takes about 28 minutes."""
    parts = built(cache, _tell)
    if build_only:
        return
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache) as directory:
        results = [
            result
            for kernel in KERNELS
            if outputs in {None, kernel}
            for result in _round(
                parts,
                Path(directory) / kernel,
                kernel,
                [each for each in SCENARIOS if not only or each.__name__ in only],
            )
        ]
    click.echo(as_table(results))
    sys.exit(not all(result.ok for result in results))


def _round(parts: Parts, directory: Path, kernel: str, wanted: list[Scenario]) -> Iterator[Result]:
    """Boot, go through the scenarios, cut the power in mid-pulse, and boot the same card again."""
    directory.mkdir(parents=True)
    own = Parts(directory / "card", parts.kernel, parts.initrd, parts.device_tree)
    subprocess.run(["cp", "--sparse=always", parts.card, own.card], check=True)
    with _living(own, directory / "first", kernel, scenarios.booting) as (guest, results):
        yield from results
        for scenario in wanted:
            yield from _told(scenario, guest, kernel)
        yield from _told(scenarios.in_mid_pulse, guest, kernel)
    with _living(own, directory / "second", kernel, scenarios.booting_again) as (guest, results):
        yield from results
        yield from _told(scenarios.after_power_cut, guest, kernel)


def _living(
    parts: Parts, directory: Path, kernel: str, booting: Scenario
) -> AbstractContextManager[tuple[Guest, list[Result]]]:
    def start(number: int) -> Guest:
        return Guest(parts, directory / str(number), persist=kernel == KEEPS)

    return living(start, lambda guest: list(_told(booting, guest, kernel)), _tell)


def _told(scenario: Scenario, guest: Guest, kernel: str) -> Iterator[Result]:
    try:
        for result in scenario(guest, kernel):
            _tell("  ".join(result.cells()))
            yield result
    except (OSError, RuntimeError, ValueError) as error:
        result = Result(scenario.__name__, kernel, str(error), "", ok=False)
        _tell("  ".join(result.cells()))
        yield result


def _tell(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    run()
