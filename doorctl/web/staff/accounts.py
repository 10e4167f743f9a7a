"""The page of accounts: who may sign in, in which role, and what a manager can change."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import LONGEST_NAME, Account, own_name
from doorctl.accounts.password import Password
from doorctl.accounts.roles import PERMITS, Permission, Role
from doorctl.core.errors import InputError
from doorctl.core.texts import refuse_text
from doorctl.services import deeds
from doorctl.services.accounts import every_account, hashed
from doorctl.services.branch import change
from doorctl.services.deeds import Request
from doorctl.web.addresses import AGAIN, sign_in_at
from doorctl.web.forms import BLANK, Form
from doorctl.web.frame import Frame, PageRequest
from doorctl.web.staff import filled_in

ROLES: Mapping[Role, tuple[str, str]] = {
    Role.VIEWER: ("Viewer", "sees the branch, the log by pseudonym, hours and counts"),
    Role.STAFF: ("Staff", "also opens, sets modes and hours, bans, issues passes"),
    Role.MANAGER: ("Manager", "also looks up who a visit was, reads the audit log, accounts"),
    Role.DPO: ("Data protection officer", "sees all that is kept of people, and erases it"),
    Role.TECHNICIAN: ("Technician", "works on the door, and sees no patrons"),
}
"""What each role is called in English, and what it is for."""

PERMISSIONS: Mapping[Permission, str] = {
    Permission.SEE_NOW: "See the branch now",
    Permission.SEE_LOG: "See the door log, by pseudonym",
    Permission.SEE_CALENDAR: "See the calendar",
    Permission.SEE_STATISTICS: "See the statistics",
    Permission.OPEN_ONCE: "Let somebody in once",
    Permission.SET_MODE: "Set modes by hand",
    Permission.ACKNOWLEDGE: "Acknowledge alarms",
    Permission.CHANGE_CALENDAR: "Change the calendar",
    Permission.EXPLAIN: "Ask why a card is refused",
    Permission.SEARCH_LOG: "Search the door log for a card",
    Permission.SEE_BANS: "See bans",
    Permission.CHANGE_BANS: "Ban somebody, and lift a ban",
    Permission.SEE_PASSES: "See passes",
    Permission.CHANGE_PASSES: "Issue a pass, and take it back",
    Permission.REVEAL: "Look up who a visit was",
    Permission.EXPORT_LOG: "Download the door log",
    Permission.HOLD: "Keep visits because of an incident",
    Permission.SEE_AUDIT: "See the audit log",
    Permission.SUBJECT_RIGHTS: "Hand over, erase and restrict a person's data",
    Permission.ACCOUNTS: "Look after accounts",
}
"""What each permission allows, in English, the commonest first."""

ACCOUNTS: Final = "/accounts"

FIRST_WORDS: Final = 6
WORD_BYTES: Final = 3
"""A first password of six groups of six signs: 144 random bits, which can be read out by phone."""


def _role(form: Form) -> Role:
    return filled_in.member(Role, form.text("role"), "choose one of the roles")


CHANGES: Mapping[str, Callable[[str, Form], Request[object]]] = {
    "role": lambda name, form: deeds.set_role(name, _role(form)),
    "disable": lambda name, _form: deeds.disable_account(name),
    "enable": lambda name, _form: deeds.enable_account(name),
    "factor": lambda name, _form: deeds.reset_factor(name),
    "signout": lambda name, _form: deeds.sign_out_everywhere(name),
}
"""What a form can do to an account, by the last part of its address."""


def accounts_pages(frame: Frame) -> tuple[BaseRoute, ...]:
    """Return the routes that show accounts and change them."""
    may, form = deeds.add_account.permission, partial(frame.form, fresh=True)
    return (
        frame.guarded(ACCOUNTS, _accounts, may),
        form(ACCOUNTS, filled_in.once(_add), may, _accounts),
        form(f"{ACCOUNTS}/password", _password, may, _unchanged),
        form(f"{ACCOUNTS}/{{change}}", _change, may, _unchanged),
    )


async def _add(request: PageRequest, form: Form) -> Response:
    faults, name, shown = filled_in.Faults(), "", form.text("shown") or form.text("name")
    with faults.of_field("name"):
        name = own_name(form.text("name"))
    with faults.of_field("shown"):
        refuse_text("shown name", shown, longest=LONGEST_NAME)
    faults.refuse()
    account = Account(name, shown, _role(form), must_change=True)
    return await _with_password(request, name, partial(deeds.add_account, account))


async def _password(request: PageRequest, form: Form) -> Response:
    name = form.text("name")
    return await _with_password(request, name, partial(deeds.set_password, name, must_change=True))


async def _with_password(
    request: PageRequest, name: str, deed: Callable[[str], Request[object]]
) -> Response:
    """Do what is given the hash of a first password, and show the password once."""
    first = first_password()
    await request.call(change, deed(await request.in_thread(hashed, Password(first), name)))
    return request.page("account_password.html", account=name, first=first)


async def _change(request: PageRequest, form: Form) -> Response:
    what = str(request.http.path_params["change"])
    if what not in CHANGES:
        raise InputError("that can't be done to an account")
    await request.call(change, CHANGES[what](form.text("name"), form))
    return request.done(ACCOUNTS, what)


async def _unchanged(request: PageRequest, _form: Form, error: InputError) -> Response:
    return await _accounts(request, error=error)


async def _accounts(
    request: PageRequest, form: Form = BLANK, error: InputError | None = None
) -> Response:
    return request.page(
        "accounts.html",
        accounts=await request.call(every_account),
        roles=ROLES,
        choices=[(role.value, request.words.say(name)) for role, (name, _) in ROLES.items()],
        permissions=PERMISSIONS,
        permits=PERMITS,
        wrong=filled_in.wrongs(request, error, ""),
        form=form,
        longest=LONGEST_NAME,
        again=sign_in_at(ACCOUNTS, AGAIN),
    )


def first_password() -> str:
    """Return a new random password; it is shown once and changed at the first sign-in."""
    return "-".join(secrets.token_hex(WORD_BYTES) for _ in range(FIRST_WORDS))
