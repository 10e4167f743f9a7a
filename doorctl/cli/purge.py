"""``doorctl purge``: forget old visits now, and prove it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from doorctl.cli.options import json_option, with_config
from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.privacy.audit import Action, Deed
from doorctl.privacy.watched_time import WATCHED_S
from doorctl.services.app import App
from doorctl.services.purging import purge_now, verify
from doorctl.services.records import note_done


@click.command()
@click.option("--prove", is_flag=True, help="Search the files' bytes too; keep a signed report.")
@click.option(
    "--verify",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Check a report and do nothing else.",
)
@json_option
@with_config
def purge(config: Config, *, prove: bool, report_path: Path | None, as_json: bool) -> None:
    """Delete visits that are older than the retention, for good.

    The door does so by itself at its start and every 6 hours, a day's visits an hour at most,
    and keeps a signed report each time; if it runs, it is asked to, and takes all at once. What a
    hold holds stays until that ends.
    """
    if report_path is not None:
        if prove:
            raise click.UsageError("give one of --prove and --verify")
        _verify(config, report_path, as_json=as_json)
        return
    report = purge_now(config, proved=prove)
    if not report["postponed"]:
        note_done(App.of(config), Deed(Action.PURGE_RUN, details={"deleted": report["deleted"]}))
    if as_json:
        click.echo(json.dumps(report))
    elif not report["postponed"]:
        click.echo(f"{report['deleted']} rows deleted; nothing before {report['cutoff']} is left")
        if "clean" in report:
            click.echo(_proof(report))
            click.echo(f"The signed report: {report['file']}")
    _refuse(report)


def _verify(config: Config, path: Path, *, as_json: bool) -> None:
    report = verify(config, path)
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo(f"The signature is right. {report['at']}: {report['deleted']} rows deleted;")
        click.echo(_proof(report))
    _refuse(report)


def _proof(report: dict[str, Any]) -> str:
    return (
        f"{report['bytes_read']} bytes read; "
        f"{report['residue']} of {report['searched']} traces found; "
        f"{report['canaries_seen']} of {report['canaries_kept']} canaries that may be there seen; "
        f"{report['held']} rows on hold; blocks trimmed: "
        f"{report.get('trim_by_caller', report['trim'])}"
    )


def _refuse(report: dict[str, Any]) -> None:
    if report["postponed"]:
        raise StoreError(
            "nothing was deleted: the clock is not set, and a wrong one would delete too much; "
            "wait for the time service, or see clock.trust"
        )
    if not report["complete"]:
        raise StoreError("rows are deleted, but a reader kept their traces alive; try again")
    if report.get("ahead"):
        raise StoreError(
            f"it is not proved that all is gone: {report['ahead']} visits lie after now, by a "
            "clock that was wrong then or is now; a door that runs dates them once its clock has "
            f"been right for {WATCHED_S / 3600:.0f} hours"
        )
    if not report.get("clean", True):
        raise StoreError(
            f"it is not proved that all is gone: {report['residue']} traces are left; "
            "purge again, and keep the report"
        )
