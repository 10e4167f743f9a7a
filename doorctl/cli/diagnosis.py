"""Commands that find out what is wrong: self-test, doctor, and a support bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from doorctl.cli.options import json_option, print_json, with_config
from doorctl.cli.status import MARKS, WORDS
from doorctl.config import Config

if TYPE_CHECKING:
    from doorctl.rpc.status import Finding


@click.command()
@json_option
@with_config
def selftest(config: Config, as_json: bool) -> None:
    """Run a self-test with a made-up patron.

    Nothing is opened and nobody is put on record. The running door tests itself; without it the
    rest is tested. Prints one line a check. Exit 1 if one fails.
    """
    from doorctl.doord.self_test import self_test

    _show(self_test(config), as_json=as_json)


@click.command()
@json_option
@with_config
def doctor(config: Config, as_json: bool) -> None:
    """Say what this machine's own safety lacks: disk, relay, key, swap, clock, watchdog.

    Nothing is changed. Prints one line a check. Exit 1 if something is lacking.
    """
    from doorctl.doord.self_test import doctor as look

    _show(look(config), as_json=as_json)


def _show(findings: tuple[Finding, ...], *, as_json: bool) -> None:
    from msgspec import to_builtins

    from doorctl.doord.self_test import all_well, as_answer

    if as_json:
        print_json(to_builtins(as_answer(findings)))
    else:
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        marked = sys.stdout.isatty() and utf8
        for finding in findings:
            click.echo(_as_line(finding, marked=marked))
    if not all_well(findings):
        failing = [finding.check for finding in findings if not finding.ok]
        click.echo(
            f"doorctl: {len(failing)} of {len(findings)} fail: {', '.join(failing)}", err=True
        )
        raise SystemExit(1)


def _as_line(finding: Finding, *, marked: bool) -> str:
    mark, colour = MARKS[finding.ok]
    head = click.style(mark, fg=colour) if marked else f"{WORDS[finding.ok]:5}"
    line = f"{head} {finding.check:17} {finding.what}"
    return f"{line} {finding.do}" if finding.do else line


@click.command("support-bundle")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--yes", is_flag=True, help="Write it without asking.")
@with_config
def support_bundle(config: Config, file: Path, yes: bool) -> None:
    """Show what a helper needs to see of this machine, and write it to a new FILE.

    Versions, state, configuration without texts and secrets, the last 500 lines of the journal: of
    each only what is on a list, so that no name or number is in it. Needs root.
    """
    from doorctl.admin.support import bundle
    from doorctl.store.connection import changing, create_private

    text = bundle(config)
    click.echo(text)
    if not yes:
        click.confirm(f"Write this to {file}?", abort=True)
    with changing(file.absolute()):
        create_private(file.absolute(), text.encode())
    click.echo(f"made {file}")
