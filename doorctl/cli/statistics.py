"""``doorctl statistics``: how much the door is used, in counts."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from datetime import date
from typing import Any

import click

from doorctl.cli.options import ISO_DATE, json_option, print_json, with_app
from doorctl.config import Config
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.statistics import (
    ROUNDED_TO,
    By,
    Cell,
    K,
    Statistics,
    Total,
    rows,
    told,
    widened,
)
from doorctl.services.branch import note
from doorctl.services.statistics import statistics as statistics_of


@click.command()
@click.option("--since", type=ISO_DATE, help="A day of the first month; see above.")
@click.option("--until", type=ISO_DATE, help="A day of the last month.")
@click.option(
    "--by",
    type=click.Choice([by.value for by in By if by is not By.DAY]),
    default=By.HOUR.value,
    show_default=True,
    help="What hours are gathered into: hours of the day, weekdays or months, in local time.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@with_app
def statistics(
    app: App, since: date | None, until: date | None, by: str, *, as_json: bool, as_csv: bool
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
    counts = statistics_of(app, since, until).table(By(by))
    note(app, Deed(Action.STATISTICS_READ, details={"cells": len(counts.cells)}))
    if as_json:
        print_json(_counts_as_dict(app.config, since, until, by, counts))
    elif as_csv:
        text = io.StringIO()
        csv.writer(text).writerows(rows(app.config.branch.id, counts))
        click.echo(text.getvalue(), nl=False)
    else:
        _print(counts)


def _counts_as_dict(
    config: Config, since: date | None, until: date | None, by: str, counts: Statistics
) -> dict[str, Any]:
    return {
        "branch": config.branch.id,
        "since": since,
        "until": until,
        "by": by,
        "hidden_below": K,
        "rounded_to": ROUNDED_TO,
        "cells": [cell._asdict() for cell in counts.cells],
        "totals": [asdict(total) for total in counts.totals],
    }


def _print(counts: Statistics) -> None:
    if not counts.cells:
        click.echo("nothing was counted")
        return
    group = ""
    for cell in counts.cells:
        if cell.group != group:
            group = cell.group
            click.secho(group, bold=True)
        click.echo(_cell_as_line(cell, told(cell.count)))
    click.secho("all that is shown", bold=True)
    for total in counts.totals:
        click.echo(_cell_as_line(total, f"{total.count}{' or more' if total.short else ''}"))


def _cell_as_line(cell: Cell | Total, count: str) -> str:
    return f"  {cell.mode:12} {cell.kind:8} {cell.outcome:15} {count:>6}"
