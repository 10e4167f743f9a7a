"""The command group: a command's module is imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

import doorctl
from doorctl.cli.streams import open_streams, stdout_refuses
from doorctl.core.errors import DoorctlError, ProblemsError

if TYPE_CHECKING:
    from doorctl.extras.extra import CommandLine

COMMANDS = {
    "demo": ("processes:demo", "Draw a library's door on a page, and swipe cards at it."),
    "run": ("processes:run", "Run the door: reader, keypad, decision, relay, door log."),
    "web": ("processes:web", "Take pushes of patrons and serve the staff's pages."),
    "setup": ("setup:setup", "Set up a branch: ask, write the configuration, start, try."),
    "init": ("installation:init", "Make the key and the empty databases of a new branch."),
    "check-config": (
        "installation:check_config",
        "Say all that is wrong with the configuration file.",
    ),
    "patrons": ("patrons:patrons", "Load patrons, explain a refusal, let a card try again."),
    "sync": ("sync:sync", "Push patrons to every branch, from the library's server."),
    "pair": ("sync:pair", "Give this branch the keys of the library's server, by a code."),
    "keys": ("keys:keys", "Take a new installation key into use, after a theft."),
    "mode": ("hours:mode", "Say what the branch is just now, or set it by hand."),
    "open": ("hours:open_once", "Have the running door open once."),
    "trust-clock": ("hours:trust_clock", "Say that the clock, which is in doubt, is right."),
    "calendar": ("hours:calendar", "Show the next days' hours, or give a date its own."),
    "bans": ("bans:bans", "Keep somebody out for a while, by the house rules."),
    "passes": ("passes:passes", "Let cleaners, classes and staff in, by a card or a code."),
    "staff": ("staff:staff", "Say who may sign in to the staff pages."),
    "visits": ("visits:visits", "Look at the door log."),
    "subject": ("patrons:subject", "Show, erase or restrict what is held of one person."),
    "statistics": ("statistics:statistics", "Count visits over hours, weekdays or months."),
    "purge": ("purge:purge", "Delete visits that are older than the retention."),
    "audit": ("audit:audit", "Show who looked at or changed what, when and why."),
    "backup": ("backups:backup", "Make a backup that only its recipients can open."),
    "restore": ("backups:restore", "Put a backup back, on an empty card."),
    "hold": ("holds:hold", "Keep a part of the door log for an incident."),
    "status": ("status:status", "Say how the door process and its databases are."),
    "check": ("status:check", "Say in one line for a monitoring system how the door is."),
    "selftest": ("diagnosis:selftest", "Run a self-test with a made-up patron."),
    "reader": ("reader:reader", "Find readers, and see live what comes of a card."),
    "doctor": ("diagnosis:doctor", "Say what this machine's own safety lacks."),
    "support-bundle": (
        "diagnosis:support_bundle",
        "Write what a helper needs to see; nothing personal.",
    ),
    "alarm": ("status:alarm", "Send a test alarm out of the house, or end one that stands."),
    "upgrade": ("installation:upgrade", "Take a release into use that apt has put there."),
    "relay-off": ("processes:relay_off", "Lock the door, whatever happened to the daemon."),
}
"""Name -> module and function, and its line in ``--help``; in the order of a newcomer's need."""

HEADINGS = {
    "demo": "Try it, and run it",
    "patrons": "Patrons arrive",
    "mode": "The branch's day",
    "bans": "People",
    "visits": "What happened",
    "status": "State and faults",
}
"""The command that comes first under each heading of ``--help``."""


class LazyGroup(click.Group):
    """A group whose commands are looked up in :data:`COMMANDS`, so that the door starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order, then those of extras."""
        return [*COMMANDS, *_further()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name in COMMANDS:
            function = f"doorctl.cli.{COMMANDS[cmd_name][0]}"
        elif (further := _further().get(cmd_name)) is not None:
            function = further.function
        else:
            return None
        module, name = function.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table's lines: importing all commands for them takes seconds on a Pi."""
        width = max(map(len, COMMANDS))
        for name, (_, line) in COMMANDS.items():
            if name in HEADINGS:
                formatter.write(f"\n{HEADINGS[name]}:\n")
            formatter.write(f"  {name:{width}}  {line}\n")
        for place, (name, command) in enumerate(_further().items()):
            heading = "" if place else "\nExtras:\n"
            formatter.write(f"{heading}  {name:{width}}  {command.line}\n")


def _further() -> dict[str, CommandLine]:
    from doorctl.extras.extra import commands

    return commands()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(doorctl.__version__, prog_name="doorctl")
def app() -> None:
    """Open a library's door to its patrons when nobody is at the desk.

    Try it without any hardware: doorctl demo. Exit codes: 0 done, 1 refused or failed with one
    clear line on stderr, 2 wrong usage.
    """


# Their names alone, among which click looks for the one that was meant.
app.commands.update(dict.fromkeys(COMMANDS, app))


def main() -> None:
    """Run the command line; only here do doorctl's errors become a line and an exit code."""
    open_streams()
    try:
        app(prog_name="doorctl")
    except ProblemsError as err:
        click.echo(str(err), err=True)
    except DoorctlError as err:
        click.echo(f"doorctl: {err}", err=True)
    except OSError as err:
        if stdout_refuses():
            click.echo(f"doorctl: the output can't be written: {err.strerror}", err=True)
        elif isinstance(err.filename, str | Path):
            what = f"{err.filename} can't be used: {err.strerror}; see what it is and who owns it"
            click.echo(f"doorctl: {what}", err=True)
        else:
            raise
    sys.exit(1)
