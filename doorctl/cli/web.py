"""``doorctl web``: the web process."""

from __future__ import annotations

import os
import sys

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.wiring.web import open_web


@click.command()
@with_config
def web(config: Config) -> None:
    """Take pushes of patrons over HTTP until SIGTERM or SIGINT; the door decides without it.

    Prints one JSON line an event on stdout. It is the one writer of the patron cache while it
    runs, so `doorctl patrons load` is refused meanwhile.
    """
    sys.exit(open_web(config, os.environ, sys.stdout.fileno()))
