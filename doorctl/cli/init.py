"""``doorctl init``: keys and databases."""

from __future__ import annotations

import click

from doorctl.bootstrap.desk import initialise
from doorctl.cli.options import with_config
from doorctl.config import Config


@click.command()
@with_config
def init(config: Config) -> None:
    """Make the installation key and the empty databases of a new branch.

    Overwrites nothing: if the key or a database is there already, nothing is changed.
    """
    for path in initialise(config):
        click.echo(f"made {path}")
    click.echo(
        "Keep a copy of the key in a safe place: without it every patron must be sealed again."
    )
    click.echo("Next: doorctl patrons load FEED.ndjson --full")
