"""``doorctl purge``: forget old visits now."""

from __future__ import annotations

import json

import click

from doorctl.bootstrap import desk
from doorctl.cli.options import json_option, with_config
from doorctl.config import Config
from doorctl.errors import StoreError


@click.command()
@json_option
@with_config
def purge(config: Config, as_json: bool) -> None:
    """Delete visits that are older than the retention, for good.

    The door does so by itself at its start and every 6 hours; if it runs, it is asked to.
    """
    report = desk.purge(config)
    if as_json:
        click.echo(json.dumps(report))
    elif not report["postponed"]:
        click.echo(f"{report['deleted']} rows deleted; nothing before {report['cutoff']} is left")
    if report["postponed"]:
        raise StoreError(
            "nothing was deleted: the clock is not set, and a wrong one would delete too much; "
            "wait for the time service, or see clock.trust"
        )
    if not report["complete"]:
        raise StoreError("rows are deleted, but a reader kept their traces alive; try again")
