"""``doorctl bans``: who is kept out, why and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import click

from doorctl.access.ban_dates import BanState, ban_since, ban_state, ban_until
from doorctl.access.calendar import DAY_MINUTES, Span
from doorctl.access.rights import ALL_BRANCHES, USUAL_BAN, Ban, Listed
from doorctl.access.wall_time import ONE_DAY
from doorctl.cli.options import (
    GIVEN_NUMBER,
    ISO_DATE,
    json_option,
    named,
    of_person,
    picked,
    print_list,
    together,
    why_option,
    with_app,
)
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.services import deeds, rights
from doorctl.services.branch import change
from doorctl.services.letter import letter
from doorctl.services.rights import Reach
from doorctl.services.subject import Named

NOTICE = "Send the letter: 7 days' written notice is usual."

WHOM = {
    Reach.NOT_YET: " No patron of that number is in the register now; the ban holds once one is.",
    Reach.CARD_ALONE: " It is of this card alone: the register knows no owner.",
    Reach.THIS_CARD: " Ban a new card of this patron too: the library system does not say that it "
    "is theirs.",
    Reach.PATRON: "",
}

STATES = {
    BanState.HOLDS: "in force",
    BanState.AHEAD: "not yet",
    BanState.ENDED: "over",
    BanState.LIFTED: "lifted",
    BanState.ELSEWHERE: "elsewhere",
}
"""What the list says of a ban; the fixed names are for scripts."""

ALL_DAY = Span(0, DAY_MINUTES)

ban_terms = together(
    click.option("--until", "last", type=ISO_DATE, help="The last day."),
    click.option("--days", type=click.IntRange(1, 3660), metavar="N", help="Or for how many days."),
    click.option("--without-end", is_flag=True, help="Until it is lifted."),
    click.option(
        "--branches", metavar="ID,ID", help=f"The branches' ids, or {ALL_BRANCHES} for all."
    ),
    click.option("--note", metavar="N", help="What the letter says besides."),
)


@click.group()
def bans() -> None:
    """Keep somebody out of the branch for a while, by the house rules."""


@bans.command("add")
@named
@click.option("--from", "first", type=ISO_DATE, help="The first day; now if it is not given.")
@click.option("--reason", required=True, metavar="R", help="What happened, without names.")
@ban_terms
@of_person
def add_ban(
    app: App,
    who: Named,
    *,
    first: date | None,
    reason: str,
    branches: str | None,
    note: str | None,
    **end: Any,
) -> None:
    """Ban the card IDENTIFIER, and its patron's other cards.

    The register says which those are. Give - to type the identifier unseen, or --patron-ref.
    Without --until, --days or --without-end it is for 90 days.
    """
    moment = app.clock.moment()
    ban = Ban(
        number=0,
        reason=reason,
        since=ban_since(first, moment),
        until=_until(first, moment, **end),
        by=app.by,
        branches=_branches(branches, app.config.branch.id),
        note=note or "",
    )
    for stored, reach in rights.ban(app, rights.whose(app, who), ban):
        click.echo(_ban_added(stored, moment, reach))


@bans.command("change")
@click.argument("number", type=GIVEN_NUMBER)
@click.option("--reason", metavar="R", help="What happened, without names.")
@ban_terms
@with_app
def change_ban(
    app: App, *, number: int, reason: str | None, branches: str | None, note: str | None, **end: Any
) -> None:
    """Change what is given of the ban NUMBER.

    Whose it is and its first day stay; --days counts from today.
    """
    moment, here = app.clock.moment(), app.config.branch.id
    old = rights.ban_to_write_of(app, number, "number")
    new = replace(
        old,
        reason=old.reason if reason is None else reason,
        until=_until(None, moment, **end) if any(end.values()) else old.until,
        branches=old.branches if branches is None else _branches(branches, here),
        note=old.note if note is None else note,
    )
    click.echo(_ban_added(change(app, deeds.change_ban(new)), moment))


@bans.command("list")
@why_option
@json_option
@with_app
def list_bans(app: App, why: str, as_json: bool) -> None:
    """List bans, newest first; a card is a pseudonym."""
    moment = app.clock.moment()
    entries, here = rights.every_ban(app, why), app.config.branch.id
    print_list(
        (_ban_as_dict(entry, moment, here) for entry in entries),
        (_ban_as_line(entry, moment, here) for entry in entries),
        as_json=as_json,
        empty="Nobody is banned.",
    )


@bans.command("lift")
@click.argument("number", type=int)
@with_app
def lift_ban(app: App, number: int) -> None:
    """Lift the ban NUMBER before its end."""
    others = rights.lift(app, number)
    still = "".join(f" Ban {ban} of the same card or patron still holds." for ban in others)
    click.echo(f"Ban {number} is lifted.{still}")


@bans.command("letter")
@click.argument("number", type=int)
@with_app
def write_letter(app: App, number: int) -> None:
    """Print the letter about the ban NUMBER, in Danish and English."""
    ban = rights.ban_to_write_of(app, number)
    click.echo(letter(ban, app.config.branch, app.clock.moment()))


def _until(
    first: date | None, moment: Moment, last: date | None, days: int | None, *, without_end: bool
) -> datetime | None:
    if sum((last is not None, days is not None, without_end)) > 1:
        raise click.UsageError("give one of --until, --days and --without-end")
    if without_end:
        return None
    length = USUAL_BAN if days is None else days * ONE_DAY
    return ban_until(last or (first or moment.local.date()) + length - ONE_DAY, moment)


def _branches(written: str | None, here: str) -> frozenset[str]:
    if written is None:
        return frozenset({here})
    named = frozenset(branch.strip() for branch in written.split(","))
    # A ban is stored only here: a misspelt branch id would let the patron in.
    if named.isdisjoint({here, ALL_BRANCHES}):
        raise InputError(
            f"the ban would not hold here; this branch is {here}, and {ALL_BRANCHES} is all of them"
        )
    return named


def _ban_added(ban: Ban, moment: Moment, reach: Reach = Reach.PATRON) -> str:
    begins, last = ban.days(moment)
    ends = " and has no end; look at it again in a year." if last is None else ""
    ends = ends or f" until {last}, that day too."
    return f"Ban {ban.number} holds from {begins}{ends}{WHOM[reach]} {NOTICE}"


def _ban_as_dict(entry: Listed[Ban], moment: Moment, here: str) -> dict[str, Any]:
    return {
        "number": entry.held.number,
        "state": ban_state(entry, moment, here),
        **picked(entry, "card", "patron_ref"),
        **picked(entry.held, "reason", "since", "until", "by", "branches", "note"),
        "lifted_at": entry.ended_at,
    }


def _ban_as_line(entry: Listed[Ban], moment: Moment, here: str) -> str:
    ban, state = entry.held, ban_state(entry, moment, here)
    mark = click.style(f"{STATES[state]:9}", fg="red" if state is BanState.HOLDS else None)
    ids = {"card": entry.card, "patron": entry.patron_ref}
    whom = " ".join(f"{name} {value}" for name, value in ids.items() if value is not None)
    first, last = ban.days(moment)
    span = f"{first} to {last or 'no end'}"
    where = " ".join(sorted(ban.branches))
    return f"{ban.number:4} {mark} {span:24} {whom}; {where}; {ban.reason} ({ban.by})"
