"""Options that every command shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from doorctl.config import Config, load
from doorctl.core.identity import become_owner

DEFAULT_CONFIG = "/etc/doorctl/doorctl.toml"

FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Years outside are typing errors; at the calendar's ends no time zone can be applied."""

GIVEN_NUMBER = click.IntRange(1, 2**63 - 1)
"""Largest row number of a database; no larger number can be given."""

ResultT = TypeVar("ResultT")
Command = Callable[..., ResultT]

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar="DOORCTL_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    metavar="F",
    help="The configuration file.",
)

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one key, such as reader.port=/dev/ttyUSB0. Can be given again.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class IsoTime(click.ParamType[datetime]):
    """A time as ISO 8601 writes it; without an offset it is the branch's local time."""

    name = "ISO"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time, aware only if it was written with an offset."""
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail("write it as 2026-11-25 or 2026-11-25T21:00", param, ctx)
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            self.fail(f"give a year from {FIRST_YEAR} to {LAST_YEAR}", param, ctx)
        return at


def with_config(command: Command[ResultT], *, sending: bool = False) -> Command[ResultT]:
    """Give a command ``--config`` and ``--set`` and call it with what `read_config` returns."""

    @config_option
    @set_option
    @wraps(command)
    def loading(config_path: Path, overrides: tuple[str, ...], **arguments: Any) -> ResultT:
        return command(read_config(config_path, overrides, sending=sending), **arguments)

    return loading


def with_app(command: Command[ResultT]) -> Command[ResultT]:
    """As `with_config`, for a command that is called with the `App`."""

    @with_config
    @wraps(command)
    def handing(config: Config, **arguments: Any) -> ResultT:
        from doorctl.services.app import App  # noqa: PLC0415 - some commands do without

        return command(App.of(config), **arguments)

    return handing


def read_config(path: Path, overrides: tuple[str, ...], *, sending: bool = False) -> Config:
    """Load the configuration and go on as the owner of its data directory.

    With `sending` that is the sender's directory.

    Raises:
        ConfigError: with every problem in it.
        StoreError: this root may not become the owner.
    """
    config = load(path, overrides, os.environ)
    sender = config.sync if sending else None
    become_owner(config.storage.directory if sender is None else sender.state_directory)
    return config
