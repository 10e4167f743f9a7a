"""The command group: a command's module is imported only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

import doorctl
from doorctl.cli.streams import open_streams, stdout_refuses
from doorctl.errors import DoorctlError, ProblemsError

COMMANDS = {
    "demo": "doorctl.cli.demo:demo",
    "run": "doorctl.cli.run:run",
    "web": "doorctl.cli.web:web",
    "init": "doorctl.cli.init:init",
    "check-config": "doorctl.cli.check_config:check_config",
    "patrons": "doorctl.cli.patrons:patrons",
    "sync": "doorctl.cli.sync:sync",
    "mode": "doorctl.cli.mode:mode",
    "open": "doorctl.cli.open:open_once",
    "calendar": "doorctl.cli.calendar:calendar",
    "bans": "doorctl.cli.bans:bans",
    "passes": "doorctl.cli.passes:passes",
    "staff": "doorctl.cli.staff:staff",
    "visits": "doorctl.cli.visits:visits",
    "subject": "doorctl.cli.subject:subject",
    "statistics": "doorctl.cli.statistics:statistics",
    "purge": "doorctl.cli.purge:purge",
    "audit": "doorctl.cli.audit:audit",
    "hold": "doorctl.cli.hold:hold",
    "status": "doorctl.cli.status:status",
    "selftest": "doorctl.cli.selftest:selftest",
    "alarm": "doorctl.cli.alarm:alarm",
    "relay-off": "doorctl.cli.relay_off:relay_off",
}
"""Name -> where it is; in the order in which a newcomer needs them."""


class LazyGroup(click.Group):
    """A group whose commands are looked up in :data:`COMMANDS`, so that the door starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, name = where.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(doorctl.__version__, prog_name="doorctl")
def app() -> None:
    """Open a library's door to its patrons when nobody is at the desk.

    Try it without any hardware: doorctl demo. Exit codes: 0 done, 1 refused or failed with one
    clear line on stderr, 2 wrong usage.
    """


def main() -> None:
    """Run the command line; the one place where our own errors become a line and an exit code."""
    open_streams()
    try:
        app(prog_name="doorctl")
    except ProblemsError as err:
        click.echo(str(err), err=True)
    except DoorctlError as err:
        click.echo(f"doorctl: {err}", err=True)
    except OSError as err:
        if not stdout_refuses():
            raise
        click.echo(f"doorctl: the output can't be written: {err.strerror}", err=True)
    sys.exit(1)
