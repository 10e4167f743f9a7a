"""``doorctl visits``: the door log."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import groupby
from typing import Any

import click

from doorctl.access.patron import SENTENCES, Reason
from doorctl.cli.options import IsoTime, json_option, with_config
from doorctl.cli.staff_options import why_option
from doorctl.config import Config
from doorctl.core.moments import ClockState
from doorctl.ports import Visit
from doorctl.services import visits as desk
from doorctl.services.app import retention, system_clock


@click.group()
def visits() -> None:
    """Look at the door log: never older than the retention, purged or not."""


@visits.command("list")
@click.option("--since", type=IsoTime(), help="From this local time on.")
@why_option
@json_option
@with_config
def list_visits(config: Config, since: datetime | None, why: str, as_json: bool) -> None:
    """List attempts, oldest first: time, attempt, card, outcome.

    A card is shown as a pseudonym; ? marks a time by a clock that nobody vouched for.
    """
    _tell_hidden(config)
    shown = desk.list_visits(config, since, why)
    if as_json:
        click.echo(json.dumps([visit_as_dict(visit) for visit in shown]))
        return
    if not shown:
        click.echo("no visits")
    branch = desk.zone(config)
    english = config.branch.language == "en"
    for day, of_day in groupby(shown, key=lambda visit: visit.at.astimezone(branch).date()):
        click.secho(day.isoformat(), bold=True)
        for visit in of_day:
            click.echo(visit_as_line(visit, visit.at.astimezone(branch), english=english))


def _tell_hidden(config: Config) -> None:
    """Say which visits are hidden since a clock was far ahead: an empty list is a riddle."""
    moment = system_clock(config).moment()
    if not moment.in_doubt:
        return
    from_then = f"{moment.high_water - retention(config):%Y-%m-%d}"
    click.echo(
        f"doorctl: a trusted clock once said {moment.high_water:%Y-%m-%d}; "
        f"visits before {from_then} are hidden",
        err=True,
    )


def visit_as_dict(visit: Visit) -> dict[str, Any]:
    """Return a visit as ``--json`` prints it."""
    return {
        "attempt": visit.attempt,
        "at": visit.at.isoformat(timespec="milliseconds"),
        "clock": visit.clock.value,
        "verdict": visit.verdict,
        "reason": visit.reason,
        "card": visit.card,
    }


def visit_as_line(visit: Visit, local: datetime, *, english: bool) -> str:
    """Return a visit as one line, with its time of day in the branch's zone."""
    doubt = " " if visit.clock is ClockState.TRUSTED else "?"
    head = f"{local:%H:%M:%S}{doubt} {visit.attempt:5}  {visit.card or '-':8}"
    if visit.reason is None:
        return f"{head}  · open"
    reason = Reason(visit.reason)
    mark, colour = ("✓", "green") if reason is Reason.OK else ("✗", "red")
    told = click.style(f"{mark} {reason.value:15}", fg=colour)
    return f"{head}  {told} {SENTENCES[reason][english]}"
