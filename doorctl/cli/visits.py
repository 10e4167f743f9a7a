"""``doorctl visits``: the door log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from doorctl.access.reasons import SENTENCES, Reason
from doorctl.bootstrap import desk
from doorctl.cli.options import IsoTime, json_option, with_config
from doorctl.config import Config
from doorctl.ports import Visit


@click.group()
def visits() -> None:
    """Look at the door log: never older than the retention, purged or not."""


@visits.command("list")
@click.option("--since", type=IsoTime(), help="From this local time on.")
@json_option
@with_config
def list_visits(config: Config, since: datetime | None, as_json: bool) -> None:
    """List attempts, oldest first. A card is shown as a pseudonym."""
    shown = desk.list_visits(config, since)
    if as_json:
        click.echo(json.dumps([_as_dict(visit) for visit in shown]))
        return
    if not shown:
        click.echo("no visits")
    for visit in shown:
        click.echo(_as_line(visit, config))


def _as_dict(visit: Visit) -> dict[str, Any]:
    return {
        "attempt": visit.attempt,
        "at": visit.at.isoformat(timespec="milliseconds"),
        "clock": visit.clock.value,
        "verdict": visit.verdict,
        "reason": visit.reason,
        "card": visit.card,
    }


def _as_line(visit: Visit, config: Config) -> str:
    local = visit.at.astimezone(desk.zone(config))
    reason = Reason(visit.reason) if visit.reason else None
    colour = "green" if reason is Reason.OK else "red"
    verdict = click.style(f"{visit.verdict or 'open':8}", fg=colour if reason else None)
    sentence = SENTENCES[reason][config.branch.language != "da"] if reason else ""
    card = visit.card or "-"
    when = f"{local:%Y-%m-%d %H:%M:%S}" + ("" if visit.clock.value == "trusted" else "?")
    return f"{when:20} {visit.attempt:6}  {card:8}  {verdict} {visit.reason or '':16} {sentence}"
