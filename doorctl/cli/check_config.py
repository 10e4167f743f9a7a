"""``doorctl check-config``: every problem of a configuration at once."""

from __future__ import annotations

from pathlib import Path

import click

from doorctl.cli.options import config_option, read_config, set_option


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[F]")
@config_option
@set_option
def check_config(file: Path | None, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Check the configuration file F and say all that is wrong with it, one line a problem.

    What is right but has no effect is a warning: one line on stderr too, and exit 0.
    """
    path = file or config_path
    config = read_config(path, overrides)
    if config.gpio.not_driven is not None:
        click.echo(f"{path}: warning: {config.gpio.not_driven}", err=True)
    click.echo(f"{path}: good, for branch {config.branch.id} ({config.branch.name})")
