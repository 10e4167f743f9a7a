"""``doorctl hold``: keep a stated part of the door log longer, because something happened."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import Any

import click

from doorctl.cli.options import GIVEN_NUMBER, IsoTime, json_option, with_app
from doorctl.cli.staff_options import IsoDate, caller, instant, why_option
from doorctl.cli.visits import visit_as_dict, visit_as_line
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed, Details
from doorctl.privacy.hold import LONGEST, Hold, HoldAsked
from doorctl.services import holding
from doorctl.services.app import App
from doorctl.services.records import note, note_done
from doorctl.services.visits import zone

ONE_DAY = timedelta(days=1)
IN_FORCE, OVER, IN_DOUBT = "in force", "over", "in doubt"


@click.group()
def hold() -> None:
    """Keep a part of the door log beyond the retention: for an incident, with an end."""


@hold.command()
@click.option("--from", "since", type=IsoTime(), required=True, help="Where the window begins.")
@click.option("--to", type=IsoTime(), required=True, help="Where the window ends.")
@click.option("--case", required=True, metavar="NUMBER", help="The case's number elsewhere.")
@click.option("--reason", required=True, metavar="TEXT", help="What happened; nobody's name.")
@click.option(
    "--until",
    "last",
    type=IsoDate(),
    required=True,
    help=f"The last day of the hold; at most {LONGEST.days} days from now.",
)
@with_app
def add(app: App, *, since: datetime, to: datetime, case: str, reason: str, last: date) -> None:
    """Keep the visits of a window until the end of a day, whatever the retention says.

    They are in no list but `doorctl hold show`. When the hold ends, the next purge takes them.
    """
    moment = app.clock.moment()
    after = datetime.combine(last + ONE_DAY, time(), moment.local.tzinfo)
    window = (instant(since, moment), instant(to, moment, last=True))
    added = holding.add(app, HoldAsked(*window, case, reason, after, caller()))
    span = {"from": _iso(added.since), "to": _iso(added.to), "until": _iso(added.until)}
    details: Details = {"number": added.number, **span}
    note_done(app, Deed(Action.HOLD_ADDED, why=reason, details=details))
    click.echo(f"Hold {added.number} holds until the end of {last}.")


@hold.command("list")
@json_option
@with_app
def list_holds(app: App, as_json: bool) -> None:
    """List the holds, oldest first; one that is over goes with the next purge."""
    stored, moment = holding.stored(app)
    if as_json:
        click.echo(json.dumps([_as_dict(one, moment) for one in stored]))
        return
    if not stored:
        click.echo("There is no hold.")
    for one in stored:
        click.echo(_as_line(one, moment))


@hold.command()
@click.argument("number", type=GIVEN_NUMBER)
@with_app
def lift(app: App, number: int) -> None:
    """End the hold NUMBER now; the next purge takes what it held."""
    holding.lift(app, number, caller())
    note_done(app, Deed(Action.HOLD_LIFTED, details={"number": number}))
    click.echo(f"Hold {number} is lifted.")


@hold.command()
@click.argument("number", type=GIVEN_NUMBER)
@why_option
@json_option
@with_app
def show(app: App, number: int, why: str, as_json: bool) -> None:
    """List the visits that the hold NUMBER holds, oldest first; a card is a pseudonym."""
    held = holding.show(app, number, caller())
    details = {"number": number, "visits": len(held.visits)}
    note(app, Deed(Action.HOLD_SHOWN, why=why, details=details))
    if not held.in_force:
        click.echo(
            f"doorctl: hold {number} is over or the clock is not set, so only what any list "
            "shows is shown",
            err=True,
        )
    if as_json:
        click.echo(json.dumps([visit_as_dict(visit) for visit in held.visits]))
        return
    if not held.visits:
        click.echo("no visits")
    branch, english = zone(app.config), app.config.branch.language == "en"
    for visit in held.visits:
        local = visit.at.astimezone(branch)
        click.echo(f"{local:%Y-%m-%d} {visit_as_line(visit, local, english=english)}")


def _as_dict(hold: Hold, moment: Moment) -> dict[str, Any]:
    return {
        "number": hold.number,
        "from": _iso(hold.since),
        "to": _iso(hold.to),
        "case": hold.case,
        "reason": hold.reason,
        "until": _iso(hold.until),
        "added_at": _iso(hold.added_at),
        "by": hold.by,
        "state": _state(hold, moment),
    }


def _as_line(hold: Hold, moment: Moment) -> str:
    branch = moment.local.tzinfo
    since, to, until = (at.astimezone(branch) for at in (hold.since, hold.to, hold.until))
    window = f"{since:%Y-%m-%d %H:%M} to {to:%Y-%m-%d %H:%M}"
    end = f"until {until:%Y-%m-%d %H:%M}, {_state(hold, moment)}"
    return f"{hold.number:4}  {window}  {end}  case {hold.case}: {hold.reason} ({hold.by})"


def _state(hold: Hold, moment: Moment) -> str:
    if hold.in_force(moment):
        return IN_FORCE
    return OVER if moment.latest_known >= hold.until else IN_DOUBT


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
