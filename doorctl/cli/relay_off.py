"""``doorctl relay-off``: lock the door, whatever the state of the daemon."""

from __future__ import annotations

import os
from pathlib import Path

import click

from doorctl.cli.options import config_option, set_option
from doorctl.config import load_gpio
from doorctl.services.locking import lock


@click.command("relay-off")
@config_option
@set_option
def relay_off(config_path: Path, overrides: tuple[str, ...]) -> None:
    """Switch the relay off; systemd runs this after the daemon has stopped or died.

    Of the configuration only [gpio] has to be right.
    """
    lock(load_gpio(config_path, overrides), os.environ)
