"""``doorctl subject``: a person's rights by the GDPR, articles 15 to 18."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from doorctl.cli.options import json_option, with_config
from doorctl.cli.patrons import IDENTIFIER
from doorctl.cli.staff_options import take_as_option, typed_unseen
from doorctl.config import Config
from doorctl.core.errors import StoreError
from doorctl.privacy.letters import Language, page
from doorctl.privacy.subject import Erasure, HeldVisit
from doorctl.services import subject as rights
from doorctl.services.app import system_clock
from doorctl.services.numbers import TakenAs
from doorctl.services.subject import Named

_why = click.option("--why", default="", metavar="R", help="The reason, for the audit log.")

SOURCE = "Erase the person in the library system too: the next push brings back whom it still has."

UNKNOWN_REF = "No patron of that number is in the register now; it holds once one is."

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _named(command: CommandT) -> CommandT:
    for option in (
        take_as_option,
        click.option("--patron-ref", metavar="REF", help="The number in the library system."),
        click.argument("identifier", metavar=f"[{IDENTIFIER}]", required=False),
    ):
        command = option(command)
    return command


@click.group()
def subject() -> None:
    """Show, erase or restrict all that is held of one person, here at this branch.

    Give what stands on the card, - to type it unseen, or --patron-ref.
    """


@subject.command()
@_named
@json_option
@click.option(
    "--page",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write a page to read into a new file.",
)
@click.option(
    "--language",
    type=click.Choice(["da", "en"]),
    default="da",
    show_default=True,
    help="The page's language.",
)
@_why
@with_config
def export(
    config: Config,
    *,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    as_json: bool,
    file: Path | None,
    language: Language,
    why: str,
) -> None:
    """Show all that any database holds of a person, and when staff looked at it.

    As JSON, or as a page to read: on stdout, or with --page in a file for its owner alone.
    """
    if as_json and file is not None:
        raise click.UsageError("give --json or --page")
    found = rights.export(config, _who(identifier, patron_ref, taken_as), why)
    local = system_clock(config).moment().local
    zone = local.tzinfo
    assert zone is not None  # noqa: S101 - a moment is aware
    if as_json:
        about = {"branch": config.branch.id, "at": local.isoformat(timespec="seconds")}
        click.echo(json.dumps({**about, **found.as_dict(zone)}, ensure_ascii=False))
        return
    text = page(found, branch=config.branch.name, at=local, zone=zone, language=language)
    if file is None:
        click.echo(text, nl=False)
        return
    rights.write_page(file, text)
    click.echo(f"{file}: {len(found.rows)} rows and {len(found.lookups)} looks by staff")


@subject.command()
@_named
@_why
@with_config
def erase(
    config: Config,
    *,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    why: str,
) -> None:
    """Erase all that is held of a person, and let no older push bring it back.

    What is left after a failure can be erased by doing it again.
    """
    done = rights.erase(config, _who(identifier, patron_ref, taken_as), why)
    if done.left or done.held:
        raise StoreError(_left(done))
    click.echo(f"{done.rows} rows erased; no byte of them is left in the databases")
    click.echo(SOURCE)


@subject.command()
@_named
@_why
@with_config
def restrict(
    config: Config,
    *,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    why: str,
) -> None:
    """Keep a person's data, use them for nothing: the door refuses with `restricted`."""
    known = rights.restrict(config, _who(identifier, patron_ref, taken_as), why)
    click.echo("The person's data are restricted: kept, and used for nothing until it is ended.")
    if not known:
        click.echo(UNKNOWN_REF)


@subject.command()
@_named
@_why
@with_config
def unrestrict(
    config: Config,
    *,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    why: str,
) -> None:
    """End a restriction; the door uses the person's data again."""
    rights.unrestrict(config, _who(identifier, patron_ref, taken_as), why)
    click.echo("The restriction is ended.")


def _who(identifier: str | None, patron_ref: str | None, taken_as: TakenAs | None) -> Named:
    if (identifier is None) == (patron_ref is None):
        raise click.UsageError(f"give {IDENTIFIER} or --patron-ref")
    typed = None if identifier is None else typed_unseen(IDENTIFIER, identifier)
    return Named(typed, patron_ref, taken_as)


def _left(done: Erasure) -> str:
    parts = [f"{database}: {why}" for database, why in done.left.items()]
    parts += [_stays(visit) for visit in done.held]
    again = " Erase again." if done.left else f" {SOURCE}"
    return f"{done.rows} rows erased, but not all. {'; '.join(parts)}.{again}"


def _stays(visit: HeldVisit) -> str:
    until = f"{visit.until:%Y-%m-%d}"
    return f"visit {visit.attempt} stays for case {visit.case} until {until}, then a purge takes it"
