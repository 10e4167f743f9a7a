"""``doorctl passes``: who comes in outside the rules for patrons, by a card or by a code."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import click

from doorctl.access.calendar import Span
from doorctl.access.codes import MAX_CODE_DIGITS, MIN_CODE_DIGITS
from doorctl.access.rights import COMPANIONS_LIMIT, EVERY_DAY, MOST_SPANS, Listed, Pass, PassKind
from doorctl.cli.bans import ALL_DAY
from doorctl.cli.options import (
    DAYS,
    GIVEN_NUMBER,
    HOURS,
    IDENTIFIER,
    ISO_DATE,
    json_option,
    picked,
    print_list,
    take_as_option,
    together,
    typed_twice,
    typed_unseen,
    weekday_names,
    why_option,
    with_app,
)
from doorctl.config.clashes import clock
from doorctl.core.masked import Pin
from doorctl.lookup.app import App
from doorctl.lookup.numbers import TakenAs
from doorctl.services import deeds, rights
from doorctl.services.branch import change
from doorctl.services.rights import PassState, pass_state

LABEL = "The association, firm or school and what it comes for; never a person's name."

pass_terms = together(
    click.option("--from", "first_day", type=ISO_DATE, help="The first day; of a new one today."),
    click.option("--weekdays", type=DAYS, help="Such as mon,tue; of a new one all."),
    click.option(
        "--times",
        type=HOURS,
        multiple=True,
        help=f"Such as 17:00-21:00, up to {MOST_SPANS} times; of a new one all day.",
    ),
    click.option(
        "--outside-hours/--in-hours", default=None, help="While the branch is closed too."
    ),
    click.option(
        "--companions",
        "companions_max",
        type=click.IntRange(0, COMPANIONS_LIMIT),
        metavar="N",
        help="How many others may come in with the holder.",
    ),
)


@click.group()
def passes() -> None:
    """Let cleaners, classes, associations and staff in, by a card or by a code."""


@passes.command("add")
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
    type=click.Choice([kind.value for kind in PassKind]),
    required=True,
    metavar="K",
    help=f"Whom it is for: {', '.join(kind.value for kind in PassKind)}.",
)
@click.option(
    "--own-pin", is_flag=True, help="A card has a PIN of its own for it, asked for twice, unseen."
)
@click.option("--no-pin", is_flag=True, help="No PIN is asked for; none ever is after a code.")
@click.option("--to", "last_day", type=ISO_DATE, required=True, help="The last day.")
@pass_terms
@click.option("--label", required=True, metavar="L", help=LABEL)
@with_app
def add_pass(
    app: App,
    *,
    identifier: str | None,
    taken_as: TakenAs | None,
    by_code: bool,
    digits: int,
    kind: str,
    own_pin: bool,
    no_pin: bool,
    **terms: Any,
) -> None:
    """Issue a pass for the card IDENTIFIER or for a new code.

    The code is shown once. Give - to type the identifier unseen. Without --own-pin or --no-pin a
    card needs the PIN that the register has for it; a code needs none. A card may have several
    passes: the best opens.
    """
    if (identifier is None) != by_code:
        raise click.UsageError(f"give {IDENTIFIER} or --code")
    if own_pin and no_pin:
        raise click.UsageError("give one of --own-pin and --no-pin")
    if by_code and own_pin:
        raise click.UsageError("no PIN is typed after a code; leave --own-pin out")
    new = Pass(
        number=0,
        kind=PassKind(kind),
        needs_pin=not (no_pin or by_code),
        code_digits=digits if by_code else None,
        **{"first_day": app.clock.moment().local.date(), **_given(**terms)},
    )
    number = "" if identifier is None else typed_unseen(IDENTIFIER, identifier)
    pin = Pin(typed_twice("New PIN", "PINs")) if own_pin else None
    click.echo(_issued(app, number, taken_as, new, pin))


@passes.command("change")
@click.argument("number", type=GIVEN_NUMBER)
@click.option("--to", "last_day", type=ISO_DATE, help="The last day.")
@pass_terms
@click.option("--label", metavar="L", help=LABEL)
@with_app
def change_pass(app: App, number: int, **terms: Any) -> None:
    """Change what is given of the pass NUMBER.

    Its card or code, kind and PIN stay.
    """
    new = replace(rights.pass_to_change(app, number), **_given(**terms))
    changed = change(app, deeds.change_pass(new))
    click.echo(f"Pass {number} is changed; it lasts until {changed.last_day}, that day too.")


@passes.command("list")
@why_option
@json_option
@with_app
def list_passes(app: App, why: str, as_json: bool) -> None:
    """List passes, newest first; no code is shown."""
    today = app.clock.moment().local.date()
    entries = rights.every_pass(app, why)
    print_list(
        (_pass_as_dict(entry, today) for entry in entries),
        (_pass_as_line(entry, today) for entry in entries),
        as_json=as_json,
        empty="No passes.",
    )


@passes.command()
@click.argument("number", type=GIVEN_NUMBER)
@with_app
def revoke(app: App, number: int) -> None:
    """Take the pass NUMBER back."""
    change(app, deeds.revoke_pass(number))
    click.echo(f"Pass {number} opens nothing from now on.")


def _given(times: tuple[Span, ...], **terms: Any) -> dict[str, Any]:
    if times:
        span, *more = times
        terms |= {"from_minute": span.opens, "to_minute": span.closes, "more_times": tuple(more)}
    return {name: value for name, value in terms.items() if value is not None}


def _issued(app: App, number: str, taken_as: TakenAs | None, new: Pass, own_pin: Pin | None) -> str:
    if new.code_digits is None:
        for_card = rights.for_card(app, number, taken_as, new, own_pin)
        held = change(app, deeds.issue_pass(*for_card))
        return f"Pass {held.number} is issued until {held.last_day}, that day too."
    held, shown = rights.issue_for_code(app, new)
    groups = " ".join(shown[start : start + 3] for start in range(0, len(shown), 3))
    typed = "Type it on the keypad at the door, then OK or #."
    return f"Pass {held.number} is issued. The code is {groups}; it is shown only now. {typed}"


def _pass_as_dict(entry: Listed[Pass], today: date) -> dict[str, Any]:
    held = entry.held
    return {
        "number": held.number,
        "state": pass_state(entry, today),
        **picked(held, "kind", "label"),
        "card": entry.card,
        "code_digits": held.code_digits,
        "from": held.first_day,
        "to": held.last_day,
        "weekdays": weekday_names(held.weekdays),
        "times": _times(held),
        "outside_hours": held.outside_hours,
        "pin": _pin(held),
        "companions": held.companions_max,
        "revoked_at": entry.ended_at,
    }


def _pass_as_line(entry: Listed[Pass], today: date) -> str:
    held, state = entry.held, pass_state(entry, today)
    facts = [
        f"card {entry.card}" if held.code_digits is None else f"code of {held.code_digits} digits",
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
