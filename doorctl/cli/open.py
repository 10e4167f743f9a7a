"""``doorctl open`` and ``doorctl trust-clock``: requests of staff to the running door."""

from __future__ import annotations

import click

from doorctl.cli.options import with_config
from doorctl.cli.staff_options import caller
from doorctl.config import Config
from doorctl.privacy.audit import Action, Deed
from doorctl.services import opening
from doorctl.services.app import system_clock
from doorctl.services.records import note_done
from doorctl.services.visits import ANSWER_LIMIT_S


@click.command("open")
@click.option("--reason", required=True, metavar="R", help="Why, in a few words; nobody's name.")
@with_config
def open_once(config: Config, reason: str) -> None:
    """Have the running door open once, as if a card had been let in. It stands in the log."""
    opening.open_once(config, system_clock(config), reason, caller(), ANSWER_LIMIT_S)
    note_done(config, Deed(Action.OPENED_ONCE, why=reason))
    click.echo("The door is released, once.")


@click.command("trust-clock")
@with_config
def trust_clock(config: Config) -> None:
    """Say that the clock, which is in doubt after a jump, is right. Look at it first: date."""
    at = opening.trust_clock(config, ANSWER_LIMIT_S)
    note_done(config, Deed(Action.CLOCK_TRUSTED))
    click.echo(f"The clock is right: {at}")
