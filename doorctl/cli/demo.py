"""``doorctl demo``: an evening at the door, without any hardware."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from doorctl.demo.evening import complaint, spend
from doorctl.demo.paper import Paper


@click.command()
@click.option("--once", is_flag=True, help="Play the evening and end; exit 0 if all went right.")
def demo(once: bool) -> None:
    """Play an evening at a library's door in this terminal, then let you swipe cards by typing.

    Needs no hardware, no configuration and no rights: the real door process runs on
    pseudo-terminals and mock pins, with 1 000 invented patrons, in a temporary directory.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    outcomes = spend(Paper.fitting(sys.stdout, os.environ), sys.stdin.buffer, once=once)
    wrong = complaint(outcomes)
    if wrong is not None:
        click.echo(f"doorctl: {wrong}", err=True)
        sys.exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # As Ctrl-C, so that the door is stopped and the directory removed.
    raise KeyboardInterrupt
