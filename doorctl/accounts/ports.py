"""The interfaces of accounts to the world, 1-6 methods each, and the values that cross.

Adapters stand in `store` and `sources`, fakes in `tests/fakes`; both pass one contract suite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from doorctl.accounts.account import Account, Event, SecondFactor
from doorctl.accounts.passwords import Password
from doorctl.accounts.sessions import Session
from doorctl.accounts.throttle import Failures
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, Moment

ResultT = TypeVar("ResultT")


class AccountStore(Protocol):
    """The accounts, on the side that writes them. One thread, in one transaction of the caller's.

    Raises:
        StoreError: nothing was changed.
    """

    def find(self, name: str) -> Account | None:
        """Return the account of a login."""

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""

    def keep(self, account: Account, moment: Moment) -> None:
        """Add an account, or replace all that is stored of it but its password.

        It counts as used then. Accounts that left long ago are forgotten at the same time.
        """

    def password_of(self, name: str) -> str | None:
        """Return the hash of a password; None for no account, or one without a password."""

    def keep_password(self, name: str, hashed: str) -> None:
        """Store the hash of an account's password."""

    def factor_of(self, name: str) -> SecondFactor | None:
        """Return an account's second factor; None for none, without a secret if that is lost."""

    def keep_factor(self, name: str, factor: SecondFactor | None) -> None:
        """Store an account's second factor, or forget it.

        Raises:
            KeyFileError: the key that seals it can't be read or made; nothing was changed.
        """


class SessionStore(Protocol):
    """The sessions, on the side that writes them. One thread, in the caller's transaction.

    Raises:
        StoreError: nothing was changed.
    """

    def add(self, digest: bytes, session: Session) -> None:
        """Store a session under the digest of its token; forget those that are over."""

    def find(self, digest: bytes) -> Session | None:
        """Return the session of a token's digest, living or not."""

    def touch(self, digest: bytes, seen: BootTime) -> None:
        """Store that a session was just used; do nothing if it is gone."""

    def end(self, digest: bytes) -> None:
        """Forget a session; do nothing if it is gone."""

    def end_all(self, name: str) -> int:
        """Forget all sessions of an account; return how many there were."""


class FailureStore(Protocol):
    """The counts of failed sign-ins. One thread, in the caller's transaction.

    Neither a name that was typed nor an address can be read from what is stored.

    Raises:
        StoreError: nothing was changed.
    """

    def find(self, kind: str, of: str) -> Failures:
        """Return the count of an account's login, of a browser there, or a caller's address."""

    def keep(self, kind: str, of: str, failures: Failures) -> None:
        """Store a count; forget the oldest ones, where there are too many."""

    def key(self) -> bytes:
        """Return the branch's secret of 32 bytes, the same for as long as the counts are kept."""


@dataclass(frozen=True, slots=True)
class Books:
    """The three stores in the hands of the one writer."""

    accounts: AccountStore
    sessions: SessionStore
    failures: FailureStore


@dataclass(frozen=True, slots=True)
class Done(Generic[ResultT]):
    """The result of a change, and its events for the audit log."""

    result: ResultT
    event: Event | None = None


class Desk(Protocol):
    """Has the writer make changes. Thread-safe."""

    def run(self, use: Callable[[Books, Moment], Done[ResultT]]) -> ResultT:
        """Make a change and put it on the audit log in one durable transaction; return the result.

        Raises:
            StoreError: nothing was changed.
            DoorctlError: any error of `use`; nothing was changed.
        """


class SignedInBook(Protocol):
    """The sessions and their accounts, read-only. Thread-safe.

    Raises:
        StoreError: they can't be read, so nobody is signed in.
    """

    def whose(self, digest: bytes) -> tuple[Account, Session] | None:
        """Return the session of a token's digest with its account, living or not."""

    def every(self) -> tuple[Account, ...]:
        """Return all accounts, in order of their logins."""

    def sessions(self, name: str) -> tuple[tuple[bytes, Session], ...]:
        """Return an account's sessions with their tokens' digests, living or not."""


class PasswordHasher(Protocol):
    """Argon2id. Thread-safe, slow: one at a time, for each takes much memory."""

    def hashed(self, password: Password) -> str:
        """Return a new hash, with its salt and cost in it."""

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Tell whether a password fits a hash; None never fits, and takes as long."""

    def is_old(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than the present one."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in under way at the identity provider; it is kept until the browser comes back.

    `verifier` proves that the browser with the code also began the sign-in (PKCE).
    """

    state: Masked[str]
    nonce: Masked[str]
    verifier: Masked[str]


@dataclass(frozen=True, slots=True)
class Claims:
    """What the identity provider says of a person, after its signature was checked.

    `subject` is its own name for them, which never goes to somebody else; `name` is the login,
    `shown` what colleagues see.
    """

    subject: str = field(repr=False)
    name: str = field(repr=False)
    shown: str = field(repr=False)
    groups: frozenset[str] = field(repr=False)


class IdentityProvider(Protocol):
    """The municipality's identity provider. Thread-safe; each call takes 10 s at most.

    Raises:
        IdentityProviderError: it can't be reached, or can't be believed; says why.
    """

    def begin(self, *, again: bool = False) -> tuple[str, Pending]:
        """Return the address to send the browser to, and what it has to keep meanwhile.

        With `again` the provider checks the person anew, even if they are signed in there already.
        """

    def finish(self, pending: Pending, *, state: str, code: str) -> Claims:
        """Return the claims about the person who came back with a code."""

    def way_out(self) -> str:
        """Return the address where a browser signs out there; empty for none."""
