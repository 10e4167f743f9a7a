"""Commands that make a branch's files, check its configuration and use another release."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from doorctl.cli.options import config_options, json_option, print_json, read_config, with_config
from doorctl.config import Config


@click.command()
@with_config
def init(config: Config) -> None:
    """Make the installation key and the empty databases of a new branch.

    Overwrites nothing: a key that is there is kept, because branches can share one, and if a
    database is there already, nothing is changed.
    """
    from doorctl.admin.installation import initialise

    made, kept = initialise(config)
    for path in kept:
        click.echo(f"kept {path}")
    for path in made:
        click.echo(f"made {path}")
    click.echo(
        "Keep a copy of the key in a safe place: without it every patron must be sealed again."
    )
    click.echo("Next: doorctl patrons load FEED.ndjson --full")


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[F]")
@config_options
@json_option
def check_config(
    file: Path | None, config_path: Path, overrides: tuple[str, ...], *, as_json: bool
) -> None:
    """Check the configuration file F and say all that is wrong with it, one line a problem.

    Dated hours that are past, and a relay's pin by which a door is open that nobody drives, are
    wrong here alone; no process refuses to start for them. What is wrong with the machine is told
    too, and is no mistake of the file's; and whom SIP2's flags keep out by these settings.
    """
    from doorctl.core.errors import ConfigError

    path = file or config_path
    try:
        config = read_config(path, overrides)
        lacking = _lacking(config, path)
    except ConfigError as err:
        if as_json:
            print_json(_checked(path, problems=[asdict(wrong) for wrong in err.problems]))
            raise SystemExit(1) from None
        raise
    if as_json:
        branch = {"id": config.branch.id, "name": config.branch.name}
        print_json(_checked(path, branch=branch, lacking=lacking, notes=_notes(config)))
        return
    for risk in lacking:
        click.echo(f"{path}: {risk}", err=True)
    for note in _notes(config):
        click.echo(f"{path}: {note}")
    click.echo(f"{path}: good, for branch {config.branch.id} ({config.branch.name})")


def _notes(config: Config) -> list[str]:
    """Return what settings mean that are easily taken for something else."""
    notes = [] if config.policy.require_pin else [WITHOUT_PIN]
    from doorctl.extras.extra import used

    return [
        *notes,
        *(note for extra in used(config) if extra.notes for note in extra.notes(config)),
    ]


WITHOUT_PIN = (
    "policy.require_pin is false: a card alone lets a person in, and so does a picture of its "
    "barcode or of a phone's screen, which an imager reads as the card itself"
)


def _checked(path: Path, **found: Any) -> dict[str, Any]:
    good = not found.get("problems")
    empty: dict[str, Any] = {"branch": None, "problems": [], "lacking": [], "notes": []}
    return {"file": str(path), "good": good, **empty, **found}


def _lacking(config: Config, path: Path) -> list[str]:
    """Return what is wrong with the machine; ConfigError for what is refused by a person alone."""
    from doorctl.config.hours import past_exceptions
    from doorctl.config.rules import undriven_locks
    from doorctl.core.errors import ConfigError, StoreError
    from doorctl.core.identity import as_root, unshared
    from doorctl.devices.pins import relay_risks
    from doorctl.lookup.app import App
    from doorctl.lookup.configured import system_clock
    from doorctl.services.hours import hours_now

    # Also by a clock that is not set: nothing but this is refused by it, and a person reads why.
    today = system_clock(config).moment().local.date()
    if problems := (*past_exceptions(config.opening, today), *undriven_locks(config.gpio)):
        raise ConfigError(str(path), problems)
    storage = config.storage
    with as_root():
        shared = tuple(unshared(storage.directory, storage.door_directory))
    more = [UNHEARD] if config.sync is not None and not config.alarms.wanted else []
    if config.sync is None and (leaves := config.controller.lacking):
        more.append(NAMELESS.format(keys=", ".join(f"controller.{leaf}" for leaf in leaves)))
    app = App.of(config)
    with suppress(StoreError):
        # `init` begins it.
        more += [WEEKLESS] * (app.storage.branch_db.exists() and hours_now(app).lacks_week)
    return [*relay_risks(config.gpio.factory), *shared, *more]


UNHEARD = (
    "[alarms]: none is set, so nobody hears when exports stop, a branch refuses or a run fails; "
    "give alarms.email or alarms.webhook"
)

NAMELESS = (
    "{keys}: empty, so the letter of an access request, the notice at the door and the record of "
    "processing don't say who answers for the data; fill [controller]"
)

WEEKLESS = (
    'hours.source: "staff", and no usual week is set, so the door is closed to patrons until it '
    "is: doorctl calendar week mon,tue,wed,thu,fri --self-service 7-22"
)


@click.command()
@click.argument("release", required=False)
@config_options
def upgrade(release: str | None, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Take RELEASE into use, on trial; apt and systemd call this as root.

    The door is stopped for a second or two, and the release has 60 s to be ready and to pass its
    self-test: else the one before runs again, on its own files, and an alarm is sent. Without
    RELEASE, end what was interrupted. Exit 1 if RELEASE is not in use.
    """
    from doorctl.admin.upgrade import Releases
    from doorctl.config import load

    releases = Releases.of_this_program()
    if release is None:
        releases.resume()
    else:
        notes = releases.use(release, config_path, lambda: load(config_path, overrides, os.environ))
        click.echo("; ".join((f"release {release} is in use", *notes)))
