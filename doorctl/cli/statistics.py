"""``doorctl statistics``: how much the door is used; says nothing of any person."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime
from typing import Any

import click

from doorctl.cli.options import FIRST_YEAR, LAST_YEAR, json_option, with_config
from doorctl.config import Config
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.statistics import ROUNDED_TO, By, Cell, K, Statistics, Total, widened
from doorctl.services import visits
from doorctl.services.app import App
from doorctl.services.records import note

COLUMNS = ("branch", "group", "mode", "kind", "outcome", "count")


class Day(click.ParamType[date]):
    """A day as ISO 8601 writes it."""

    name = "DAY"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Return the day."""
        if isinstance(value, date):
            return value
        try:
            day = datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            self.fail("write it as 2026-11-25", param, ctx)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.fail(f"give a year from {FIRST_YEAR} to {LAST_YEAR}", param, ctx)
        return day


@click.command()
@click.option("--since", type=Day(), help="A day of the first month; see above.")
@click.option("--until", type=Day(), help="A day of the last month.")
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.HOUR.value,
    show_default=True,
    help="What hours are gathered into: hours of the day, weekdays or months, in local time.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@with_config
def statistics(
    config: Config,
    since: date | None,
    until: date | None,
    by: str,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Count attempts by outcome, and who passed the door, over hours, weekdays or months.

    Counts are kept for years and never held a number, card or person. One below 5 is shown as <5,
    all others are rounded to the nearest 5, and totals add up what is shown.

    A period is the month that --since and --until both lie in, else their year, else all time: the
    differences of other periods would tell what is hidden.
    """
    if as_json and as_csv:
        raise click.UsageError("give --json or --csv, not both")
    if since is not None and until is not None and until < since:
        raise click.UsageError("--until lies before --since")
    since, until = widened(since, until)
    found = visits.statistics(config, since, until).table(By(by))
    note(App.of(config), Deed(Action.STATISTICS_READ, details={"cells": len(found.cells)}))
    if as_json:
        click.echo(json.dumps(_as_dict(config, since, until, by, found)))
    elif as_csv:
        click.echo(_as_csv(config, found), nl=False)
    else:
        _tell(found)


def _as_dict(
    config: Config, since: date | None, until: date | None, by: str, found: Statistics
) -> dict[str, Any]:
    return {
        "branch": config.branch.id,
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        "by": by,
        "hidden_below": K,
        "rounded_to": ROUNDED_TO,
        "cells": [
            {"group": cell.group, **_named(cell), "count": cell.count} for cell in found.cells
        ],
        "totals": [
            {**_named(total), "count": total.count, "short": total.short} for total in found.totals
        ],
    }


def _named(one: Cell | Total) -> dict[str, str]:
    return {"mode": one.mode, "kind": one.kind, "outcome": one.outcome}


def _as_csv(config: Config, found: Statistics) -> str:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    for cell in found.cells:
        lines.writerow([config.branch.id, cell.group, *_named(cell).values(), _told(cell.count)])
    return text.getvalue()


def _tell(found: Statistics) -> None:
    if not found.cells:
        click.echo("nothing was counted")
        return
    group = ""
    for cell in found.cells:
        if cell.group != group:
            group = cell.group
            click.secho(group, bold=True)
        click.echo(_line(cell, _told(cell.count)))
    click.secho("all that is shown", bold=True)
    for total in found.totals:
        click.echo(_line(total, f"{total.count}{' or more' if total.short else ''}"))


def _line(one: Cell | Total, count: str) -> str:
    return f"  {one.mode:12} {one.kind:8} {one.outcome:15} {count:>6}"


def _told(count: int | None) -> str:
    return f"<{K}" if count is None else str(count)
