"""Options of the staff commands: who calls and why, text typed unseen, dates and times."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, time

import click

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.cli.options import FIRST_YEAR, LAST_YEAR, IsoTime
from doorctl.config.hours import span
from doorctl.core.errors import InputError
from doorctl.core.identity import caller as caller  # noqa: PLC0414 -- for the staff commands
from doorctl.core.masked import Pin
from doorctl.core.moments import Moment

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_OF_TODAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def typed_unseen(what: str, given: str = "-") -> str:
    """Return `given`; for ``-`` ask for it unseen, or read a line of stdin."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, prompt_suffix=": "))
    return sys.stdin.readline().strip()


def new_pin() -> Pin:
    """Ask for a new PIN twice, unseen.

    Raises:
        InputError: the two are not the same.
    """
    first, again = typed_unseen("New PIN"), typed_unseen("The same again")
    if first != again:
        raise InputError("the two PINs are not the same; nothing was changed")
    return Pin(first)


class IsoDate(click.ParamType[date]):
    """A date as ISO 8601 writes it."""

    name = "DATE"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Return the date."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail("write it as 2026-11-25", param, ctx)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.fail(f"give a year from {FIRST_YEAR} to {LAST_YEAR}", param, ctx)
        return day


class EndTime(click.ParamType[datetime | time]):
    """A local time: today's as ``21:00``, else as ISO 8601 writes it."""

    name = "T"

    def convert(
        self,
        value: str | datetime | time,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime | time:
        """Return a time of day for today's, else a date with a time."""
        if not isinstance(value, str):
            return value
        of_today = _OF_TODAY.fullmatch(value)
        if of_today is not None:
            return time(int(of_today[1]), int(of_today[2]))
        return IsoTime().convert(value, param, ctx)


class Hours(click.ParamType[Span]):
    """A span of a day, ``HH:MM-HH:MM``; one that ends before it begins ends on the next day."""

    name = "SPAN"

    def convert(
        self, value: str | Span, param: click.Parameter | None, ctx: click.Context | None
    ) -> Span:
        """Return the span."""
        if isinstance(value, Span):
            return value
        try:
            return span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def instant(end: datetime | time, moment: Moment, *, last: bool = False) -> datetime:
    """Return the instant that an :class:`EndTime` means, in the branch's time zone.

    Args:
        last: for a time that the clock shows twice in an October night: whether the second is
            meant, as for the end of a window; else the first.
    """
    zone = moment.local.tzinfo
    if isinstance(end, time):
        local = datetime.combine(moment.local.date(), end, zone)
    elif end.tzinfo is None:
        local = end.replace(tzinfo=zone)
    else:
        return end.astimezone(zone)
    second = local.replace(fold=1)
    # In the night in which an hour is left out the second lies before the first.
    return second if last and second.astimezone(UTC) > local.astimezone(UTC) else local


def clock(minutes: int) -> str:
    """Return minutes after midnight as ``HH:MM``, those of the next day too; midnight is 24:00."""
    within = minutes if minutes <= DAY_MINUTES else minutes - DAY_MINUTES
    return f"{within // 60:02}:{within % 60:02}"


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


class Weekdays(click.ParamType[frozenset[int]]):
    """Days of the week such as ``mon,tue``; 0 for Monday."""

    name = "DAYS"

    def convert(
        self,
        value: str | frozenset[int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> frozenset[int]:
        """Return the days."""
        if not isinstance(value, str):
            return value
        named = [one.strip().lower() for one in value.split(",")]
        if not set(named) <= set(WEEKDAYS):
            self.fail(f"write some of {','.join(WEEKDAYS)}", param, ctx)
        return frozenset(map(WEEKDAYS.index, named))


def weekday_names(days: frozenset[int]) -> list[str]:
    """Return the names of weekdays, Monday first."""
    return [WEEKDAYS[day] for day in sorted(days)]


take_as_option = click.option(
    "--as",
    "taken_as",
    type=click.Choice(["card", "cpr"]),
    help="What ten digits are that may be a card's number or a CPR number.",
)

why_option = click.option(
    "--why", default="", metavar="W", help="Why you look; kept in the audit log. Nobody's name."
)
