"""``doorctl run``: the door process."""

from __future__ import annotations

import os
import sys

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.ops.memory import do_without_tls


@click.command()
@with_config
def run(config: Config) -> None:
    """Run the door until a signal ends it: reader, keypad, decision, relay, door log.

    Prints one JSON line an event on stdout. The relay goes off first when it starts, and when
    it stops for whatever reason.
    """
    do_without_tls()
    from doorctl.wiring.door import open_door  # noqa: PLC0415 - asyncio comes with it

    sys.exit(open_door(config, os.environ, sys.stdout.fileno()))
