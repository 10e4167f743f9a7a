"""``doorctl alarm send``: does an alarm reach its recipients?"""

from __future__ import annotations

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.ports import NotSentError
from doorctl.services.alarm_ways import send_now


@click.group()
def alarm() -> None:
    """Alarms that leave the house."""


@alarm.command()
@click.argument("kind", default="test")
@click.option("--why", default="", help="A few words of your own; they name nobody.")
@with_config
def send(config: Config, kind: str, why: str) -> None:
    """Send an alarm by every way of [alarms], now. KIND is one of README's list, else test.

    It is not held back, however many were sent. Exit 1 if it did not go by one of them.
    """
    failed = send_now(config, kind, why)
    if failed:
        raise NotSentError("; ".join(f"{name}: {told}" for name, told in failed.items()))
    click.echo(f"{kind}: sent")
