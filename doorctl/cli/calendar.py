"""``doorctl calendar``: the next days at a glance, and dates with hours of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from doorctl.access.calendar import DAY_MINUTES, LOOK_AHEAD, Cause, Mode, ModeSpan, Span
from doorctl.access.calendar import Day as Spans
from doorctl.cli.options import config_option, json_option, read_config, set_option, with_app
from doorctl.cli.staff_options import Hours, IsoDate, clock, shows_by_itself
from doorctl.ports import StoredDay
from doorctl.rpc import deeds
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.services.hours import Hours as HoursNow
from doorctl.services.hours import hours_now, refuse_day

BAR_MINUTES = 30
"""Minutes that one character of a bar stands for."""

INK: Mapping[Mode | None, str] = MappingProxyType(
    {Mode.STAFFED: "█", Mode.SELF_SERVICE: "▒", None: "·"}
)
"""How a bar draws a mode; None for closed."""

LEGEND = f"{INK[Mode.STAFFED]} staffed  {INK[Mode.SELF_SERVICE]} self-service  {INK[None]} closed"
SHOWN: Mapping[Mode, str] = MappingProxyType(
    {Mode.STAFFED: "staffed", Mode.SELF_SERVICE: "self-service"}
)


@click.group(invoke_without_command=True)
@click.option(
    "--days",
    type=click.IntRange(1, 90),
    default=14,
    show_default=True,
    metavar="N",
    help="How many, with today.",
)
@config_option
@set_option
@json_option
@click.pass_context
def calendar(
    ctx: click.Context, config_path: Path, overrides: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Show the hours of the next days, or give a date hours of its own."""
    if not shows_by_itself(ctx):
        return
    now = hours_now(App.of(read_config(config_path, overrides)))
    today = now.moment.local.date()
    listed = [today + timedelta(days=ahead) for ahead in range(days)]
    click.echo(json.dumps(_as_dict(now, listed)) if as_json else _told(now, listed))


@calendar.command("except")
@click.argument("day", type=IsoDate(), metavar="DATE")
@click.option("--self-service", type=Hours(), multiple=True, help="Hours by card. Can be repeated.")
@click.option("--staffed", type=Hours(), multiple=True, help="Hours with staff. Can be repeated.")
@click.option("--note", default="", metavar="N", help="What the day is, such as Grundlovsdag.")
@with_app
def except_day(
    app: App,
    day: date,
    self_service: tuple[Span, ...],
    staffed: tuple[Span, ...],
    note: str,
) -> None:
    """Give DATE hours of its own, in place of all that is said of it elsewhere.

    A span is HH:MM-HH:MM. Without any the branch is closed on DATE.
    """
    spans = tuple(chain(_of(Mode.SELF_SERVICE, self_service), _of(Mode.STAFFED, staffed)))
    stored = StoredDay(day, spans, note)
    refuse_day(hours_now(app), stored)
    change(app, deeds.set_day(stored))
    click.echo(f"On {day} the branch is {_spelt(spans)}.")


@calendar.command("clear")
@click.argument("day", type=IsoDate(), metavar="DATE")
@with_app
def clear_day(app: App, day: date) -> None:
    """Take back what `calendar except` said of DATE."""
    change(app, deeds.clear_day(day))
    spans = hours_now(app).calendar.day(day)
    click.echo(f"{day} has no hours of its own any more; it is {_spelt(spans)}.")


def _of(mode: Mode, spans: Iterable[Span]) -> Iterator[ModeSpan]:
    return (ModeSpan(mode, one.opens, one.closes) for one in spans)


def _spelt(spans: Spans | None) -> str:
    if not spans:
        return "not known yet" if spans is None else "closed"
    ordered = sorted(spans, key=lambda one: one.starts)
    return ", ".join(f"{SHOWN[one.mode]} {clock(one.starts)}-{clock(one.ends)}" for one in ordered)


def _as_dict(now: HoursNow, listed: Iterable[date]) -> dict[str, Any]:
    opens = now.opens_next
    return {
        "opens_next": None if opens is None else opens.isoformat(timespec="seconds"),
        "days": [_day_as_dict(now, day) for day in listed],
    }


def _day_as_dict(now: HoursNow, day: date) -> dict[str, Any]:
    spans = now.calendar.day(day)
    return {
        "date": day.isoformat(),
        "cause": now.calendar.cause_on(day).value,
        "note": _note(now, day),
        "spans": None
        if spans is None
        else [
            {"mode": one.mode.value, "from": clock(one.starts), "to": clock(one.ends)}
            for one in spans
        ],
    }


def _told(now: HoursNow, listed: Iterable[date]) -> str:
    scale = "".join(f"{hour:02}".ljust(3 * 60 // BAR_MINUTES) for hour in range(0, 24, 3))
    return "\n".join(
        [
            _opening(now),
            f"{'':15}{scale}",
            *(_line(now, day) for day in listed),
            f"{'':15}{LEGEND}",
        ]
    )


def _opening(now: HoursNow) -> str:
    by_hand = now.standing.cause is Cause.STAFF
    hint = " A mode is set by hand: doorctl mode." if by_hand else ""
    if not now.moment.dependable:
        return f"The clock is not set, so nobody knows when it opens.{hint}"
    opens = now.opens_next
    if opens is None:
        return f"It does not open within {LOOK_AHEAD.days} days.{hint}"
    if opens == now.moment.local:
        return f"It is open.{hint}"
    return f"It opens {opens:%A %Y-%m-%d %H:%M}.{hint}"


def _line(now: HoursNow, day: date) -> str:
    spans = now.calendar.day(day)
    bar = "?" * (DAY_MINUTES // BAR_MINUTES) if spans is None else _bar(spans)
    cause = now.calendar.cause_on(day)
    why = _note(now, day) or ("" if cause is Cause.SCHEDULE else cause.value.replace("_", " "))
    return f"{day:%a %Y-%m-%d} {bar} {_spelt(spans)}{f' ({why})' if why else ''}"


def _bar(spans: Spans) -> str:
    return "".join(_ink(spans, minute) for minute in range(0, DAY_MINUTES, BAR_MINUTES))


def _ink(spans: Spans, minute: int) -> str:
    """Return what is drawn for the minutes from one on: what most people would call them."""
    middle = minute + BAR_MINUTES // 2
    return INK[next((one.mode for one in spans if one.starts <= middle < one.ends), None)]


def _note(now: HoursNow, day: date) -> str:
    dated = now.calendar.days.get(day)
    return "" if dated is None else dated.note
