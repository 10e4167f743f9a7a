"""What commands share: options, what is typed for them, and how a list is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.config import Config, load
from doorctl.config.clashes import clock
from doorctl.config.hours import span
from doorctl.core.dates import read_day, read_minute
from doorctl.core.errors import InputError
from doorctl.core.identity import become_owner
from doorctl.core.moments import Moment

if TYPE_CHECKING:
    from doorctl.lookup.app import App
    from doorctl.lookup.numbers import TakenAs

DEFAULT_CONFIG = "/etc/doorctl/doorctl.toml"

IDENTIFIER = "IDENTIFIER"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Years outside are typing errors; at the calendar's ends no time zone can be applied."""

GIVEN_NUMBER = click.IntRange(1, 2**63 - 1)
"""Largest row number of a database; no larger number can be given."""

ValueT = TypeVar("ValueT")
Command = Callable[..., None]
CommandT = TypeVar("CommandT", bound=Callable[..., Any])

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


def together(*options: Callable[[Any], Any]) -> Callable[[CommandT], CommandT]:
    """Return a decorator that gives a command all of these, in their order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


config_options = together(config_option, set_option)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def root_option(has: str) -> Callable[[CommandT], CommandT]:
    """Return ``--root``: where all that a command has to do with this machine `has` its place."""
    return click.option(
        "--root",
        default="/",
        show_default=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help=f"Where {has}, for a trial.",
    )


reason_option = click.option(
    "--reason", required=True, metavar="R", help="Why, in a few words, without names."
)

take_as_option = click.option(
    "--as",
    "taken_as",
    type=click.Choice(["card", "cpr"]),
    help="What ten digits are that may be a card's number or a CPR number.",
)

why_option = click.option(
    "--why", default="", metavar="W", help="Why you look; kept in the audit log. No names."
)


def with_config(command: Command, *, sending: bool = False) -> Command:
    """Give a command ``--config`` and ``--set`` and call it with what `read_config` returns."""

    @config_options
    @wraps(command)
    def loading(config_path: Path, overrides: tuple[str, ...], **arguments: Any) -> None:
        command(read_config(config_path, overrides, sending=sending), **arguments)

    return loading


def with_app(command: Command) -> Command:
    """As `with_config`, for a command that is called with the `App`."""

    @with_config
    @wraps(command)
    def handing(config: Config, **arguments: Any) -> None:
        from doorctl.lookup.app import App

        command(App.of(config), **arguments)

    return handing


named = together(
    click.argument("identifier", metavar=f"[{IDENTIFIER}]", required=False),
    click.option("--patron-ref", metavar="REF", help="The number in the library system."),
    take_as_option,
)
"""The options that name a person; `of_person` stands below it."""


def of_person(command: Command) -> Command:
    """As `with_app`; the command also gets the person whom the options of `named` name."""

    @with_app
    @wraps(command)
    def naming(
        app: App,
        *,
        identifier: str | None,
        patron_ref: str | None,
        taken_as: TakenAs | None,
        **arguments: Any,
    ) -> None:
        from doorctl.services.subject import Named

        if (identifier is None) == (patron_ref is None):
            raise click.UsageError(f"give {IDENTIFIER} or --patron-ref")
        typed = None if identifier is None else typed_unseen(IDENTIFIER, identifier)
        command(app, Named(typed, patron_ref, taken_as), **arguments)

    return naming


def read_config(path: Path, overrides: tuple[str, ...], *, sending: bool = False) -> Config:
    """Load the configuration and go on as the owner of its data directory.

    With `sending` that is the sender's directory. Raises ConfigError: with every problem in it.
    StoreError: this root may not become the owner.
    """
    config = load(path, overrides, os.environ)
    sender = config.sync if sending else None
    become_owner(config.storage.directory if sender is None else sender.state_directory)
    return config


def print_list(
    dicts: Iterable[dict[str, Any]], lines: Iterable[str], *, as_json: bool, empty: str
) -> None:
    """Print a list: `dicts` as JSON, or `lines`, or `empty` where there is none.

    Only one of the two is run through, so that generators cost nothing.
    """
    if as_json:
        print_json(list(dicts))
    else:
        click.echo("\n".join(lines) or empty)


def print_json(value: object, **how: Any) -> None:
    """Print what ``--json`` asked for: times to the second; `how` is `json.dumps`'s own."""
    import json  # `relay-off` does without

    click.echo(json.dumps(value, default=_plain, **how))


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else sorted(value)


def picked(of: object, *names: str) -> dict[str, Any]:
    """Return some of a value's fields by their names, for `print_json`."""
    return {name: getattr(of, name) for name in names}


def advancing(bar: Any) -> Callable[[int, int], None]:
    """Return a callback that moves click's progress bar: steps done, and steps in all."""

    def advance(done: int, total: int) -> None:
        bar.length = total
        bar.update(done - bar.pos)

    return advance


def counted(number: int, thing: str) -> str:
    """Return "1 card", "2 cards"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def shows_by_itself(ctx: click.Context) -> bool:
    """Tell whether a group was called without a command of its own, so that it shows its state.

    An option before the command's name would have no effect, so it is refused.
    """
    if ctx.invoked_subcommand is None:
        return True
    for name in ctx.params:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give options after `{ctx.invoked_subcommand}`", ctx)
    return False


def typed_unseen(what: str, given: str = "-") -> str:
    """Return `given`; for ``-`` ask for it unseen, or read a line of stdin."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, prompt_suffix=": "))
    return sys.stdin.readline().strip()


def typed_twice(what: str, name: str) -> str:
    """Ask for something new twice, unseen; InputError where the two `name` are not the same."""
    first, again = typed_unseen(what), typed_unseen("The same again")
    if first != again:
        raise InputError(f"the two {name} are not the same; nothing was changed")
    return first


class Written(click.ParamType[ValueT]):
    """A value that `read` makes of what is typed; its ValueError says how to write it."""

    def __init__(self, name: str, read: Callable[[str], ValueT]) -> None:
        self.name = name
        self.read = read

    def convert(
        self, value: str | ValueT, param: click.Parameter | None, ctx: click.Context | None
    ) -> ValueT:
        """Return the value; click also converts a default, which is one already."""
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _iso_time(text: str, otherwise: str = "2026-11-25") -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"write it as {otherwise} or 2026-11-25T21:00") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"give a year from {FIRST_YEAR} to {LAST_YEAR}")
    return at


def _end(text: str) -> datetime | time:
    with suppress(InputError):
        minute = read_minute(text)
        if minute < DAY_MINUTES:
            return time(*divmod(minute, 60))
    return _iso_time(text, "21:00")


def _hours(text: str) -> Span:
    opens, _, closes = text.partition("-")
    with suppress(InputError):
        text = f"{clock(read_minute(opens))}-{clock(read_minute(closes))}"
    return span(text)


def _weekdays(text: str) -> frozenset[int]:
    named = [day.strip().lower() for day in text.split(",")]
    if not set(named) <= set(WEEKDAYS):
        raise ValueError(f"write some of {','.join(WEEKDAYS)}")
    return frozenset(map(WEEKDAYS.index, named))


ISO_TIME = Written("ISO", _iso_time)
"""A time as ISO 8601 writes it, aware only with an offset; without, it is the branch's own."""

ISO_DATE = Written("DATE", read_day)
"""A date as 2026-11-25, or as :func:`read_day` has it, with its year."""

END_TIME = Written("T", _end)
"""A local time: the next ``22``, ``21:00``, 2130 or ``7.30``, or as ISO 8601 writes it."""

HOURS = Written("SPAN", _hours)
"""A span of a day, ``HH:MM-HH:MM`` or 7-22; one that ends before it begins ends on the next day."""

DAYS = Written("DAYS", _weekdays)
"""Days of the week such as ``mon,tue``; 0 for Monday."""


def instant(end: datetime | time, moment: Moment, *, last: bool = False) -> datetime:
    """Return the instant that `END_TIME` or `ISO_TIME` means, in the branch's time zone.

    A time of day is today's, or tomorrow's where that is past.

    `last` is for a time that the clock shows twice in an October night: whether the second is
    meant, as for the end of a window; else the first.
    """
    zone = moment.local.tzinfo
    if isinstance(end, time):
        today = moment.local.date()
        past = end <= moment.local.time()
        local = datetime.combine(today + timedelta(days=past), end, zone)
    elif end.tzinfo is None:
        local = end.replace(tzinfo=zone)
    else:
        return end.astimezone(zone)
    second = local.replace(fold=1)
    # In the night in which an hour is left out the second lies before the first.
    return second if last and second.astimezone(UTC) > local.astimezone(UTC) else local


def weekday_names(days: frozenset[int]) -> list[str]:
    """Return the names of weekdays, Monday first."""
    return [WEEKDAYS[day] for day in sorted(days)]
