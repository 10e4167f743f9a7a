"""``doorctl passes``: a right to come in for cleaners, classes, associations and staff."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import click

from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.access.rights import (
    COMPANIONS_LIMIT,
    EVERY_DAY,
    MAX_CODE_DIGITS,
    MIN_CODE_DIGITS,
    MOST_SPANS,
    Pass,
    PassKind,
)
from doorctl.cli.options import GIVEN_NUMBER, json_option, with_app
from doorctl.cli.patrons import IDENTIFIER
from doorctl.cli.staff_options import (
    Hours,
    IsoDate,
    Weekdays,
    clock,
    new_pin,
    take_as_option,
    typed_unseen,
    weekday_names,
    why_option,
)
from doorctl.core.masked import Pin
from doorctl.core.moments import Moment
from doorctl.ports import PassEntry
from doorctl.rpc import deeds
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.branch import change
from doorctl.services.numbers import TakenAs
from doorctl.services.rights import PassState, pass_state

ALL_DAY = Span(0, DAY_MINUTES)


@click.group()
def passes() -> None:
    """Let cleaners, classes, associations and staff in, by a card or by a code."""


@passes.command()
@click.argument("identifier", metavar=f"[{IDENTIFIER}]", required=False)
@click.option("--code", "by_code", is_flag=True, help="Issue a code in place of a card.")
@click.option(
    "--digits",
    type=click.IntRange(MIN_CODE_DIGITS, MAX_CODE_DIGITS),
    default=MIN_CODE_DIGITS,
    show_default=True,
    metavar="N",
    help="How long the code is.",
)
@take_as_option
@click.option(
    "--kind",
    type=click.Choice([one.value for one in PassKind]),
    required=True,
    metavar="K",
    help=f"Whom it is for: {', '.join(one.value for one in PassKind)}.",
)
@click.option("--from", "first", type=IsoDate(), help="The first day; today if it is not given.")
@click.option("--to", "last", type=IsoDate(), required=True, help="The last day.")
@click.option("--weekdays", type=Weekdays(), default=EVERY_DAY, help="Such as mon,tue; all if not.")
@click.option(
    "--times",
    type=Hours(),
    multiple=True,
    help=f"Such as 17:00-21:00, up to {MOST_SPANS} times; all day if not.",
)
@click.option("--outside-hours", is_flag=True, help="While the branch is closed too.")
@click.option(
    "--own-pin", is_flag=True, help="A card has a PIN of its own for it, asked for twice, unseen."
)
@click.option("--no-pin", is_flag=True, help="No PIN is asked for; none ever is after a code.")
@click.option(
    "--companions",
    type=click.IntRange(0, COMPANIONS_LIMIT),
    default=0,
    show_default=True,
    metavar="N",
    help="How many others may come in with the holder.",
)
@click.option(
    "--label",
    required=True,
    metavar="L",
    help="The association, firm or school and what it comes for; never a person's name.",
)
@with_app
def add(
    app: App,
    *,
    identifier: str | None,
    by_code: bool,
    digits: int,
    taken_as: TakenAs | None,
    kind: str,
    first: date | None,
    last: date,
    weekdays: frozenset[int],
    times: tuple[Span, ...],
    outside_hours: bool,
    own_pin: bool,
    no_pin: bool,
    companions: int,
    label: str,
) -> None:
    """Issue a pass for the card IDENTIFIER, or for a new code that is shown once.

    Give - to type the identifier unseen. Without --own-pin or --no-pin a card needs the PIN that
    the register has for it; a code needs none. A card may have several passes: the best opens.
    """
    if (identifier is None) != by_code:
        raise click.UsageError(f"give {IDENTIFIER} or --code")
    if own_pin and no_pin:
        raise click.UsageError("give one of --own-pin and --no-pin")
    if by_code and own_pin:
        raise click.UsageError("no PIN is typed after a code; leave --own-pin out")
    span, *more = times or (ALL_DAY,)
    new = Pass(
        number=0,
        kind=PassKind(kind),
        first_day=first or app.clock.moment().local.date(),
        last_day=last,
        weekdays=weekdays,
        from_minute=span.opens,
        to_minute=span.closes,
        outside_hours=outside_hours,
        needs_pin=not (no_pin or by_code),
        code_digits=digits if by_code else None,
        companions_max=companions,
        label=label,
        more_times=tuple(more),
    )
    number = "" if identifier is None else typed_unseen(IDENTIFIER, identifier)
    pin = new_pin() if own_pin else None
    click.echo(_issued(app, number, taken_as, new, pin))


@passes.command("list")
@why_option
@json_option
@with_app
def list_passes(app: App, why: str, as_json: bool) -> None:
    """List passes, newest first, ended and revoked ones for another month; no code is shown."""
    moment = app.clock.moment()
    entries = rights.every_pass(app, why)
    if as_json:
        click.echo(json.dumps([_as_dict(one, moment) for one in entries]))
        return
    if not entries:
        click.echo("No passes.")
    for one in entries:
        click.echo(_as_line(one, moment))


@passes.command()
@click.argument("number", type=GIVEN_NUMBER)
@with_app
def revoke(app: App, number: int) -> None:
    """Take the pass NUMBER back."""
    change(app, deeds.revoke_pass(number))
    click.echo(f"Pass {number} opens nothing from now on.")


def _issued(app: App, number: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None) -> str:
    if new.code_digits is None:
        held = rights.issue_for_card(app, number, taken_as, new, own_pin)
        return f"Pass {held.number} is issued until {held.last_day}, that day too."
    held, shown = rights.issue_for_code(app, new)
    groups = " ".join(shown[start : start + 3] for start in range(0, len(shown), 3))
    return f"Pass {held.number} is issued. The code is {groups}; it is shown only now."


def _as_dict(one: PassEntry, moment: Moment) -> dict[str, Any]:
    held = one.held
    return {
        "number": held.number,
        "state": pass_state(one, moment.local.date()).value,
        "kind": held.kind.value,
        "label": held.label,
        "card": one.card,
        "code_digits": held.code_digits,
        "from": held.first_day.isoformat(),
        "to": held.last_day.isoformat(),
        "weekdays": weekday_names(held.weekdays),
        "times": _times(held),
        "outside_hours": held.outside_hours,
        "pin": _pin(held),
        "companions": held.companions_max,
        "revoked_at": None
        if one.revoked_at is None
        else one.revoked_at.isoformat(timespec="seconds"),
    }


def _as_line(one: PassEntry, moment: Moment) -> str:
    held, state = one.held, pass_state(one, moment.local.date())
    bearer = (
        f"card {one.card}" if held.code_digits is None else f"code of {held.code_digits} digits"
    )
    facts = [
        bearer,
        "all week" if held.weekdays == EVERY_DAY else " ".join(weekday_names(held.weekdays)),
        "all day" if held.times == (ALL_DAY,) else _times(held),
        {"own": "PIN of its own", "register": "the register's PIN", None: "no PIN"}[_pin(held)],
        *(("outside hours too",) if held.outside_hours else ()),
        *((f"with {held.companions_max}",) if held.companions_max else ()),
        held.label,
    ]
    mark = click.style(f"{state.value:7}", fg="green" if state is PassState.VALID else None)
    span = f"{held.first_day} to {held.last_day}"
    return f"{held.number:4} {mark} {held.kind.value:11} {span}  {', '.join(facts)}"


def _times(held: Pass) -> str:
    return ", ".join(f"{clock(span.opens)}-{clock(span.closes)}" for span in held.times)


def _pin(held: Pass) -> str | None:
    if not held.needs_pin:
        return None
    return "register" if held.pin_check is None else "own"
