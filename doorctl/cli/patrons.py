"""``doorctl patrons``: fill the cache, ask why, let a card try again."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from shlex import quote

import click

from doorctl.access.patron import SENTENCES
from doorctl.cli.options import IsoTime, json_option, with_config
from doorctl.cli.staff_options import why_option
from doorctl.config import Config
from doorctl.services import visits
from doorctl.services.explain import Explanation
from doorctl.wiring.sync import refuse_beside_web

IDENTIFIER = "IDENTIFIER"


@click.group()
def patrons() -> None:
    """Fill the patron cache, ask why a card is refused, let a card try again."""


@patrons.command()
@click.argument("feed", type=click.Path(path_type=Path), metavar="FEED.ndjson")
@click.option("--full", is_flag=True, help="The feed is the whole register: remove everyone else.")
@click.option(
    "--approved-by",
    metavar="NAME",
    help="Somebody looked at the feed: load it however many patrons it shuts out.",
)
@with_config
def load(config: Config, feed: Path, full: bool, approved_by: str | None) -> None:
    """Seal the patrons of FEED.ndjson and put them into the cache, all or none.

    One JSON object a line. Without --full the patrons in the feed are added or replaced. Not while
    `doorctl web` runs: stop it for the load, or push.
    """
    refuse_beside_web(config)
    # Sealing takes every core for minutes; the patron at the door comes first.
    os.nice(10)
    with click.progressbar(length=1, label="Sealing", show_pos=True) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        loaded = visits.load_patrons(
            config, feed, full=full, approved_by=approved_by, on_progress=advance
        )
    click.echo(
        f"epoch {loaded.epoch}: {loaded.patrons} patrons with {loaded.identifiers} cards loaded, "
        f"{loaded.removed} cards removed"
    )
    if loaded.left_out:
        click.echo(f"{loaded.left_out} identifiers are neither CPR nor CARD and were left out")
    if feed.is_file():
        click.echo(f"{feed} holds CPR numbers and PINs in clear: shred -u {quote(str(feed))}")


@patrons.command()
@click.argument("number", type=click.IntRange(min=0))
@why_option
@with_config
def renumber(config: Config, number: int, why: str) -> None:
    """Give the register that is held the lower number NUMBER, where no push can follow any more.

    Take that of the sender's last true push: those between could come again. Not while `doorctl
    web` runs. The next push has to be a snapshot (doorctl sync push sends one by itself).
    """
    held = visits.renumber(config, number, why)
    click.echo(f"push {held} is push {number} now; the next one may have any number above that")


@patrons.command("explain")
@click.argument("identifier", metavar=IDENTIFIER)
@click.option("--at", type=IsoTime(), help="At this local time instead of now.")
@why_option
@json_option
@with_config
def explain_card(
    config: Config, identifier: str, at: datetime | None, why: str, as_json: bool
) -> None:
    """Say whether the card IDENTIFIER would get in, which checks pass and which fails.

    Give - to type the identifier unseen, so that it stands in no list of processes. It is
    never printed. The PIN is taken to be right.
    """
    found = visits.explain(config, _typed(identifier), at, why)
    click.echo(json.dumps(found.as_dict()) if as_json else _told(found))


@patrons.command()
@click.argument("identifier", metavar=IDENTIFIER)
@with_config
def unlock(config: Config, identifier: str) -> None:
    """Forget the wrong PINs of the card IDENTIFIER, because staff have seen its owner.

    Give - to type the identifier unseen.
    """
    visits.unlock(config, _typed(identifier))
    click.echo("the card may try again")


def _typed(identifier: str) -> str:
    if identifier != "-":
        return identifier
    if sys.stdin.isatty():
        return str(click.prompt(IDENTIFIER, hide_input=True, prompt_suffix=": "))
    return sys.stdin.readline().strip()


def _told(found: Explanation) -> str:
    danish, english = SENTENCES[found.reason]
    colour = "green" if found.granted else "red"
    head = click.style(f"{found.verdict}: {found.reason.value}", fg=colour, bold=True)
    checks = [
        f"  {click.style('✓', fg='green')} {finding.check}"
        if finding.refused_with is None
        else f"  {click.style('✗', fg='red')} {finding.check}: {finding.refused_with.value}"
        for finding in found.findings
    ]
    return "\n".join([head, f"  {danish} / {english}", *checks, f"  {found.source}"])
