"""``doorctl relay-off``: lock the door, whatever happened to the daemon."""

from __future__ import annotations

import click

from doorctl.bootstrap.desk import relay_off as switch_off
from doorctl.cli.options import with_config
from doorctl.config import Config


@click.command("relay-off")
@with_config
def relay_off(config: Config) -> None:
    """Switch the relay off; systemd runs this after the daemon has stopped or died."""
    switch_off(config)
