"""``doorctl init``: keys and databases."""

from __future__ import annotations

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.wiring.installation import initialise


@click.command()
@with_config
def init(config: Config) -> None:
    """Make the installation key and the empty databases of a new branch.

    Overwrites nothing: a key that is there is kept, because branches can share one, and if a
    database is there already, nothing is changed.
    """
    done = initialise(config)
    for path in done.kept:
        click.echo(f"kept {path}")
    for path in done.made:
        click.echo(f"made {path}")
    click.echo(
        "Keep a copy of the key in a safe place: without it every patron must be sealed again."
    )
    click.echo("Next: doorctl patrons load FEED.ndjson --full")
