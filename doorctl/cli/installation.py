"""What a technician does to an installation: ``init``, ``check-config``, keys, backup, alarms."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from doorctl.cli.options import config_option, read_config, set_option, with_config
from doorctl.config import Config
from doorctl.config.hours import past_exceptions
from doorctl.core.errors import ConfigError
from doorctl.core.identity import as_root, unshared
from doorctl.core.ports import NotSentError
from doorctl.devices.pins import relay_risks
from doorctl.services.alarm_ways import send_now
from doorctl.services.app import App, system_clock
from doorctl.services.branch import back_up
from doorctl.wiring import installation


@click.command()
@with_config
def init(config: Config) -> None:
    """Make the installation key and the empty databases of a new branch.

    Overwrites nothing: a key that is there is kept, because branches can share one, and if a
    database is there already, nothing is changed.
    """
    done = installation.initialise(config)
    for path in done.kept:
        click.echo(f"kept {path}")
    for path in done.made:
        click.echo(f"made {path}")
    click.echo(
        "Keep a copy of the key in a safe place: without it every patron must be sealed again."
    )
    click.echo("Next: doorctl patrons load FEED.ndjson --full")


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[F]")
@config_option
@set_option
def check_config(file: Path | None, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Check the configuration file F and say all that is wrong with it, one line a problem.

    Dated hours that are past are wrong here alone; no process refuses to start for them. What is
    wrong with the machine is told too, and is no mistake of the file's.
    """
    path = file or config_path
    config = read_config(path, overrides)
    # Also by a clock that is not set: nothing but this is refused by it, and a person reads why.
    today = system_clock(config).moment().local.date()
    if problems := tuple(past_exceptions(config.opening, today)):
        raise ConfigError(str(path), problems)
    storage = config.storage
    with as_root():
        shared = tuple(unshared(storage.directory, storage.door_directory))
    for risk in (*relay_risks(config.gpio.factory), *shared):
        click.echo(f"{path}: {risk}", err=True)
    click.echo(f"{path}: good, for branch {config.branch.id} ({config.branch.name})")


@click.group()
def keys() -> None:
    """Take a new installation key into use, after a Pi was stolen."""


@keys.command()
@click.option("--stolen", metavar="BRANCH", multiple=True, help="Refuse while BRANCH is a target.")
@partial(with_config, sending=True)
def rotate(config: Config, stolen: tuple[str, ...]) -> None:
    """Make the next key on the sender, or on a machine that has none.

    The old key is served until every target has the new one; then `doorctl sync push` drops it.
    """
    path = installation.rotate(config, stolen)
    click.echo(f"made {path}")
    click.echo(
        "Next, on each branch: copy it there, stop doorctl-door and doorctl-web, run "
        "`doorctl keys adopt FILE`, start both; then doorctl sync push here."
    )


@keys.command()
@click.argument("new", type=click.Path(path_type=Path), metavar="FILE")
@with_config
def adopt(config: Config, new: Path) -> None:
    """Take the key FILE into use on this branch, while doorctl-door and doorctl-web are stopped.

    Patrons, bans, passes, the door log and the counts of wrong PINs are carried over. Interrupted,
    run it again. FILE is removed at the end.
    """
    done = installation.adopt(config, new.absolute())
    click.echo("the new key is in use" if done else "the new key was in use already")
    click.echo("Next: systemctl start doorctl-door doorctl-web")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@config_option
@set_option
def backup(file: Path, config_path: Path, overrides: tuple[str, ...]) -> None:
    """Copy branch.db to a new file, whole, while doorctl runs; overwrites nothing.

    `cp` is no backup: it misses what still lies in branch.db-wal. The copy holds bans, passes and
    accounts: keep it where only those get at it who may see them, and no longer than 30 days.
    """
    also = back_up(App.of(read_config(config_path, overrides)), file.absolute())
    click.echo(f"made {file}, a copy of branch.db")
    click.echo("Copy these too, and keep the keys among them apart from it:")
    for path in (config_path.absolute(), *also):
        click.echo(f"  {path}")
    click.echo(
        "Not in it: patrons, whom the next push brings, and the door log, which has to be gone "
        "after its days."
    )


@click.group()
def alarm() -> None:
    """Alarms that leave the house."""


@alarm.command()
@click.argument("kind", default="test")
@click.option("--why", default="", help="A few words of your own; they name nobody.")
@with_config
def send(config: Config, kind: str, why: str) -> None:
    """Send an alarm by every way of [alarms], now. KIND is one of README's list, else test.

    It is not held back, however many were sent. Exit 1 if it did not go by one of them.
    """
    failed = send_now(config, kind, why)
    if failed:
        raise NotSentError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    click.echo(f"{kind}: sent")
