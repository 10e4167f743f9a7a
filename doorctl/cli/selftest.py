"""``doorctl selftest``: does everything work, before a patron finds out?"""

from __future__ import annotations

import json
import sys

import click

from doorctl.cli.options import json_option, with_config
from doorctl.config import Config
from doorctl.doord.self_test import Finding, all_well, as_answer
from doorctl.wiring import inspection

MARKS = {True: ("✓", "green"), False: ("✗", "red")}
WORDS = {True: "ok", False: "fails"}


@click.command()
@json_option
@with_config
def selftest(config: Config, as_json: bool) -> None:
    """Let a patron who doesn't exist come to the door, and look at the house.

    Nothing is opened and nobody is put on record. The running door tests itself; without it the
    rest is tested. Prints one line a check. Exit 1 if one fails.
    """
    _show(inspection.self_test(config), as_json=as_json)


@click.command()
@json_option
@with_config
def doctor(config: Config, as_json: bool) -> None:
    """Say what this machine's own safety lacks: disk, relay, key, swap, clock, watchdog.

    Nothing is changed. Prints one line a check. Exit 1 if something is lacking.
    """
    _show(inspection.doctor(config), as_json=as_json)


def _show(found: tuple[Finding, ...], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(as_answer(found)))
    else:
        marked = _shows_marks()
        for finding in found:
            click.echo(_as_line(finding, marked=marked))
    if not all_well(found):
        failing = [finding.check for finding in found if not finding.ok]
        click.echo(f"doorctl: {len(failing)} of {len(found)} fail: {', '.join(failing)}", err=True)
        raise SystemExit(1)


def _shows_marks() -> bool:
    if not sys.stdout.isatty():
        return False
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _as_line(finding: Finding, *, marked: bool) -> str:
    mark, colour = MARKS[finding.ok]
    head = click.style(mark, fg=colour) if marked else f"{WORDS[finding.ok]:5}"
    said = f"{head} {finding.check:17} {finding.what}"
    return f"{said} {finding.do}" if finding.do else said
