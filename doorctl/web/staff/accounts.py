"""The page of accounts: who may sign in, in which role, and what a manager can change."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from starlette.responses import Response
from starlette.routing import BaseRoute

from doorctl.accounts.account import (
    LONGEST_NAME,
    PERMITS,
    Account,
    Permission,
    Role,
    own_name,
    refuse_account,
)
from doorctl.accounts.passwords import Password
from doorctl.core.errors import InputError
from doorctl.rpc import deeds
from doorctl.rpc.deeds import Request
from doorctl.web.frame.forms import Form
from doorctl.web.frame.frame import AGAIN, Frame, PageRequest, sign_in_at

ResultT = TypeVar("ResultT")

ROLES: Mapping[Role, tuple[str, str]] = MappingProxyType(
    {
        Role.VIEWER: ("Viewer", "sees the branch, the log by pseudonym, hours and counts"),
        Role.STAFF: ("Staff", "also opens, sets modes and hours, bans, issues passes"),
        Role.MANAGER: ("Manager", "also looks up who a visit was, reads the audit log, accounts"),
        Role.DPO: ("Data protection officer", "sees all that is kept of people, and erases it"),
        Role.TECHNICIAN: ("Technician", "works on the door, and looks at nobody"),
    }
)
"""What each role is called in English, and what it is for."""

PERMISSIONS: Mapping[Permission, str] = MappingProxyType(
    {
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
        Permission.SUBJECT_RIGHTS: "Give out, erase and restrict a person's data",
        Permission.ACCOUNTS: "Look after accounts",
    }
)
"""What each permission allows, in English, the commonest first."""

PAGE: Final = "/accounts"

FIRST_WORDS: Final = 6
WORD_BYTES: Final = 3
"""A first password of six groups of six signs: 144 random bits, which can be read out by phone."""


class Accounts(Protocol):
    """The accounts. Thread-safe."""

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""

    def change(self, request: Request[ResultT], by: str) -> ResultT:
        """Change an account; raise InputError and change nothing where that is refused."""

    def hashed(self, password: Password, name: str) -> str:
        """Return the hash of a new password for a login."""


CHANGES: Mapping[str, Callable[[str, Form], Request[object]]] = MappingProxyType(
    {
        "role": lambda name, form: deeds.set_role(name, _role(form.text("role"))),
        "disable": lambda name, _form: deeds.disable_account(name),
        "enable": lambda name, _form: deeds.enable_account(name),
        "factor": lambda name, _form: deeds.reset_factor(name),
        "signout": lambda name, _form: deeds.sign_out_everywhere(name),
    }
)
"""What a form can do to an account, by the last part of its address."""


class AccountsPages:
    """Show accounts and change them."""

    def __init__(self, frame: Frame, accounts: Accounts) -> None:
        self._frame = frame
        self._accounts = accounts

    def routes(self) -> tuple[BaseRoute, ...]:
        """Return the routes of these pages."""
        guarded, may, post = self._frame.guarded, deeds.add_account.permission, ("POST",)
        return (
            guarded(PAGE, self._page, may),
            guarded(PAGE, self._add, may, post, fresh=True),
            guarded(f"{PAGE}/password", self._password, may, post, fresh=True),
            guarded(f"{PAGE}/{{change}}", self._change, may, post, fresh=True),
        )

    async def _page(self, request: PageRequest) -> Response:
        return await self._shown(request)

    async def _add(self, request: PageRequest) -> Response:
        form, first = await request.form(), first_password()
        try:
            name, role = form.text("name"), _role(form.text("role"))
            shown = form.text("shown") or name
            account = Account(own_name(name), shown, role, must_change=True)
            await request.aside(self._added, account, Password(first), request.by)
        except InputError as error:
            return await self._shown(request, request.words.refusal(error), form)
        return request.page("account_password.html", account=name, first=first)

    async def _password(self, request: PageRequest) -> Response:
        form, first = await request.form(), first_password()
        name = form.text("name")
        try:
            await request.aside(self._set, name, Password(first), request.by)
        except InputError as error:
            return await self._shown(request, request.words.refusal(error))
        return request.page("account_password.html", account=name, first=first)

    async def _change(self, request: PageRequest) -> Response:
        form, what = await request.form(), request.request.path_params["change"]
        change = CHANGES.get(what)
        if change is None:
            return await self._shown(request, request.words.say("that can't be done to an account"))
        try:
            await request.aside(self._accounts.change, change(form.text("name"), form), request.by)
        except InputError as error:
            return await self._shown(request, request.words.refusal(error))
        return request.done(PAGE, what)

    def _added(self, account: Account, first: Password, by: str) -> None:
        refuse_account(account)
        hashed = self._accounts.hashed(first, account.name)
        self._accounts.change(deeds.add_account(account, hashed), by)

    def _set(self, name: str, first: Password, by: str) -> None:
        hashed = self._accounts.hashed(first, name)
        self._accounts.change(deeds.set_password(name, hashed, must_change=True), by)

    async def _shown(
        self, request: PageRequest, wrong: str = "", form: Form | None = None
    ) -> Response:
        return request.page(
            "accounts.html",
            422 if wrong else 200,
            accounts=await request.aside(self._accounts.every),
            roles=ROLES,
            choices=[(role.value, request.words.say(name)) for role, (name, _) in ROLES.items()],
            permissions=PERMISSIONS,
            permits=PERMITS,
            wrong=wrong,
            form=form or Form({}),
            longest=LONGEST_NAME,
            again=sign_in_at(PAGE, AGAIN),
        )


def first_password() -> str:
    """Return a new random password; it is shown once and changed at the first sign-in."""
    return "-".join(secrets.token_hex(WORD_BYTES) for _ in range(FIRST_WORDS))


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise InputError("choose one of the roles") from None
