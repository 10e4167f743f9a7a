"""``doorctl demo``: a library's door to try, without any hardware."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from types import FrameType

import click

from doorctl.demo.evening import spend
from doorctl.demo.paper import Paper

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Without any of them a browser would take over the terminal, or there is none."""


@click.command()
@click.option("--once", is_flag=True, help="Play the evening and end; exit 0 if all went right.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Of the page, on this machine only; a free one where it is taken, or for 0.",
)
def demo(once: bool, port: int) -> None:
    """Draw a library's door on a page of this machine, and let you swipe cards at it.

    Needs no hardware, no configuration and no rights: the real door process runs on
    pseudo-terminals and mock pins, with 1 000 invented patrons, in a temporary directory, and the
    real staff pages run beside it. Cards can be swiped by typing, too.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    paper = Paper.fitting(sys.stdout, os.environ)
    if once:
        _end(spend(paper))
        return
    # The evening alone does not need these, so it does not load them.
    from doorctl.demo.open_house import receive

    receive(paper, sys.stdin.buffer, port, _show)


def _end(wrong: str | None) -> None:
    if wrong is not None:
        click.echo(f"doorctl: {wrong}", err=True)
        sys.exit(1)


def _show(address: str) -> None:
    if any(os.environ.get(name) for name in DISPLAYS):
        webbrowser.open(address)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # As Ctrl-C, so that the door is stopped and the directory removed.
    raise KeyboardInterrupt
