"""``doorctl keys``: take new keys into use, after a theft."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from doorctl.cli.options import with_config
from doorctl.config import Config
from doorctl.core.errors import InputError


@click.group()
def keys() -> None:
    """Change a key or certificate: after a theft, or before its last day."""


@keys.command()
@click.option("--stolen", metavar="BRANCH", multiple=True, help="Refuse while BRANCH is a target.")
@click.option("--signing", is_flag=True, help="The key that signs pushes, not the installation's.")
@click.option("--certificate", is_flag=True, help="The certificate of a branch's pages.")
@partial(with_config, sending=True)
def rotate(config: Config, stolen: tuple[str, ...], *, signing: bool, certificate: bool) -> None:
    """Make the next key on the sender, or on a machine that has none.

    The old key is served until every target has the new one; then `doorctl sync push` drops it.
    With --signing, call it again once every branch has the new public key: then it is in use.
    With --certificate, on a branch: the key stays, and nobody has to trust another one.
    """
    from doorctl.admin import keys as rotation

    if signing:
        _rotate_signing(config)
        return
    if certificate:
        _renew(config)
        return
    path = rotation.rotate(config, stolen)
    click.echo(f"made {path}")
    click.echo(
        "Next, on each branch: copy it there, stop doorctl-door and doorctl-web, run "
        "`doorctl keys adopt FILE`, start both; then doorctl sync push here."
    )


def _rotate_signing(config: Config) -> None:
    from doorctl.lookup.configured import system_clock
    from doorctl.wiring.sync_keys import rotate_signing_key

    public, waiting = rotate_signing_key(config, system_clock(config))
    for why in waiting or ():
        click.echo(f"doorctl: it does not believe the new key: {why}", err=True)
    if waiting:
        raise SystemExit(1)
    is_new = waiting is None
    click.echo(f"made {public}" if is_new else "the new signing key is in use")
    adopt_it = f"copy it there, `doorctl keys adopt{'' if is_new else ' --only'} FILE`"
    then = "; then the same command here" * is_new
    click.echo(f"Next, on each branch: {adopt_it}, restart doorctl-web{then}.")


def _renew(config: Config) -> None:
    from doorctl.admin.pairing import renew_certificate

    made = renew_certificate(config)
    click.echo(f"made {made}")
    pin = "copy it to the server, and `doorctl keys adopt FILE` there"
    first = "have it signed" if made.suffix == ".csr" else pin
    click.echo(f"Next: {first}; then here `doorctl keys adopt FILE`, and web serves it in seconds.")


@keys.command()
@click.argument("new", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--only", is_flag=True, help="Of a signing key: the others are dropped.")
@with_config
def adopt(config: Config, new: Path, *, only: bool) -> None:
    """Take the key or certificate FILE into use.

    On a branch, or a branch's certificate on the server. For an installation key stop doorctl-door
    and doorctl-web before: patrons, bans, passes, the door log and the counts of wrong PINs are
    carried over, and FILE is removed at the end. A public key counts beside the old ones.
    Interrupted, run it again.
    """
    from doorctl.admin import keys as rotation
    from doorctl.admin.pairing import adopt_public

    if said := adopt_public(config, new.absolute(), only=only):
        click.echo(said)
        return
    done = rotation.adopt(config, new.absolute())
    click.echo("the new key is in use" if done else "the new key was in use already")
    click.echo("Next: systemctl start doorctl-door doorctl-web")


@keys.command()
@click.option("--install", is_flag=True, help="Its first key: the reader is in its set-up mode.")
@with_config
def reader(config: Config, *, install: bool) -> None:
    """Give the OSDP reader another key, and the door with it.

    Stop doorctl-door before. The old key counts until the reader has answered with the new one.
    With --install, a reader that is new or was reset; without, the one whose key the door has.
    Interrupted, run it again.
    """
    from doorctl.extras.extra import used

    for extra in used(config):
        if extra.reader_key is not None:
            click.echo(extra.reader_key(config, install))
            click.echo("Next: systemctl start doorctl-door")
            return
    raise InputError(f"reader.kind is {config.reader.kind}, and such a reader has no key")
