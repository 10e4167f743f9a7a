"""``doorctl backup``: a copy of the data that is stored nowhere else."""

from __future__ import annotations

from pathlib import Path

import click

from doorctl.cli.options import config_option, read_config, set_option
from doorctl.services.visits import back_up


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@config_option
@set_option
def backup(file: Path, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Copy branch.db to a new file, whole, while doorctl runs; overwrites nothing.

    `cp` is no backup: it misses what still lies in branch.db-wal. The copy holds bans, passes and
    accounts: keep it where only those get at it who may see them, and no longer than 30 days.
    """
    also = back_up(read_config(config_path, overrides), file.absolute())
    click.echo(f"made {file}, a copy of branch.db")
    click.echo("Copy these too, and keep the keys among them apart from it:")
    for path in (config_path.absolute(), *also):
        click.echo(f"  {path}")
    click.echo(
        "Not in it: patrons, whom the next push brings, and the door log, which has to be gone "
        "after its days."
    )
