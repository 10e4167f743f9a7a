"""``doorctl status``: does the door decide, and on which data?"""

from __future__ import annotations

import json
from typing import Any

import click

from doorctl.cli.options import json_option, with_config
from doorctl.config import Config
from doorctl.services import status as state

SOMETHING_STANDS = 3


@click.command()
@json_option
@with_config
def status(config: Config, as_json: bool) -> None:
    """Say how the door process and its databases are.

    Exit 0 if all is well, 1 if the door is not running, 3 if it decides but something stands: an
    alarm, or a database that is missing, old or can't be read.
    """
    found = state.status(config)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for key, value in found.items():
            click.echo(f"{key:16} {_shown(value)}")
    if not found["running"]:
        click.echo("doorctl: the door process is not running", err=True)
        raise SystemExit(1)
    if found["alarms"] != [] or found["problem"] is not None:
        click.echo("doorctl: the door decides, but something stands; see alarms, problem", err=True)
        raise SystemExit(SOMETHING_STANDS)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one['kind']} since {one['since']}" for one in value) or "none"
    return "-" if value is None else str(value)
