"""``doorctl keys``: a new installation key, after a theft."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.wiring import installation


@click.group()
def keys() -> None:
    """Take a new installation key into use, after a Pi was stolen."""


@keys.command()
@click.option("--stolen", metavar="BRANCH", multiple=True, help="Refuse while BRANCH is a target.")
@partial(with_config, sending=True)
def rotate(config: Config, stolen: tuple[str, ...]) -> None:
    """Make the next key on the sender, or on a machine that has none.

    The old key is served until every target has the new one; then `doorctl sync push` drops it.
    """
    path = installation.rotate(config, stolen)
    click.echo(f"made {path}")
    click.echo(
        "Next, on each branch: copy it there, stop doorctl-door and doorctl-web, run "
        "`doorctl keys adopt FILE`, start both; then doorctl sync push here."
    )


@keys.command()
@click.argument("new", type=click.Path(path_type=Path), metavar="FILE")
@with_config
def adopt(config: Config, new: Path) -> None:
    """Take the key FILE into use on this branch, while doorctl-door and doorctl-web are stopped.

    Patrons, bans, passes, the door log and the counts of wrong PINs are carried over. Interrupted,
    run it again. FILE is removed at the end.
    """
    done = installation.adopt(config, new.absolute())
    click.echo("the new key is in use" if done else "the new key was in use already")
    click.echo("Next: systemctl start doorctl-door doorctl-web")
