"""``doorctl audit``: who did or looked at what, and the proof that nobody changed the log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

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
from doorctl.privacy.audit import Entry, Head, Verdict
from doorctl.services import records as book
from doorctl.services.app import App
from doorctl.services.visits import zone

CARD_HEX_DIGITS = 8
"""As many digits of a row key as the door log shows."""


@click.group()
def audit() -> None:
    """Who looked at or changed what, when and why; for half a year."""


@audit.command("list")
@click.option("--since", type=ISO_TIME, help="From this local time on.")
@why_option
@json_option
@with_app
def list_entries(app: App, since: datetime | None, why: str, as_json: bool) -> None:
    """List the audit log, oldest first: number, time, who, what, about whom, why.

    A card is shown as a pseudonym; ? marks a time by a clock that nobody vouched for. That you
    read it goes on the log too.
    """
    shown = book.entries(app, since, why)
    branch = zone(app.config)
    print_list(
        map(_as_dict, shown),
        (_as_line(entry, entry.at.astimezone(branch)) for entry in shown),
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
    verdict = book.verify(app, anchors)
    if as_json:
        print_json(_verdict_as_dict(verdict))
    elif verdict.broken is None:
        click.echo(_verified(verdict, len(anchors)))
    if verdict.broken is not None:
        click.echo(f"doorctl: audit entry {verdict.broken} is wrong: {verdict.why}", err=True)
        raise SystemExit(1)


@audit.command("head")
@with_app
def show_head(app: App) -> None:
    """Print where the log ends, to be kept elsewhere and given to `audit verify --anchor`."""
    click.echo(str(book.head(app)))


def _verified(verdict: Verdict, anchors: int) -> str:
    lines = [
        f"{verdict.entries} entries, none changed and none missing; it ends at {verdict.head}",
        f"{verdict.erased} of them hold no record any more",
    ]
    if verdict.erased_singly:
        lines[-1] += f", {verdict.erased_singly} of these not by age but for a person's sake"
    if anchors:
        lines.append("it agrees with what was kept elsewhere")
    return "\n".join(lines)


def _verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "entries": verdict.entries,
        "erased": verdict.erased,
        "erased_singly": verdict.erased_singly,
        "head": str(verdict.head),
        "broken": verdict.broken,
        "why": verdict.why,
    }


def _as_dict(entry: Entry) -> dict[str, Any]:
    deed = entry.deed
    return {
        "number": entry.number,
        "at": entry.at.isoformat(timespec="milliseconds"),
        "clock": entry.clock.value,
        "by": entry.by,
        "action": deed.action.value,
        "cards": _pseudonyms(entry),
        "patron_ref": deed.patron_ref,
        "why": deed.why,
        "details": dict(deed.details),
    }


def _as_line(entry: Entry, local: datetime) -> str:
    doubt = " " if entry.clock is ClockState.TRUSTED else "?"
    deed = entry.deed
    facts = [
        *(f"card {card}" for card in _pseudonyms(entry)),
        *(() if deed.patron_ref is None else (f"patron {deed.patron_ref}",)),
        *(f"{name} {value}" for name, value in deed.details.items()),
        *((deed.why,) if deed.why else ()),
    ]
    action = click.style(f"{deed.action.value:19}", bold=True)
    head = f"{entry.number:5} {local:%Y-%m-%d %H:%M:%S}{doubt} {entry.by:12}"
    return f"{head} {action} {'; '.join(facts)}".rstrip()


def _pseudonyms(entry: Entry) -> list[str]:
    return [card.hex()[:CARD_HEX_DIGITS] for card in entry.deed.cards]
