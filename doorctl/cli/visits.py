"""The logs' commands: ``visits``, ``hold``, ``statistics``, ``purge`` and ``audit``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime, time, tzinfo
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from doorctl.access.calendar import ONE_DAY
from doorctl.access.patron import SENTENCES, Reason
from doorctl.cli.options import (
    GIVEN_NUMBER,
    ISO_DATE,
    ISO_TIME,
    Written,
    counted,
    instant,
    json_option,
    picked,
    print_json,
    print_list,
    why_option,
    with_app,
)
from doorctl.cli.processes import DOUBT
from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.core.moments import ClockState, Moment
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.audit import Action, Deed, Entry
from doorctl.privacy.audit_chain import Head, Verdict
from doorctl.privacy.holds import LONGEST, Hold
from doorctl.privacy.retention import WATCHED_S
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
from doorctl.services import branch as book
from doorctl.services import purging
from doorctl.services import visits as log
from doorctl.services.branch import note, note_done
from doorctl.store.door_log import Visit


@click.group()
def visits() -> None:
    """Look at the door log: never older than the retention, purged or not."""


@visits.command("list")
@click.option("--since", type=ISO_TIME, help="From this local time on.")
@why_option
@json_option
@with_app
def list_visits(app: App, since: datetime | None, why: str, as_json: bool) -> None:
    """List attempts, oldest first: time, attempt, card, outcome.

    A card is shown as a pseudonym; ? marks a time by a clock that nobody vouched for.
    """
    _tell_hidden(app)
    shown = log.list_visits(app, since, why)
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
            yield _visit_as_line(visit, visit.at.astimezone(branch), english=english)


def _visit_as_line(visit: Visit, local: datetime, *, english: bool) -> str:
    doubt = " " if visit.clock is ClockState.TRUSTED else "?"
    head = f"{local:%H:%M:%S}{doubt} {visit.attempt:5}  {visit.card or '-':8}"
    if visit.reason is None:
        return f"{head}  · open"
    reason = Reason(visit.reason)
    mark, colour = ("✓", "green") if reason is Reason.OK else ("✗", "red")
    outcome = click.style(f"{mark} {reason.value:15}", fg=colour)
    return f"{head}  {outcome} {SENTENCES[reason][english]}"


@click.group()
def hold() -> None:
    """Keep a part of the door log beyond the retention: for an incident, with an end."""


@hold.command("add")
@click.option("--from", "since", type=ISO_TIME, required=True, help="Where the window begins.")
@click.option("--to", type=ISO_TIME, required=True, help="Where the window ends.")
@click.option("--case", required=True, metavar="NUMBER", help="The case's number elsewhere.")
@click.option("--reason", required=True, metavar="TEXT", help="What happened; nobody's name.")
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
    added = purging.add_hold(app, Hold(*window, case, reason, after, app.by))
    click.echo(f"Hold {added.number} holds until the end of {last}.")


@hold.command("list")
@json_option
@with_app
def list_holds(app: App, as_json: bool) -> None:
    """List the holds, oldest first; a purge takes what is over."""
    stored, moment = purging.stored_holds(app)
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
    purging.lift_hold(app, number)
    click.echo(f"Hold {number} is lifted.")


@hold.command("show")
@click.argument("number", type=GIVEN_NUMBER)
@why_option
@json_option
@with_app
def show_hold(app: App, number: int, why: str, as_json: bool) -> None:
    """List what the hold NUMBER holds; a card is a pseudonym."""
    held = purging.show_hold(app, number, why)
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
        (f"{to:%Y-%m-%d} {_visit_as_line(visit, to, english=english)}" for visit, to in at),
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
    counts = log.statistics(app, since, until).table(By(by))
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


@click.command()
@click.option("--prove", is_flag=True, help="Search the files' bytes too; keep a signed report.")
@click.option(
    "--verify",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Check a report and do nothing else.",
)
@click.option(
    "--believe-clock",
    "believed",
    is_flag=True,
    help="Answer for the clock: look at it first (date).",
)
@json_option
@with_app
def purge(
    app: App, *, prove: bool, report_path: Path | None, believed: bool, as_json: bool
) -> None:
    """Delete visits that are older than the retention, for good.

    The door does so by itself at its start and every 6 hours, a day's visits an hour at most,
    and keeps a signed report each time; if it runs, it is asked to, and takes all at once. What a
    hold holds stays until that ends. While the clock is not set or in doubt, only that goes which
    is old by the earlier time that it can be. --believe-clock says that the clock is right: for
    visits that is so from then on, and who said it stands on the audit log. What has ended on the
    pages (bans, passes, audit) still waits until the clock is sure.
    """
    if report_path is not None:
        if prove or believed:
            raise click.UsageError("give --verify without --prove and --believe-clock")
        _verify(app, report_path, as_json=as_json)
        return
    report = purging.purge_now(app, proved=prove, believed=believed)
    note_done(app, Deed(Action.PURGE_RUN, details={"deleted": report["deleted"]}))
    if as_json:
        print_json(report)
    else:
        gone = counted(report["deleted"], "row")
        click.echo(f"{gone} deleted; nothing before {report['cutoff']} is left")
        if report["clock_doubt"] in DOUBT:
            click.echo(_doubt(report, app.clock.bounded()))
        if "clean" in report:
            click.echo(_proof(report))
            click.echo(f"The signed report: {report['file']}")
    _refuse(report)


def _verify(app: App, path: Path, *, as_json: bool) -> None:
    report = purging.verify(app, path)
    if as_json:
        print_json(report)
    else:
        click.echo(
            f"The signature is right. {report['at']}: {counted(report['deleted'], 'row')} deleted;"
        )
        click.echo(_proof(report))
    _refuse(report)


def _doubt(report: dict[str, Any], moment: Moment) -> str:
    wall = moment.local if moment.bounds is None else moment.bounds.wall
    return DOUBT[report["clock_doubt"]].format(wall.isoformat(timespec="seconds"))


def _proof(report: dict[str, Any]) -> str:
    return (
        f"{counted(report['bytes_read'], 'byte')} read; "
        f"traces found: {report['residue']} of {report['searched']}; "
        f"canaries seen: {report['canaries_seen']} of {report['canaries_kept']} that may be there; "
        f"{counted(report['held'], 'row')} on hold; blocks trimmed: "
        f"{report.get('trim_by_caller', report['trim'])}"
    )


def _refuse(report: dict[str, Any]) -> None:
    if not report["complete"]:
        raise StoreError("rows are deleted, but a reader kept their traces alive; try again")
    if report.get("ahead"):
        raise StoreError(
            f"it is not proved that all is gone: visits lie after now ({report['ahead']}), by a "
            "clock that was wrong then or is now; a door that runs dates them once its clock has "
            f"been right for {WATCHED_S / 3600:.0f} hours"
        )
    if report.get("left"):
        raise StoreError(
            f"{counted(report['left'], 'visit')} may be too old; hidden in every list, and deleted "
            "once the clock is sure: wait, or look at it (date) and run doorctl purge "
            "--believe-clock"
        )
    if not report.get("clean", True):
        raise StoreError(
            f"it is not proved that all is gone: {counted(report['residue'], 'trace')} left; "
            "purge again, and keep the report"
        )


# ``doorctl audit``: who did or looked at what, and the proof that nobody changed the log.


@click.group()
def audit() -> None:
    """Who looked at or changed what, when and why; for half a year."""


@audit.command("list")
@click.option("--since", type=ISO_TIME, help="From this local time on.")
@why_option
@json_option
@with_app
def list_entries(app: App, since: datetime | None, why: str, as_json: bool) -> None:
    """List the audit log, oldest first.

    Number, time, who, what, about whom, why. A card is shown as a pseudonym; ? marks a time by a
    clock that nobody vouched for. That you read it goes on the log too.
    """
    shown = book.audit_entries(app, since, why)
    branch = zone(app.config)
    print_list(
        map(book.as_dict, shown),
        (_entry_as_line(entry, entry.at.astimezone(branch)) for entry in shown),
        as_json=as_json,
        empty="no entries",
    )


@audit.command("verify")
@click.option(
    "--anchor",
    "anchors",
    type=Written("HEAD", Head.read),
    multiple=True,
    help="A head that was kept elsewhere, as the sync job prints it. Can be given again.",
)
@json_option
@with_app
def verify_chain(app: App, anchors: tuple[Head, ...], as_json: bool) -> None:
    """Check that no entry was changed, added in between or taken out. Exit 1 if one was.

    Whoever can write the file can write the whole chain anew; only an anchor tells of that.
    """
    verdict = book.verify_audit(app, anchors)
    if as_json:
        print_json(asdict(verdict) | {"head": str(verdict.head)})
    elif verdict.broken is None:
        click.echo(_verified(verdict, len(anchors)))
    if verdict.broken is not None:
        click.echo(f"doorctl: audit entry {verdict.broken} is wrong: {verdict.why}", err=True)
        raise SystemExit(1)


@audit.command("head")
@with_app
def show_head(app: App) -> None:
    """Print where the log ends, for `audit verify --anchor`."""
    click.echo(str(book.audit_head(app)))


def _verified(verdict: Verdict, anchors: int) -> str:
    lines = [
        f"entries: {verdict.entries}, none changed and none missing; it ends at {verdict.head}",
        f"without their record by now: {verdict.erased}",
    ]
    if verdict.erased_singly:
        lines[-1] += f", {verdict.erased_singly} of these not by age but for a person's sake"
    if anchors:
        lines.append("it agrees with what was kept elsewhere")
    return "\n".join(lines)


def _entry_as_line(entry: Entry, local: datetime) -> str:
    doubt = " " if entry.clock is ClockState.TRUSTED else "?"
    deed = entry.deed
    facts = [
        *(f"card {card}" for card in book.pseudonyms(entry)),
        *(() if deed.patron_ref is None else (f"patron {deed.patron_ref}",)),
        *(f"{name} {value}" for name, value in deed.details.items()),
        *((deed.why,) if deed.why else ()),
    ]
    action = click.style(f"{deed.action.value:19}", bold=True)
    head = f"{entry.number:5} {local:%Y-%m-%d %H:%M:%S}{doubt} {entry.by:12}"
    return f"{head} {action} {'; '.join(facts)}".rstrip()
