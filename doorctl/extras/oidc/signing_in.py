"""Signing in by the identity provider: what is under way, and whose account it comes to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from doorctl.accounts.account import (
    LONGEST_NAME,
    PROVIDER,
    Account,
    Claims,
    Origin,
    Refusal,
    login_name,
)
from doorctl.accounts.roles import Role
from doorctl.accounts.session import Token
from doorctl.core.asking import read_password, trusting
from doorctl.core.errors import IdentityProviderError, InputError, SignInRefusedError
from doorctl.core.moments import Moment
from doorctl.core.ports import Clock
from doorctl.extras.oidc import Oidc
from doorctl.extras.oidc.sign_ins_pending import Begun, PendingSignIns
from doorctl.privacy.audit import Action
from doorctl.store.accounts import Books
from doorctl.web.signing_in import SignInDone, SigningIn, refusal

if TYPE_CHECKING:
    from doorctl.extras.oidc.provider import OidcProvider


class ProviderSigningIn:
    """Lets staff in by the provider. Thread-safe; calls wait for disk or network.

    The provider's client is built at the first use, unless one is given.
    """

    def __init__(
        self,
        settings: Oidc,
        signing_in: SigningIn,
        clock: Clock,
        *,
        provider: OidcProvider | None = None,
    ) -> None:
        self._settings, self._signing_in, self._clock = settings, signing_in, clock
        self._provider = provider
        self._pending = PendingSignIns()

    def begin(self, back: str = "/", session: Token | None = None) -> tuple[str, Token]:
        """Return where to send the browser, and what it has to bring back in a cookie.

        `back` is the path on this branch that `finish` returns. A `session` that the browser has
        already ends when the new one begins. Raises IdentityProviderError: it can't be reached.
        """
        # Who is signed in here already means to prove it again, such as to change accounts.
        again = session is not None and self._signing_in.whose(session) is not None
        leads, pending = self._client().begin(again=again)
        begun = Begun(pending, back, session)
        return leads, self._pending.keep(begun, self._clock.monotonic_s())

    def wanted(self, kept: Token) -> str:
        """Return the path that a sign-in leads to; "/" where it is over.

        Nothing is stored, and the sign-in stays under way.
        """
        begun = self._pending.take(kept, self._clock.monotonic_s(), stays=True)
        return "/" if begun is None else begun.back

    def stop(self, kept: Token) -> None:
        """Forget a sign-in that came to nothing, if there is one."""
        self._pending.take(kept, self._clock.monotonic_s())

    def finish(self, kept: Token, *, state: str, code: str) -> tuple[Token, str]:
        """Sign in the person that the provider sent back; return the session's token and path.

        The token of `begin` counts once; the path is the page that the person wanted. Raises
        InputError: it was not begun here, or is over. IdentityProviderError: it can't be believed.
        SignInRefusedError: the person has no access here. StoreError: it could not be stored, so
        nobody was signed in.
        """
        begun = self._pending.take(kept, self._clock.monotonic_s())
        if begun is None:
            raise InputError("this sign-in was not begun here, or is over; begin again")
        claims = self._client().finish(begun.pending, state=state, code=code)
        token = self.sign_in(claims)
        if begun.session is not None:
            self._signing_in.sign_out(begun.session)
        return token, begun.back

    def sign_in(self, claims: Claims) -> Token:
        """Sign in a person that the identity provider knows; return a new token.

        The first sign-in makes the account; the groups give the role each time. SignInRefusedError:
        no role, disabled, or the login belongs to somebody else.
        """
        token = self._signing_in.run(partial(self._provided, claims))
        if token is None:
            raise SignInRefusedError("your account at the municipality has no access here")
        return token

    def way_out(self) -> str:
        """Return where a browser signs out at the identity provider; empty for nowhere.

        It takes 10 s at most, and never fails: the person is signed out here already.
        """
        try:
            return self._client().way_out()
        except IdentityProviderError:
            return ""

    def _client(self) -> OidcProvider:
        if self._provider is None:
            # Where nobody signs in by it, it costs no memory.
            from doorctl.extras.oidc.provider import OidcProvider

            oidc = self._settings
            secret, context = read_password(oidc.client_secret_file), trusting(oidc.ca_file)
            self._provider = OidcProvider(oidc, secret, context, self._clock.moment)
        return self._provider

    def _provided(self, claims: Claims, books: Books, moment: Moment) -> SignInDone[Token | None]:
        name, role = login_name(claims.name), self._role(claims.groups)
        stored = None if name is None else books.accounts.find(name)
        theirs = stored is not None and stored.subject == claims.subject
        if name is None or role is None:
            return refusal(name if theirs else None, Refusal.NO_ROLE)
        if stored is not None and (stored.disabled or not theirs):
            return refusal(name, Refusal.DISABLED if theirs else Refusal.NAME_TAKEN)
        shown = "".join(filter(str.isprintable, claims.shown)).strip()[:LONGEST_NAME] or name
        account = Account(name, shown, role, origin=Origin.PROVIDER, subject=claims.subject)
        books.accounts.keep(account, moment)
        if stored is None or stored.role is not role:
            # Sessions of an earlier role would get the new one unasked.
            books.sessions.end_all(name)
            details = {"account": name, "role": role.value, "signed_in": 1}
            return SignInDone(
                self._signing_in.begun(name, books), Action.ACCOUNT_CHANGED, PROVIDER, details
            )
        return SignInDone(self._signing_in.begun(name, books), Action.SIGNED_IN, name)

    def _role(self, groups: frozenset[str]) -> Role | None:
        """Return the role of the first configured group that is among these."""
        written = (entry.partition("=") for entry in self._settings.roles)
        return next((Role(role) for role, _, group in written if group in groups), None)
