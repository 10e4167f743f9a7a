"""``doorctl staff``: who may sign in to the staff pages, and in which role."""

from __future__ import annotations

import sys

import click

from doorctl.accounts.account import Account, own_name
from doorctl.accounts.password import SHORTEST_PASSWORD, Password
from doorctl.accounts.roles import Role
from doorctl.cli.options import json_option, picked, print_list, typed_twice, with_app
from doorctl.core.errors import InputError
from doorctl.lookup.app import App
from doorctl.services import deeds
from doorctl.services.accounts import every_account, hashed
from doorctl.services.branch import change

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
    "--must-change", is_flag=True, help="The account's owner has to choose another password first."
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
