"""``doorctl check-config``: every problem of a configuration at once."""

from __future__ import annotations

from pathlib import Path

import click

from doorctl.cli.options import config_option, read_config, set_option
from doorctl.config import Config, past_exceptions
from doorctl.core.errors import ConfigError
from doorctl.core.identity import as_root, unshared
from doorctl.devices.pins import relay_risks
from doorctl.services.app import system_clock


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[F]")
@config_option
@set_option
def check_config(file: Path | None, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Check the configuration file F and say all that is wrong with it, one line a problem.

    Dated hours that are past are wrong here alone; no process refuses to start for them. What is
    wrong with the machine is told too, and is no mistake of the file's.
    """
    path = file or config_path
    config = read_config(path, overrides)
    _refuse_the_past(path, config)
    storage = config.storage
    with as_root():
        shared = tuple(unshared(storage.directory, storage.door_directory))
    for risk in (*relay_risks(config.gpio.factory), *shared):
        click.echo(f"{path}: {risk}", err=True)
    click.echo(f"{path}: good, for branch {config.branch.id} ({config.branch.name})")


def _refuse_the_past(path: Path, config: Config) -> None:
    # Also by a clock that is not set: nothing but this is refused by it, and a person reads why.
    today = system_clock(config).moment().local.date()
    problems = tuple(past_exceptions(config.opening, today))
    if problems:
        raise ConfigError(str(path), problems)
