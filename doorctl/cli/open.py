"""``doorctl open`` and ``doorctl trust-clock``: requests of staff to the running door."""

from __future__ import annotations

import click

from doorctl.cli.options import with_app
from doorctl.cli.staff_options import caller
from doorctl.privacy.audit import Action, Deed
from doorctl.services import opening
from doorctl.services.app import App
from doorctl.services.records import note_done
from doorctl.services.visits import ANSWER_LIMIT_S


@click.command("open")
@click.option("--reason", required=True, metavar="R", help="Why, in a few words; nobody's name.")
@with_app
def open_once(app: App, reason: str) -> None:
    """Have the running door open once, as if a card had been let in. It stands in the log."""
    opening.open_once(app, reason, caller(), ANSWER_LIMIT_S)
    note_done(app, Deed(Action.OPENED_ONCE, why=reason))
    click.echo("The door is released, once.")


@click.command("trust-clock")
@with_app
def trust_clock(app: App) -> None:
    """Say that the clock, which is in doubt after a jump, is right. Look at it first: date."""
    at = opening.trust_clock(app, ANSWER_LIMIT_S)
    note_done(app, Deed(Action.CLOCK_TRUSTED))
    click.echo(f"The clock is right: {at}")
