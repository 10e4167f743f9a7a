"""``python -m tests.extras``: each extra deleted alone, then all; exit 1 if the rest fails."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import click

from doorctl.config.extras import EXTRAS
from tests.extras.copies import ASKING, Copy

TESTED = ("tests/access", "tests/cards", "tests/door", "tests/doord")
"""What is tried in each copy, but for files that name what was deleted. Tests of the configuration
are left out: they hold the example file, which shows every extra's keys, against all tables."""


def lives_without(names: Iterable[str]) -> str:
    """Return what fails without these extras; empty for nothing."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy.of(Path(directory, "copy"))
        for name in names:
            copy.delete(name)
        copy.configure("")
        shown, tested = copy.run("demo", "--once"), copy.test(*TESTED)
        copy.configure("".join(ASKING[name] for name in [*names][:1]))
        refused = copy.run("check-config")
    if "10 of 10" not in shown.stdout:
        return f"demo --once: {shown.stdout[-2000:]}{shown.stderr[-2000:]}"
    if tested.returncode:
        return f"tests: {tested.stdout[-4000:]}"
    told = refused.stderr.splitlines()
    return "" if (refused.returncode, len(told)) == (1, 1) else f"check-config: {told}"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--draw", type=int, help="Only the extra that this number draws, alone; and all.")
def whole(names: tuple[str, ...], draw: int | None) -> None:
    """Delete each extra, or those of these NAMES, alone; and all of them."""
    known = names or tuple(extra.name for extra in EXTRAS)
    alone = known if draw is None else (known[draw % len(known)],)
    failed = False
    for gone in (*((name,) for name in alone), known):
        began = time.monotonic()
        why = lives_without(gone)
        failed |= bool(why)
        state = why or "the rest lives"
        click.echo(f"without {', '.join(gone)}: {state} ({time.monotonic() - began:.0f} s)")
    sys.exit(failed)


if __name__ == "__main__":
    whole()
