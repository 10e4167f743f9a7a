"""An account for the demo's staff pages, signed in before they open."""

from __future__ import annotations

import secrets
from contextlib import closing

from doorctl.accounts.passwords import Password
from doorctl.accounts.roles import Role
from doorctl.bootstrap.accounts import accounts_desk
from doorctl.bootstrap.branch import BranchDesk
from doorctl.bootstrap.rules import system_clock
from doorctl.config import Config
from doorctl.masked import Masked

NAME = "demo"
HERE = "127.0.0.1"


def signed_in(config: Config) -> Masked[str]:
    """Make the account, a manager's, and return the token of its session.

    Nobody ever learns the password: the browser is given the session. Works only while nothing
    else writes ``branch.db``.

    Raises:
        StoreError: it could not be stored.
    """
    clock = system_clock(config)
    password = Password(secrets.token_urlsafe())
    with closing(BranchDesk(config, clock)) as branch:
        branch.open()
        with closing(accounts_desk(config, clock, branch)) as accounts:
            accounts.administration(NAME).add(NAME, "Demo", Role.MANAGER, password)
            return accounts.signing_in.sign_in(NAME, password, HERE)
