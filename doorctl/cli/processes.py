"""Commands that begin a process: the demo, the door, the web process, and the relay's end.

systemd calls some of these on a small Pi, so that each imports what it needs when it is called.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from doorctl.cli.options import (
    config_options,
    with_config,
)
from doorctl.config import Config, load_gpio


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
    from signal import SIGHUP, SIGTERM, default_int_handler, signal

    from doorctl.demo.evening import spend
    from doorctl.demo.paper import Paper

    # As Ctrl-C, so that the door is stopped and the directory removed.
    for number in (SIGTERM, SIGHUP):
        signal(number, default_int_handler)
    paper = Paper.fitting(sys.stdout, os.environ)
    if not once:
        # The evening alone does not need these, so it does not load them.
        from doorctl.demo.open_house import receive

        receive(paper, sys.stdin.buffer, port, _open_browser)
    elif (wrong := spend(paper)) is not None:
        click.echo(f"doorctl: {wrong}", err=True)
        sys.exit(1)


def _open_browser(address: str) -> None:
    if any(os.environ.get(name) for name in DISPLAYS):
        import webbrowser

        webbrowser.open(address)


@click.command()
@with_config
def run(config: Config) -> None:
    """Run the door until a signal ends it: reader, keypad, decision, relay, door log.

    Prints one JSON line an event on stdout. The relay goes off first when it starts, and when
    it stops for whatever reason.
    """
    from doorctl.ops.memory import do_without_tls

    do_without_tls()
    from doorctl.wiring.door import open_door  # asyncio comes with it

    sys.exit(open_door(config, os.environ, sys.stdout.fileno()))


@click.command()
@with_config
def web(config: Config) -> None:
    """Take pushes of patrons over HTTP until SIGTERM or SIGINT; the door decides without it.

    Prints one JSON line an event on stdout. It is the one writer of the patron cache while it
    runs, so `doorctl patrons load` is refused meanwhile.
    """
    from doorctl.wiring.web import open_web

    sys.exit(open_web(config, os.environ, sys.stdout.fileno()))


@click.command("relay-off")
@config_options
def relay_off(config_path: Path, overrides: tuple[str, ...]) -> None:
    """Switch the relay off; systemd runs this after the daemon has stopped or died.

    Of the configuration only [gpio] has to be right.
    """
    from doorctl.devices.relay_off import lock

    lock(load_gpio(config_path, overrides), os.environ)


DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Without any of them a browser would take over the terminal, or there is none."""
