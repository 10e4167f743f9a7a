"""Builds staff accounts: for the web process, which lets staff in, and for root's commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from doorctl.accounts.account import (
    Account,
    Books,
    Done,
    IdentityProvider,
    Password,
    PasswordHasher,
    Role,
    SignedInBook,
    Token,
    own_name,
    refuse_password,
)
from doorctl.accounts.signing_in import Begun, PendingSignIns, SigningIn
from doorctl.config import Config
from doorctl.core.errors import IdentityProviderError, InputError
from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed
from doorctl.services.app import App
from doorctl.services.branch import BranchThread
from doorctl.services.deeds import OpenBranch, Request
from doorctl.store.accounts import AccountRecords, ArgonPasswords

ResultT = TypeVar("ResultT")

MINUTE_MS = 60_000

NO_PROVIDER = "no identity provider is set up; see signin.oidc.issuer"


class AccountsService:
    """All that the staff pages need of accounts. Thread-safe; calls wait for disk or network.

    `signing_in` signs in and out, finds the session of a token and changes one's own password.
    Without a `provider` the configured one is built at the first use.
    """

    def __init__(
        self,
        app: App,
        branch: BranchThread,
        *,
        hasher: PasswordHasher | None = None,
        provider: IdentityProvider | None = None,
    ) -> None:
        self._app = app
        self._branch = branch
        self._hasher = hasher or ArgonPasswords()
        self._provider = provider
        self._pending = PendingSignIns()
        self._records = AccountRecords(app.storage.branch_db)
        self.signing_in = SigningIn(
            _Audited(branch),
            self._records,
            self._hasher,
            app.clock,
            roles=_roles(app.config),
            idle_ms=app.config.signin.idle_min * MINUTE_MS,
            factor_required=app.config.web.second_factor == "required",
        )

    @property
    def has_provider(self) -> bool:
        """Whether an identity provider can be asked."""
        return self._provider is not None or self._app.config.signin.oidc.wanted

    def begin_oidc(
        self, back: str = "/", session: Token | None = None, address: str = ""
    ) -> tuple[str, Token]:
        """Return where to send the browser, and what it has to bring back in a cookie.

        `back` is the path of ours that `finish_oidc` returns. A `session` that the browser has
        already ends when the new one begins. Few are under way at a time from one `address`. Raises
        IdentityProviderError: there is none, or it can't be reached.
        """
        # Who is signed in here already means to prove it again, such as to change accounts.
        again = session is not None and self.signing_in.whose(session) is not None
        leads, pending = self._identity_provider().begin(again=again)
        begun = Begun(pending, back, session)
        return leads, self._pending.keep(begun, self._app.clock.monotonic_s(), address)

    def wanted_oidc(self, kept: Token) -> str:
        """Return the path that a sign-in leads to; "/" where it is over.

        Nothing is stored, and the sign-in stays under way.
        """
        begun = self._pending.take(kept, self._app.clock.monotonic_s(), stays=True)
        return "/" if begun is None else begun.back

    def stop_oidc(self, kept: Token) -> None:
        """Forget a sign-in that came to nothing, if there is one."""
        self._pending.take(kept, self._app.clock.monotonic_s())

    def finish_oidc(self, kept: Token, *, state: str, code: str) -> tuple[Token, str]:
        """Sign in the person that the provider sent back; return the session's token and path.

        The token of `begin_oidc` counts once; the path is the page that the person wanted. Raises
        InputError: it was not begun here, or is over. IdentityProviderError: there is none, or it
        can't be believed. SignInRefusedError: the person has no access here. StoreError: it could
        not be stored, so nobody was signed in.
        """
        begun = self._pending.take(kept, self._app.clock.monotonic_s())
        if begun is None:
            raise InputError("this sign-in was not begun here, or is over; begin again")
        claims = self._identity_provider().finish(begun.pending, state=state, code=code)
        token = self.signing_in.sign_in_by_oidc(claims)
        if begun.session is not None:
            self.signing_in.sign_out(begun.session)
        return token, begun.back

    def way_out(self) -> str:
        """Return where a browser signs out at the identity provider; empty for nowhere.

        It takes 10 s at most, and never fails: the person is signed out here already.
        """
        try:
            return self._identity_provider().way_out()
        except IdentityProviderError:
            return ""

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""
        return self._records.every()

    def change(self, request: Request[ResultT], by: str) -> ResultT:
        """Do a deed of the login `by`, who may do it; see `BranchThread.run`."""
        return self._branch.change(request, by)

    def hashed(self, password: Password, name: str) -> str:
        """Return the hash of a new password for the login `name`; see :func:`hashed`."""
        return hashed(password, name, self._hasher)

    def close(self) -> None:
        """Close what reads the file, and the way to the provider; idempotent."""
        self._records.close()
        closing_it = getattr(self._provider, "close", None)
        if closing_it is not None:
            closing_it()

    def _identity_provider(self) -> IdentityProvider:
        if self._provider is None:
            self._provider = _provider(self._app)
        return self._provider


class _Audited:
    """A `Desk` that stores a change and the audit log's entry, or neither."""

    def __init__(self, branch: BranchThread) -> None:
        self._branch = branch

    def run(self, use: Callable[[Books, Moment], Done[ResultT]]) -> ResultT:
        def used(opened: OpenBranch, moment: Moment) -> ResultT:
            with opened.audit.together(moment):
                done = use(opened.staff, moment)
                if (event := done.event) is not None:
                    deed = Deed(Action(event.action), details=event.details)
                    opened.audit.append(deed, event.by, moment)
            return done.result

        return self._branch.run(used)


def hashed(password: Password, name: str, hasher: PasswordHasher | None = None) -> str:
    """Return the hash of a new password for the login `name`: stretched here and nowhere else.

    Raises InputError: it is easy to guess; says why.
    """
    refuse_password(password, own_name(name))
    return (hasher or ArgonPasswords()).hashed(password)


def every_account(app: App) -> tuple[Account, ...]:
    """Return all accounts, in order of their logins."""
    with closing(AccountRecords(app.storage.branch_db)) as records:
        book: SignedInBook = records
        return book.every()


def _roles(config: Config) -> tuple[tuple[str, Role], ...]:
    written = (entry.partition("=") for entry in config.signin.oidc.roles)
    return tuple((group, Role(role)) for role, _, group in written)


def _provider(app: App) -> IdentityProvider:
    oidc = app.config.signin.oidc
    if not oidc.wanted:
        raise IdentityProviderError(NO_PROVIDER)
    # Where nobody signs in by it, it costs no memory.
    from doorctl.core.asking import read_password, trusting
    from doorctl.sources.oidc import OidcProvider

    secret, context = read_password(oidc.client_secret_file), trusting(oidc.ca_file)
    return OidcProvider(oidc, secret, context, app.clock.moment)
