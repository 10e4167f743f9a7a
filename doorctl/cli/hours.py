"""``doorctl mode``, ``calendar``, ``open`` and ``trust-clock``: when and how the branch is open.

Showing the mode is called often, by scripts: what only the others need is imported by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import click

from doorctl.access.calendar import LOOK_AHEAD, OPEN, WEEKDAYS, Cause, Mode, ModeSpan, Span
from doorctl.access.calendar import Day as Spans
from doorctl.access.day import Override
from doorctl.cli.options import (
    DAYS,
    END_TIME,
    HOURS,
    ISO_DATE,
    config_options,
    instant,
    json_option,
    picked,
    print_json,
    read_config,
    reason_option,
    shows_by_itself,
    with_app,
)
from doorctl.config.clashes import clock, hours_of
from doorctl.core.errors import InputError
from doorctl.lookup import witness
from doorctl.lookup.app import App
from doorctl.services import hours as service
from doorctl.services.hours import CalendarDay, Hours, hours_now
from doorctl.services.owner import ANSWER_LIMIT_S
from doorctl.web.words import CAUSES

SHOWN: Mapping[Mode | None, str] = {
    Mode.STAFFED: "staffed",
    Mode.SELF_SERVICE: "self-service",
    Mode.CLOSED: "closed",
    Mode.LOCKDOWN: "locked down",
    None: "closed to patrons, because nobody knows its hours",
}
WHY: Mapping[Cause, str] = {
    **CAUSES,
    Cause.LOCKDOWN: "a lockdown is over and nobody has lifted it: doorctl mode end --lockdown",
}

NO_WEEK = "No usual week is set, so it is closed: doorctl calendar week."


@click.command("open")
@reason_option
@with_app
def open_once(app: App, reason: str) -> None:
    """Have the running door open once, as if a card had been let in. It stands in the log."""
    from doorctl.privacy.audit import Action, Deed
    from doorctl.services.branch import note_done

    service.open_once(app, reason, ANSWER_LIMIT_S)
    note_done(app, Deed(Action.OPENED_ONCE, why=reason))
    click.echo("The door is released, once.")


@click.command("trust-clock")
@with_app
def trust_clock(app: App) -> None:
    """Say that the clock, which is in doubt after a jump, is right. Look at it first: date."""
    from doorctl.privacy.audit import Action, Deed
    from doorctl.services.branch import note_done

    at = witness.trust_clock(app, ANSWER_LIMIT_S)
    note_done(app, Deed(Action.CLOCK_TRUSTED))
    click.echo(f"The clock is right: {at}")


@click.group(invoke_without_command=True)
@config_options
@json_option
@click.pass_context
def mode(ctx: click.Context, config_path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what the branch is just now, why and until when, or set it by hand."""
    if not shows_by_itself(ctx):
        return
    now = hours_now(App.of(read_config(config_path, overrides)))
    if as_json:
        print_json(_mode_as_dict(now))
    else:
        click.echo(_mode(now))


@mode.command("set")
@click.argument("name", type=click.Choice([mode.value for mode in Mode]), metavar="MODE")
@click.option(
    "--until",
    type=END_TIME,
    required=True,
    help="When it ends by itself: 22 or 21:00, the next such time, or 2026-11-25T21:00.",
)
@reason_option
@with_app
def set_mode(app: App, name: str, until: datetime | time, reason: str) -> None:
    """Set the mode until a time, whatever the hours.

    MODE is staffed, self_service, closed or lockdown. In lockdown only emergency passes open the
    door.
    """
    from doorctl.services import branch, deeds

    moment = app.clock.moment()
    end = instant(until, moment)
    wanted = Mode(name)
    with _lifted_first():
        branch.change(app, deeds.set_mode(Override(wanted, end, reason, app.by)))
    then = "its calendar counts again"
    if wanted is Mode.LOCKDOWN:
        then += ", but in staffed hours the door stays closed until doorctl mode end --lockdown"
    click.echo(f"The branch is {SHOWN[wanted]} until {_at(end)}; then {then}.")
    if wanted in OPEN and not moment.dependable:
        click.echo("The clock is not set: until it is, this lets nobody in.", err=True)


@mode.command("end")
@click.option("--lockdown", is_flag=True, help="Lift a lockdown; without this none is ended.")
@with_app
def end_mode(app: App, *, lockdown: bool) -> None:
    """End the mode that was set by hand, so that the calendar counts again."""
    from doorctl.services import branch, deeds

    with _lifted_first():
        ended = branch.change(app, deeds.end_mode(app.by, lockdown=lockdown))
    click.echo(f"The branch is no longer {SHOWN[ended.mode]} by hand; its calendar counts again.")


@contextmanager
def _lifted_first() -> Iterator[None]:
    """Name the command that lifts a lockdown where one is in the way."""
    from doorctl.services.deeds import LOCKED

    try:
        yield
    except InputError as refusal:
        if refusal.text != LOCKED:
            raise
        raise InputError(f"{refusal} (doorctl mode end --lockdown)") from None


@click.group(invoke_without_command=True)
@click.option(
    "--days",
    type=click.IntRange(1, 90),
    default=14,
    show_default=True,
    metavar="N",
    help="How many, with today.",
)
@config_options
@json_option
@click.pass_context
def calendar(
    ctx: click.Context, config_path: Path, overrides: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Show the hours of the next days, or give a date hours of its own."""
    if not shows_by_itself(ctx):
        return
    app = App.of(read_config(config_path, overrides))
    now = hours_now(app)
    listed = service.days(app, now.moment.local.date(), days)
    if as_json:
        print_json({"opens_next": now.opens_next, "days": [*map(_day_as_dict, listed)]})
    else:
        click.echo("\n".join([_opening(now), *map(_line, listed)]))


_by_card = click.option(
    "--self-service", type=HOURS, multiple=True, help="Hours by card. Can be repeated."
)
_with_staff = click.option(
    "--staffed", type=HOURS, multiple=True, help="Hours with staff. Can be repeated."
)


@calendar.command("week")
@click.argument("weekdays", type=DAYS, required=False)
@_by_card
@_with_staff
@with_app
def week(
    app: App,
    weekdays: frozenset[int] | None,
    self_service: tuple[Span, ...],
    staffed: tuple[Span, ...],
) -> None:
    """Show the usual week, or give days of it other hours.

    DAYS are such as mon,tue; without any span they are closed. It counts at once, and is refused
    without hours.source = "staff".
    """
    from doorctl.services import branch, deeds

    spans = _given(self_service, staffed)
    if spans and not weekdays:
        raise click.UsageError("Say of which DAYS the hours are, such as mon,tue.")
    stored, start = service.usual_week(app)
    if weekdays:
        new = service.week_of(spans if at in weekdays else old for at, old in enumerate(start.days))
        branch.change(app, deeds.set_week(new, stored))
        stored = start = new
    for name, day in zip(WEEKDAYS, start.days, strict=True):
        click.echo(f"{name:10} {_spans(day)}")
    if stored is None:
        click.echo("Nobody has set it yet; these are the configuration's hours.")


def _given(self_service: tuple[Span, ...], staffed: tuple[Span, ...]) -> Spans:
    own = {Mode.SELF_SERVICE: self_service, Mode.STAFFED: staffed}
    return tuple(
        ModeSpan(mode, span.opens, span.closes) for mode, spans in own.items() for span in spans
    )


@calendar.command("except")
@click.argument("day", type=ISO_DATE, metavar="DATE")
@_by_card
@_with_staff
@click.option("--note", default="", metavar="N", help="What the day is, such as Grundlovsdag.")
@with_app
def except_day(
    app: App, day: date, self_service: tuple[Span, ...], staffed: tuple[Span, ...], note: str
) -> None:
    """Give DATE hours of its own.

    They replace all that is said of it elsewhere. A span is HH:MM-HH:MM. Without any the branch is
    closed on DATE.
    """
    from doorctl.access.calendar import StoredDay
    from doorctl.services import branch, deeds

    spans = _given(self_service, staffed)
    stored = StoredDay(day, spans, note)
    service.refuse_day(hours_now(app), stored)
    branch.change(app, deeds.set_day(stored))
    click.echo(f"On {day} the branch is {_spans(spans)}.")


@calendar.command("clear")
@click.argument("day", type=ISO_DATE, metavar="DATE")
@with_app
def clear_day(app: App, day: date) -> None:
    """Take back what `calendar except` said of DATE."""
    from doorctl.services import branch, deeds

    branch.change(app, deeds.clear_day(day))
    spans = hours_now(app).calendar.day(day)
    click.echo(f"{day} has no hours of its own any more; it is {_spans(spans)}.")


def _at(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"


def _mode_as_dict(now: Hours) -> dict[str, Any]:
    stands, by_hand = now.standing, now.by_hand
    return {
        **picked(stands, "mode", "cause"),
        "until": now.changes_at,
        "reason": None if by_hand is None else by_hand.cause,
        "by": None if by_hand is None else by_hand.by,
        "next": now.next_change and dict(zip(("at", "mode"), now.next_change, strict=True)),
        "problem": stands.problem,
        "clock": now.moment.state,
    }


def _mode(now: Hours) -> str:
    stands, following = now.standing, now.next_change
    colour = "green" if stands.mode in OPEN else "red"
    lines = [click.style(SHOWN[stands.mode], fg=colour, bold=True), f"  why: {WHY[stands.cause]}"]
    if stands.cause is Cause.STAFF and now.override is not None:
        lines[-1] += f" by {now.override.by}: {now.override.cause}"
    if now.changes_at is not None:
        lines.append(f"  until: {_at(now.changes_at)}")
    if following is not None:
        lines.append(f"  next: {SHOWN[following[1]]} from {_at(following[0])}")
    if stands.problem and stands.cause is not Cause.UNKNOWN_CALENDAR:
        lines.append(f"  and {WHY[Cause.UNKNOWN_CALENDAR]}")
    if now.lacks_week:
        lines.append(f"  {NO_WEEK}")
    return "\n".join(lines)


def _spans(spans: Spans | None) -> str:
    return "not known yet" if spans is None else hours_of(spans).replace("_", "-")


def _day_as_dict(day: CalendarDay) -> dict[str, Any]:
    spans = day.spans and [
        {"mode": span.mode, "from": clock(span.starts), "to": clock(span.ends)}
        for span in day.spans
    ]
    return {"date": day.day, **picked(day, "cause", "note"), "spans": spans}


def _opening(now: Hours) -> str:
    by_hand = now.standing.cause is Cause.STAFF
    hint = " A mode is set by hand: doorctl mode." if by_hand else ""
    if not now.moment.dependable:
        return f"The clock is not set, so nobody knows when it opens.{hint}"
    opens = now.opens_next
    if now.lacks_week:
        return f"{NO_WEEK}{hint}"
    if opens is None:
        return f"It does not open within {LOOK_AHEAD.days} days.{hint}"
    if opens == now.moment.local:
        return f"It is open.{hint}"
    return f"It opens {opens:%A %Y-%m-%d %H:%M}.{hint}"


def _line(day: CalendarDay) -> str:
    usual = day.cause is Cause.SCHEDULE
    why = day.note or ("" if usual else day.cause.value.replace("_", " "))
    return f"{day.day:%a %Y-%m-%d}  {_spans(day.spans)}{f' ({why})' if why else ''}"
