"""``doorctl visits``: look at the door log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import groupby

import click

from doorctl.access.patron import SENTENCES, Reason
from doorctl.cli.options import ISO_TIME, json_option, print_list, why_option, with_app
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.services import visits as log
from doorctl.store.door_log import Visit


@click.group()
def visits() -> None:
    """Look at the door log: never older than the retention, purged or not."""


@visits.command("list")
@click.option("--since", type=ISO_TIME, help="From this local time on.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N alone.")
@why_option
@json_option
@with_app
def list_visits(
    app: App, since: datetime | None, last: int | None, why: str, as_json: bool
) -> None:
    """List attempts, oldest first: time, attempt, card, outcome.

    A card is shown as a pseudonym; ? marks a time by a clock that nobody vouched for.
    """
    _tell_hidden(app)
    shown = log.list_visits(app, since, why, last)
    print_list(
        map(log.as_dict, shown),
        _by_days(shown, zone(app.config), english=app.config.branch.language == "en"),
        as_json=as_json,
        empty="no visits",
    )


def _tell_hidden(app: App) -> None:
    """Say which visits are hidden while the clock is in doubt: an empty list explains nothing."""
    if hidden := log.hidden(app):
        click.echo(
            f"doorctl: the clock is not set or in doubt, and it may be {hidden.now:%Y-%m-%d}; "
            f"visits before {hidden.before:%Y-%m-%d} are hidden",
            err=True,
        )


def _by_days(shown: Sequence[Visit], branch: tzinfo, *, english: bool) -> Iterator[str]:
    for day, of_day in groupby(shown, key=lambda visit: visit.at.astimezone(branch).date()):
        yield click.style(day.isoformat(), bold=True)
        for visit in of_day:
            yield visit_as_line(visit, visit.at.astimezone(branch), english=english)


def visit_as_line(visit: Visit, local: datetime, *, english: bool) -> str:
    """Return a visit as the list shows it, at its `local` time."""
    doubt = " " if visit.clock is ClockState.TRUSTED else "?"
    head = f"{local:%H:%M:%S}{doubt} {visit.attempt:5}  {visit.card or '-':8}"
    if visit.reason is None:
        return f"{head}  · open"
    reason = Reason(visit.reason)
    mark, colour = ("✓", "green") if reason is Reason.OK else ("✗", "red")
    outcome = click.style(f"{mark} {reason.value:15}", fg=colour)
    return f"{head}  {outcome} {SENTENCES[reason][english]}"
