"""``doorctl bans``: patrons that the library keeps out, for how long, and the letter to them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import click

from doorctl.access import ban_terms
from doorctl.access.ban_terms import ONE_DAY, BanState
from doorctl.access.rights import ALL_BRANCHES, USUAL_BAN, Ban
from doorctl.cli.options import json_option, with_app
from doorctl.cli.patrons import IDENTIFIER
from doorctl.cli.staff_options import IsoDate, caller, take_as_option, typed_unseen, why_option
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.ports import BanEntry
from doorctl.privacy.letters import letter, letter_day
from doorctl.services import rights
from doorctl.services.app import App
from doorctl.services.numbers import TakenAs
from doorctl.services.rights import Banned

NOTICE = "Send the letter: 7 days' written notice is usual."

UNKNOWN_REF = "No patron of that number is in the register now; the ban holds once one is."

ONE_CARD = "Ban a new card of this patron too: the library system does not say that it is theirs."


@click.group()
def bans() -> None:
    """Keep somebody out of the branch for a while, by the house rules."""


@bans.command()
@click.argument("identifier", metavar=f"[{IDENTIFIER}]", required=False)
@click.option("--patron-ref", metavar="REF", help="The patron's number in the library system.")
@take_as_option
@click.option("--reason", required=True, metavar="R", help="What happened; nobody's name.")
@click.option("--from", "first", type=IsoDate(), help="The first day; now if it is not given.")
@click.option("--until", "last", type=IsoDate(), help="The last day.")
@click.option(
    "--days",
    type=click.IntRange(1, 3660),
    metavar="N",
    help=f"How many days instead; {USUAL_BAN.days} if neither is given.",
)
@click.option("--without-end", is_flag=True, help="Until it is lifted.")
@click.option(
    "--branches", metavar="ID,ID", help=f"The branches' ids, or {ALL_BRANCHES} for all; this one."
)
@click.option("--note", default="", metavar="N", help="What the letter says besides.")
@with_app
def add(
    app: App,
    *,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    reason: str,
    first: date | None,
    last: date | None,
    days: int | None,
    without_end: bool,
    branches: str | None,
    note: str,
) -> None:
    """Ban the card IDENTIFIER, and its patron with all cards where the register knows it.

    Give - to type the identifier unseen, or --patron-ref in its place.
    """
    if (identifier is None) == (patron_ref is None):
        raise click.UsageError(f"give {IDENTIFIER} or --patron-ref")
    if sum((last is not None, days is not None, without_end)) > 1:
        raise click.UsageError("give one of --until, --days and --without-end")
    moment = app.clock.moment()
    ban = Ban(
        number=0,
        reason=reason,
        since=ban_terms.since(first, moment),
        until=ban_terms.until(None if without_end else last or _last(first, days, moment), moment),
        by=caller(),
        branches=_branches(branches, app.config.branch.id),
        note=note,
    )
    for stored in _banned(app, identifier, patron_ref, taken_as, ban):
        click.echo(_told(stored, moment))


@bans.command("list")
@why_option
@json_option
@with_app
def list_bans(app: App, why: str, as_json: bool) -> None:
    """List bans, newest first, ended and lifted ones for another month; a card is a pseudonym."""
    moment = app.clock.moment()
    entries = rights.every_ban(app, why)
    if as_json:
        click.echo(json.dumps([_as_dict(one, moment, app.config.branch.id) for one in entries]))
        return
    if not entries:
        click.echo("Nobody is banned.")
    for one in entries:
        click.echo(_as_line(one, moment, app.config.branch.id))


@bans.command()
@click.argument("number", type=int)
@with_app
def lift(app: App, number: int) -> None:
    """Lift the ban NUMBER before its end."""
    lifted = rights.lift(app, number)
    still = "".join(f" Ban {one} of the same card or patron still holds." for one in lifted.others)
    click.echo(f"Ban {number} is lifted.{still}")


@bans.command("letter")
@click.argument("number", type=int)
@with_app
def write_letter(app: App, number: int) -> None:
    """Print the letter that tells a patron of the ban NUMBER, in Danish and English."""
    ban = rights.ban_to_write_of(app, number)
    click.echo(letter(ban, app.config.branch, app.clock.moment()))


def _last(first: date | None, days: int | None, moment: Moment) -> date:
    length = USUAL_BAN if days is None else days * ONE_DAY
    return (first or moment.local.date()) + length - ONE_DAY


def _branches(written: str | None, here: str) -> frozenset[str]:
    if written is None:
        return frozenset({here})
    named = frozenset(one.strip() for one in written.split(","))
    # A ban is stored only here: a misspelt branch id would let the patron in.
    if named.isdisjoint({here, ALL_BRANCHES}):
        raise InputError(
            f"the ban would not hold here; this branch is {here}, and {ALL_BRANCHES} is all of them"
        )
    return named


def _banned(
    app: App,
    identifier: str | None,
    patron_ref: str | None,
    taken_as: TakenAs | None,
    ban: Ban,
) -> tuple[Banned, ...]:
    if identifier is None:
        return (rights.ban_patron(app, patron_ref or "", ban),)
    return rights.ban_card(app, typed_unseen(IDENTIFIER, identifier), taken_as, ban)


def _told(stored: Banned, moment: Moment) -> str:
    ban, begins = stored.ban, letter_day(stored.ban.since, moment)
    holds = f"Ban {ban.number} holds from {begins}"
    whom = "" if stored.follows else f" {ONE_CARD}"
    if not stored.known:
        whom = f" {UNKNOWN_REF}"
    if not stored.whole_patron:
        whom = " It is of this card alone: the register knows no owner."
    if ban.until is None:
        return f"{holds} and has no end; look at it again in a year.{whom} {NOTICE}"
    return f"{holds} until {_last_day(ban, moment)}, that day too.{whom} {NOTICE}"


def _last_day(ban: Ban, moment: Moment) -> date | None:
    # It ends just before an instant, which is mostly a midnight.
    return None if ban.until is None else letter_day(ban.until - timedelta.resolution, moment)


def _as_dict(one: BanEntry, moment: Moment, here: str) -> dict[str, Any]:
    ban = one.ban
    return {
        "number": ban.number,
        "state": rights.state_of(one, moment, here).value,
        "card": one.card,
        "patron_ref": one.patron_ref,
        "reason": ban.reason,
        "since": ban.since.isoformat(timespec="seconds"),
        "until": None if ban.until is None else ban.until.isoformat(timespec="seconds"),
        "by": ban.by,
        "branches": sorted(ban.branches),
        "note": ban.note,
        "lifted_at": None if one.lifted_at is None else one.lifted_at.isoformat(timespec="seconds"),
    }


def _as_line(one: BanEntry, moment: Moment, here: str) -> str:
    ban, state = one.ban, rights.state_of(one, moment, here)
    colour = "red" if state is BanState.HOLDS else None
    whom = " ".join(
        (
            *(() if one.card is None else (f"card {one.card}",)),
            *(() if one.patron_ref is None else (f"patron {one.patron_ref}",)),
        )
    )
    span = f"{letter_day(ban.since, moment)} to {_last_day(ban, moment) or 'no end'}"
    where = " ".join(sorted(ban.branches))
    return (
        f"{ban.number:4} {click.style(f'{state.value:9}', fg=colour)} {span:24} {whom}; "
        f"{where}; {ban.reason} ({ban.by})"
    )
