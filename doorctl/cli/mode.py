"""``doorctl mode``: the branch's present mode, and setting it by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from doorctl.access.calendar import BY_STAFF, OPEN, Cause, Mode
from doorctl.access.day import Override
from doorctl.cli.options import config_option, json_option, read_config, set_option, with_app
from doorctl.cli.staff_options import EndTime, caller, instant, shows_by_itself
from doorctl.services.app import App
from doorctl.services.hours import Hours, hours_now

SHOWN: Mapping[Mode | None, str] = MappingProxyType(
    {
        Mode.STAFFED: "staffed",
        Mode.SELF_SERVICE: "self-service",
        Mode.CLOSED: "closed",
        Mode.LOCKDOWN: "locked down",
        None: "closed to patrons, because nobody knows its hours",
    }
)
WHY: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.SCHEDULE: "the usual hours",
        Cause.EXCEPTION: "an exception for this date",
        Cause.HOLIDAY: "a public holiday",
        Cause.STAFF: "set by hand",
        Cause.LOCKDOWN: "a lockdown is over and nobody has ended it: doorctl mode end",
        Cause.UNKNOWN_CALENDAR: "the calendar is missing or at its end",
        Cause.CLOCK: "the clock is not set",
    }
)


@click.group(invoke_without_command=True)
@config_option
@set_option
@json_option
@click.pass_context
def mode(ctx: click.Context, config_path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what the branch is just now, why and until when, or set it by hand."""
    if not shows_by_itself(ctx):
        return
    now = hours_now(App.of(read_config(config_path, overrides)))
    click.echo(json.dumps(_as_dict(now)) if as_json else _told(now))


@mode.command("set")
@click.argument("name", type=click.Choice([one.value for one in Mode]), metavar="MODE")
@click.option(
    "--until",
    type=EndTime(),
    required=True,
    help="When it ends by itself: 21:00 for today's, or 2026-11-25T21:00.",
)
@click.option("--reason", required=True, metavar="R", help="Why, in a few words; nobody's name.")
@with_app
def set_mode(app: App, name: str, until: datetime | time, reason: str) -> None:
    """Make the branch staffed, self_service, closed or lockdown until a time, whatever its hours.

    In lockdown only emergency passes open the door.
    """
    from doorctl.rpc import deeds  # noqa: PLC0415
    from doorctl.services.branch import change  # noqa: PLC0415 - showing does without

    moment = app.clock.moment()
    end = instant(until, moment)
    wanted = Mode(name)
    change(app, deeds.set_mode(Override(wanted, end, reason, caller())))
    click.echo(f"The branch is {SHOWN[wanted]} until {_at(end)}; then its calendar counts again.")
    if wanted in OPEN and not moment.dependable:
        click.echo("The clock is not set: until it is, this lets nobody in.", err=True)


@mode.command("end")
@with_app
def end_mode(app: App) -> None:
    """End the mode that was set by hand, so that the calendar counts again."""
    from doorctl.rpc import deeds  # noqa: PLC0415
    from doorctl.services.branch import change  # noqa: PLC0415 - as above

    ended = change(app, deeds.end_mode())
    click.echo(f"The branch is no longer {SHOWN[ended.mode]} by hand; its calendar counts again.")


def _at(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"


def _as_dict(now: Hours) -> dict[str, Any]:
    stands, following = now.standing, now.next_change
    by_hand = now.override if stands.cause in BY_STAFF else None
    return {
        "mode": None if stands.mode is None else stands.mode.value,
        "cause": stands.cause.value,
        "until": _iso(now, stands.until),
        "reason": None if by_hand is None else by_hand.cause,
        "by": None if by_hand is None else by_hand.by,
        "next": None
        if following is None
        else {"at": _iso(now, following[0]), "mode": following[1].value},
        "problem": stands.problem,
        "clock": now.moment.state.value,
    }


def _iso(now: Hours, at: datetime | None) -> str | None:
    local = None if at is None else at.astimezone(now.moment.local.tzinfo)
    return None if local is None else local.isoformat(timespec="seconds")


def _told(now: Hours) -> str:
    stands, following = now.standing, now.next_change
    colour = "green" if stands.mode in OPEN else "red"
    lines = [click.style(SHOWN[stands.mode], fg=colour, bold=True), f"  why: {WHY[stands.cause]}"]
    if stands.cause is Cause.STAFF and now.override is not None:
        lines[-1] += f" by {now.override.by}: {now.override.cause}"
    if stands.until is not None:
        lines.append(f"  until: {_at(stands.until.astimezone(now.moment.local.tzinfo))}")
    if following is not None:
        lines.append(f"  next: {SHOWN[following[1]]} from {_at(following[0])}")
    if stands.problem and stands.cause is not Cause.UNKNOWN_CALENDAR:
        lines.append(f"  and {WHY[Cause.UNKNOWN_CALENDAR]}")
    return "\n".join(lines)
