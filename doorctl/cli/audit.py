"""``doorctl audit``: who did or looked at what, and the proof that the log is unchanged."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import click

from doorctl.cli.options import (
    ISO_TIME,
    Written,
    json_option,
    print_json,
    print_list,
    why_option,
    with_app,
)
from doorctl.core.moments import ClockState
from doorctl.lookup.app import App
from doorctl.lookup.configured import zone
from doorctl.privacy.audit import Entry
from doorctl.privacy.audit_chain import Head, Verdict
from doorctl.services import branch as book


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

    A person who can write the file can write the whole chain anew; only an anchor shows that.
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
