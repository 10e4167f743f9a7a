"""``doorctl bans``, ``passes`` and ``staff``: who is kept out, who may come in, who may sign in."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import click

from doorctl.access.ban_dates import BanState, ban_since, ban_state, ban_until
from doorctl.access.calendar import DAY_MINUTES, ONE_DAY, Span
from doorctl.access.rights import (
    ALL_BRANCHES,
    COMPANIONS_LIMIT,
    EVERY_DAY,
    MAX_CODE_DIGITS,
    MIN_CODE_DIGITS,
    MOST_SPANS,
    USUAL_BAN,
    Ban,
    Listed,
    Pass,
    PassKind,
)
from doorctl.accounts.account import Account, own_name
from doorctl.accounts.password import SHORTEST_PASSWORD, Password
from doorctl.accounts.roles import Role
from doorctl.cli.options import (
    DAYS,
    GIVEN_NUMBER,
    HOURS,
    IDENTIFIER,
    ISO_DATE,
    json_option,
    named,
    of_person,
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
from doorctl.config.hours import clock
from doorctl.core.errors import InputError
from doorctl.core.masked import Pin
from doorctl.core.moments import Moment
from doorctl.lookup.app import App
from doorctl.lookup.numbers import TakenAs
from doorctl.services import deeds, rights
from doorctl.services.accounts import every_account, hashed
from doorctl.services.branch import change
from doorctl.services.rights import PassState, Reach, letter, pass_state
from doorctl.services.subject import Named

NOTICE = "Send the letter: 7 days' written notice is usual."

WHOM = {
    Reach.NOT_YET: " No patron of that number is in the register now; the ban holds once one is.",
    Reach.CARD_ALONE: " It is of this card alone: the register knows no owner.",
    Reach.THIS_CARD: " Ban a new card of this patron too: the library system does not say that it "
    "is theirs.",
    Reach.PATRON: "",
}

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
@click.option("--reason", required=True, metavar="R", help="What happened; nobody's name.")
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
@click.option("--reason", metavar="R", help="What happened; nobody's name.")
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
    mark = click.style(f"{state.value:9}", fg="red" if state is BanState.HOLDS else None)
    ids = {"card": entry.card, "patron": entry.patron_ref}
    whom = " ".join(f"{name} {value}" for name, value in ids.items() if value is not None)
    first, last = ban.days(moment)
    span = f"{first} to {last or 'no end'}"
    where = " ".join(sorted(ban.branches))
    return f"{ban.number:4} {mark} {span:24} {whom}; {where}; {ban.reason} ({ban.by})"


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


# ``doorctl staff``: who may sign in to the staff pages, and as what.

ROLES = [role.value for role in Role]

SHOWN_OF_ACCOUNT = "name", "shown", "disabled", "must_change", "second_factor", "role", "origin"

role_option = click.option(
    "--role", required=True, type=click.Choice(ROLES), help="What the account may do."
)
stdin_option = click.option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help="Read the password from the first line of stdin instead of asking for it.",
)
must_change_option = click.option(
    "--must-change", is_flag=True, help="Have whoever signs in choose another password first."
)


@click.group()
def staff() -> None:
    """Say who may sign in to the staff pages; for root on this machine.

    One local manager or technician always works: the way in while the municipality's identity
    provider is down.
    """


@staff.command()
@click.argument("name")
@role_option
@click.option("--shown", metavar="TEXT", help="What colleagues see; NAME if it is not given.")
@must_change_option
@stdin_option
@with_app
def add(
    app: App, *, name: str, role: str, shown: str | None, must_change: bool, from_stdin: bool
) -> None:
    """Add the account NAME; its password is asked for unseen."""
    password = _password(from_stdin=from_stdin)
    account = Account(own_name(name), shown or name, Role(role), must_change=must_change)
    change(app, deeds.add_account(account, hashed(password, name)))
    click.echo(f"{name} can sign in as {role}.")


@staff.command("list")
@json_option
@with_app
def list_accounts(app: App, as_json: bool) -> None:
    """List the accounts."""
    accounts = every_account(app)
    print_list(
        (picked(account, *SHOWN_OF_ACCOUNT) for account in accounts),
        map(_account_as_line, accounts),
        as_json=as_json,
        empty="There is no account; add one with `doorctl staff add`.",
    )


@staff.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@with_app
def set_role(app: App, name: str, role: str) -> None:
    """Give the account NAME another role; sign it out."""
    change(app, deeds.set_role(name, Role(role)))
    click.echo(f"{name} is {role} from now on.")


@staff.command()
@click.argument("name")
@with_app
def disable(app: App, name: str) -> None:
    """Let nobody sign in to the account NAME; sign it out."""
    change(app, deeds.disable_account(name))
    click.echo(f"{name} is disabled and signed out.")


@staff.command()
@click.argument("name")
@with_app
def enable(app: App, name: str) -> None:
    """Let the account NAME be signed in to again, at once."""
    change(app, deeds.enable_account(name))
    click.echo(f"{name} can sign in.")


@staff.command("password")
@click.argument("name")
@must_change_option
@stdin_option
@with_app
def set_password(app: App, *, name: str, must_change: bool, from_stdin: bool) -> None:
    """Give the account NAME another password; sign it out."""
    password = _password(from_stdin=from_stdin)
    change(app, deeds.set_password(name, hashed(password, name), must_change))
    click.echo(f"{name} has a new password.")


@staff.command("reset-factor")
@click.argument("name")
@with_app
def reset_factor(app: App, name: str) -> None:
    """Take the second factor of the account NAME; sign it out."""
    change(app, deeds.reset_factor(name))
    click.echo(f"{name} signs in by password alone, until they set up another second factor.")


@staff.command("signout")
@click.argument("name")
@with_app
def sign_out(app: App, name: str) -> None:
    """Sign the account NAME out everywhere."""
    ended = change(app, deeds.sign_out_everywhere(name))
    click.echo(f"{name} is signed out; sessions that ended: {ended}.")


def _password(*, from_stdin: bool) -> Password:
    if from_stdin:
        return Password(sys.stdin.readline().rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask for the password; use --password-stdin")
    what = f"Password, at least {SHORTEST_PASSWORD} characters"
    return Password(typed_twice(what, "passwords"))


def _account_as_line(account: Account) -> str:
    state = "disabled" if account.disabled else "works"
    what = f"{account.role.value:10} {state:8} {account.origin.value}: {account.shown}"
    return f"{account.name:24} {what}"
