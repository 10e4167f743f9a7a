"""``tests/pi/run``: build the emulated Pi, boot it, do to it what happens to one, print a table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import click

from tests.pi import osdp, scenarios, usb
from tests.pi.build import Parts, built
from tests.pi.guest import Guest
from tests.pi.scenarios import Result

CACHE = Path("/var/tmp/doorctl-pi")  # noqa: S108 - root's, and too big for /tmp

Scenario = Callable[[Guest, str], Iterator[Result]]

KEEPS = "keeps"
FREES = "frees"

FAILED = "failed"
"""In the cache, what a Pi said until a row failed: its console and the door's log."""

KERNELS = (KEEPS, FREES)
"""As Raspberry Pi OS has it, then as Debian has it."""

SCENARIOS: tuple[Scenario, ...] = (
    scenarios.wrong_clock,
    scenarios.visits,
    scenarios.web,
    scenarios.faults,
    scenarios.replugging,
    usb.usb,
    osdp.osdp,
)


@click.command()
@click.option(
    "--cache", type=click.Path(path_type=Path), default=CACHE, help="Where what is built is kept."
)
@click.option("--build-only", is_flag=True, help="Build, and boot nothing.")
@click.option("--outputs", type=click.Choice(KERNELS), help="One round; both by default.")
@click.option("--only", multiple=True, help="Scenarios by name, such as faults; default all.")
def run(cache: Path, build_only: bool, outputs: str | None, only: tuple[str, ...]) -> None:
    """Print what became of each scenario. Exit 1 if one failed. Takes about 40 minutes."""
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
                cache / FAILED,
            )
        ]
    click.echo(as_table(results))
    sys.exit(not all(result.ok for result in results))


def _round(
    parts: Parts, directory: Path, kernel: str, wanted: list[Scenario], failed: Path
) -> Iterator[Result]:
    """Boot, go through the scenarios, cut the power in mid-pulse, and boot the same card again."""
    directory.mkdir(parents=True)
    own = Parts(directory / "card", parts.kernel, parts.initrd, parts.device_tree)
    subprocess.run(["cp", "--sparse=always", parts.card, own.card], check=True)
    with _living(own, directory / "first", kernel, scenarios.booting) as (guest, results):
        yield from results
        for scenario in wanted:
            for result in _told(scenario, guest, kernel):
                if not result.ok:
                    guest.keep(failed / f"{kernel}-{scenario.__name__}")
                yield result
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


BOOTS = 4
"""How often at most."""


class Booted(Protocol):
    """A Pi that has been switched on."""

    def usb_is_dead(self) -> bool:
        """Tell whether the emulated bus broke down."""

    def has_pulsed(self) -> bool:
        """Tell whether the relay was ever on."""


PiT = TypeVar("PiT", bound=Booted)


@contextmanager
def living(
    start: Callable[[int], AbstractContextManager[PiT]],
    booting: Callable[[PiT], list[Result]],
    tell: Callable[[str], None],
) -> Iterator[tuple[PiT, list[Result]]]:
    """Give the first Pi whose bus lives, or whose relay moved, and what was seen of its boot.

    In some boots the emulator loses its USB bus for good. The last of :data:`BOOTS` is given
    whatever it is like.

    Args:
        start: switches the Pi on for that time, from 0; leaving it cuts the power.
        booting: watches a boot to its end.
        tell: hears of a boot that is begun again.
    """
    for number in range(BOOTS):
        with start(number) as pi:
            results = booting(pi)
            if number + 1 == BOOTS or pi.has_pulsed() or not pi.usb_is_dead():
                yield pi, results
                return
        tell("the emulator's USB bus broke down; booting again")


HEADS = ("scenario", "kernel", "seen", "limit", "")


def as_table(results: Iterable[Result]) -> str:
    """Return the rows below a heading, each column as wide as its widest cell."""
    rows = [HEADS, *(result.cells() for result in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(as_line(row, widths) for row in rows)


def as_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line, without blanks at its end."""
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


if __name__ == "__main__":
    run()
