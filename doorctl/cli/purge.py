"""``doorctl purge``: delete visits that are too old, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from doorctl.cli.options import counted, json_option, print_json, with_app
from doorctl.cli.status import DOUBT
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.retention import WATCHED_S
from doorctl.services import purging
from doorctl.services.branch import note_done


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
