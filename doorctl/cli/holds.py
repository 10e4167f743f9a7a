"""``doorctl hold``: which visits the purge spares, for which case."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import click

from doorctl.access.wall_time import ONE_DAY
from doorctl.cli.options import (
    GIVEN_NUMBER,
    ISO_DATE,
    ISO_TIME,
    instant,
    json_option,
    picked,
    print_list,
    why_option,
    with_app,
)
from doorctl.cli.visits import visit_as_line
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.holds import LONGEST, Hold
from doorctl.services import holds
from doorctl.services import visits as log


@click.group()
def hold() -> None:
    """Keep a part of the door log beyond the retention: for an incident, with an end."""


@hold.command("add")
@click.option("--from", "since", type=ISO_TIME, required=True, help="Where the window begins.")
@click.option("--to", type=ISO_TIME, required=True, help="Where the window ends.")
@click.option("--case", required=True, metavar="NUMBER", help="The case's number elsewhere.")
@click.option("--reason", required=True, metavar="TEXT", help="What happened, without names.")
@click.option(
    "--until",
    "last",
    type=ISO_DATE,
    required=True,
    help=f"The last day of the hold; at most {LONGEST.days} days from now.",
)
@with_app
def add_hold(
    app: App, *, since: datetime, to: datetime, case: str, reason: str, last: date
) -> None:
    """Keep the visits of a window until the end of a day.

    They are in no list but `doorctl hold show`. When the hold ends, the next purge takes them.
    """
    moment = app.clock.moment()
    after = datetime.combine(last + ONE_DAY, time(), moment.local.tzinfo)
    window = (instant(since, moment), instant(to, moment, last=True))
    added = holds.add_hold(app, Hold(*window, case, reason, after, app.by))
    click.echo(f"Hold {added.number} holds until the end of {last}.")


@hold.command("list")
@json_option
@with_app
def list_holds(app: App, as_json: bool) -> None:
    """List the holds, oldest first; a purge takes what is over."""
    stored, moment = holds.stored_holds(app)
    print_list(
        (_hold_as_dict(held, moment) for held in stored),
        (_hold_as_line(held, moment) for held in stored),
        as_json=as_json,
        empty="There is no hold.",
    )


@hold.command("lift")
@click.argument("number", type=GIVEN_NUMBER)
@with_app
def lift_hold(app: App, number: int) -> None:
    """End the hold NUMBER now; the next purge takes what it held."""
    holds.lift_hold(app, number)
    click.echo(f"Hold {number} is lifted.")


@hold.command("show")
@click.argument("number", type=GIVEN_NUMBER)
@why_option
@json_option
@with_app
def show_hold(app: App, number: int, why: str, as_json: bool) -> None:
    """List what the hold NUMBER holds; a card is a pseudonym."""
    held = holds.show_hold(app, number, why)
    if not held.in_force:
        click.echo(
            f"doorctl: hold {number} is over or the clock is not set, so only what any list "
            "shows is shown",
            err=True,
        )
    branch, english = zone(app.config), app.config.branch.language == "en"
    at = ((visit, visit.at.astimezone(branch)) for visit in held.visits)
    print_list(
        map(log.as_dict, held.visits),
        (f"{to:%Y-%m-%d} {visit_as_line(visit, to, english=english)}" for visit, to in at),
        as_json=as_json,
        empty="no visits",
    )


def _hold_as_dict(held: Hold, moment: Moment) -> dict[str, Any]:
    own = picked(held, "to", "case", "reason", "until", "added_at", "by")
    return {"number": held.number, "from": held.since, **own, "state": _state(held, moment)}


def _hold_as_line(held: Hold, moment: Moment) -> str:
    branch = moment.local.tzinfo
    since, to, until = (at.astimezone(branch) for at in (held.since, held.to, held.until))
    window = f"{since:%Y-%m-%d %H:%M} to {to:%Y-%m-%d %H:%M}"
    end = f"until {until:%Y-%m-%d %H:%M}, {_state(held, moment)}"
    return f"{held.number:4}  {window}  {end}  case {held.case}: {held.reason} ({held.by})"


def _state(held: Hold, moment: Moment) -> str:
    if held.in_force(moment):
        return "in force"
    return "over" if moment.latest_known >= held.until else "in doubt"
