"""Commands that back up a branch and restore it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from doorctl.cli.options import config_option, with_app

if TYPE_CHECKING:
    from doorctl.lookup.app import App


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@with_app
def backup(app: App, file: Path | None) -> None:
    """Make a backup by [backup] and send it: branch.db, configuration, keys and certificates.

    It is encrypted to backup.recipients; nothing on this machine opens it. Without visits, and
    without patrons, whom the next push brings. doorctl may run meanwhile.

    With FILE: copy branch.db alone, in the clear, to a new file; overwrites nothing. `cp` is no
    backup: it misses what still lies in branch.db-wal. The copy holds bans, passes and accounts:
    keep it where only those get at it who may see them, and no longer than 30 days.
    """
    if file is None:
        from doorctl.admin.backup import make_backup

        made, left_out = make_backup(app)
        where = app.config.backup.destination
        click.echo(f"made {made}" + (f" and sent it to {where}" if where else ""))
        for path in left_out:
            click.echo(f"doorctl: not in it: {path}; copy it yourself", err=True)
        return
    from doorctl.admin.backup import back_up

    also = back_up(app, file.absolute())
    click.echo(f"made {file}, a copy of branch.db")
    click.echo("Copy these too, and keep the keys among them apart from it:")
    for path in (app.config.origin.path.absolute(), *also):
        click.echo(f"  {path}")
    click.echo(
        "Not in it: patrons, whom the next push brings, and the door log, which has to be gone "
        "after its days."
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--identity",
    type=click.File("rb"),
    default="-",
    metavar="KEY",
    help="File of the private key that `age-keygen` made; without it, it is read from stdin.",
)
@click.option("--replace", is_flag=True, help="Put it in the place of what is there.")
@config_option
def restore(file: Path, identity: BinaryIO, replace: bool, config_path: Path) -> None:
    """Put the backup FILE back, all of it or nothing; doorctl-door and doorctl-web are stopped.

    The configuration goes to --config, keys and certificates beside it, branch.db where the
    configuration says. Take FILE from where only yours can write: who has the public key can make
    one too.
    """
    from doorctl.admin.backup import opened, unpacked
    from doorctl.admin.restoring import put_back

    if sys.stdin.isatty() and identity.name == "<stdin>":
        key = click.prompt("Private key (AGE-SECRET-KEY-1…)", hide_input=True).encode()
    else:
        key = identity.read()
    manifest, files = unpacked(opened(file, key))
    config = put_back(manifest, files, config_path, replace=replace)
    made = f"{manifest.made:%Y-%m-%d %H:%M} UTC"
    click.echo(f"restored {config.branch.name} as it was at {made}, by doorctl {manifest.version}")
    for name in files:
        click.echo(f"  {name}")
    click.echo(
        f"What was done after {made} is not in it: passes revoked and bans lifted since count "
        "again, and newer ones are gone. Look at doorctl passes list and doorctl bans list; the "
        "sender's next push raises branch_rolled_back, which says how much is missing."
    )
    click.echo(
        "Next: doorctl check-config; copy the units/ among these to /etc/systemd/system; "
        "systemctl enable --now doorctl-door doorctl-web; on the server, doorctl sync push --full"
    )
