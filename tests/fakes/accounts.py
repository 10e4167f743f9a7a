"""Accounts, sessions and failures in memory, a desk that undoes, and a hasher that is quick."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from doorctl.accounts.account import (
    Account,
    Books,
    Done,
    Event,
    Origin,
    Password,
    SecondFactor,
    Session,
)
from doorctl.accounts.throttle import NONE, Failures
from doorctl.core.errors import StoreError
from doorctl.core.masked import Masked
from doorctl.core.moments import BootTime, Moment
from doorctl.rpc.deeds import OpenBranch, Request
from doorctl.services.accounts import hashed
from tests.fakes.audit import MemoryAudit
from tests.fakes.branch_book import MemoryBranch
from tests.fakes.clock import FakeClock

ResultT = TypeVar("ResultT")


class MemoryAccounts:
    """`AccountStore`."""

    def __init__(self) -> None:
        self.kept: dict[str, Account] = {}
        self.passwords: dict[str, str] = {}
        self.factors: dict[str, tuple[str | None, int, frozenset[bytes]]] = {}
        self._disabled: dict[str, datetime] = {}
        self._used: dict[str, datetime] = {}

    def find(self, name: str) -> Account | None:
        """Return an account."""
        found = self.kept.get(name)
        return found and replace(found, second_factor=name in self.factors)

    def every(self) -> tuple[Account, ...]:
        """Return all of them."""
        return tuple(filter(None, map(self.find, sorted(self.kept))))

    def keep(self, account: Account, moment: Moment) -> None:
        """Add or replace an account; forget those that left."""
        known = moment.local if moment.dependable else moment.high_water
        self.kept[account.name] = account
        self._used[account.name] = known
        if account.disabled:
            self._disabled.setdefault(account.name, known)
        else:
            self._disabled.pop(account.name, None)
        for name in [one for one in self.kept if moment.dependable and self._left(one, known)]:
            del self.kept[name]
            self.passwords.pop(name, None)
            self.factors.pop(name, None)

    def password_of(self, name: str) -> str | None:
        """Return a hash."""
        return self.passwords.get(name)

    def keep_password(self, name: str, hashed: str) -> None:
        """Store a hash of an account that is there."""
        if name in self.kept:
            self.passwords[name] = hashed

    def factor_of(self, name: str) -> SecondFactor | None:
        """Return a second factor."""
        if name not in self.factors:
            return None
        secret, step, recovery = self.factors[name]
        return SecondFactor(None if secret is None else Masked(secret), step, recovery)

    def keep_factor(self, name: str, factor: SecondFactor | None) -> None:
        """Store or forget a second factor; a masked secret could not be copied by the desk."""
        self.factors.pop(name, None)
        if factor is not None:
            secret = None if factor.secret is None else factor.secret.reveal()
            self.factors[name] = (secret, factor.step, factor.recovery)

    def _left(self, name: str, known: datetime) -> bool:
        if self.kept[name].origin is Origin.LOCAL:
            return name in self._disabled and self._disabled[name] < known - timedelta(days=30)
        return name not in self._disabled and self._used[name] < known - timedelta(days=185)


class MemorySessions:
    """`SessionStore`."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Session] = {}

    def add(self, digest: bytes, session: Session) -> None:
        """Store a session; forget those that are over."""
        self.kept = {
            own: one for own, one in self.kept.items() if one.lives(session.began)
        } | {digest: session}  # fmt: skip

    def find(self, digest: bytes) -> Session | None:
        """Return a session."""
        return self.kept.get(digest)

    def touch(self, digest: bytes, seen: BootTime) -> None:
        """Store when somebody was seen."""
        found = self.kept.get(digest)
        if found is not None and found.seen.boot_id == seen.boot_id:
            self.kept[digest] = found.touched(seen)

    def end(self, digest: bytes) -> None:
        """Forget a session."""
        self.kept.pop(digest, None)

    def end_all(self, name: str) -> int:
        """Forget all of an account."""
        before = len(self.kept)
        self.kept = {own: one for own, one in self.kept.items() if one.account != name}
        return before - len(self.kept)


class MemoryFailures:
    """`FailureStore`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Failures] = {}

    def find(self, kind: str, of: str) -> Failures:
        """Return a count."""
        return self.kept.get((kind, of), NONE)

    def keep(self, kind: str, of: str, failures: Failures) -> None:
        """Store a count; forget those of which nobody hears any more."""
        self.kept.pop((kind, of), None)
        at = failures.at
        if at is not None and failures.count > 0:
            self.kept[kind, of] = failures
            self.kept = {one: told for one, told in self.kept.items() if not told.forgotten(at)}

    def key(self) -> bytes:
        """Return what is no secret."""
        return b"k" * 32


def memory_books() -> Books:
    """Return empty books."""
    return Books(MemoryAccounts(), MemorySessions(), MemoryFailures())


def carried_out(
    request: Request[ResultT], books: Books, moment: Moment, by: str = "root"
) -> ResultT:
    """Do a deed of staff that is about accounts alone."""
    memory = MemoryBranch()
    return request.run(OpenBranch(memory, memory, MemoryAudit(), books), by, moment)


@dataclass
class MemoryDesk:
    """`Desk`, `SignedInBook` and the page's `Accounts`.

    What raises is undone, and `broken` makes every write fail.

    Attributes:
        events: what would go on the audit log.
        deeds: by whom something was changed.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    broken: bool = False
    events: list[Event] = field(default_factory=list)
    books: Books = field(default_factory=memory_books)
    deeds: list[str] = field(default_factory=list)

    def run(self, use: Callable[[Books, Moment], Done[ResultT]]) -> ResultT:
        """Use the books."""
        if self.broken:
            raise StoreError("the memory desk was told to fail")
        before = copy.deepcopy(self.books)
        try:
            done = use(self.books, self.clock.moment())
        except BaseException:
            self.books = before
            raise
        if done.event is not None:
            self.events.append(done.event)
        return done.result

    def change(self, request: Request[ResultT], by: str = "root") -> ResultT:
        """Do a deed of staff."""
        done = self.run(lambda books, moment: Done(carried_out(request, books, moment, by)))
        self.deeds.append(by)
        return done

    def hashed(self, password: Password, name: str) -> str:
        """Return something that is no hash."""
        return hashed(password, name, QuickHasher())

    def whose(self, digest: bytes) -> tuple[Account, Session] | None:
        """Return whose a session is."""
        session = self.books.sessions.find(digest)
        account = None if session is None else self.books.accounts.find(session.account)
        return None if session is None or account is None else (account, session)

    def every(self) -> tuple[Account, ...]:
        """Return all accounts."""
        return self.books.accounts.every()

    def sessions(self, name: str) -> tuple[tuple[bytes, Session], ...]:
        """Return those of an account."""
        kept = self.books.sessions
        assert isinstance(kept, MemorySessions)
        return tuple((own, one) for own, one in kept.kept.items() if one.account == name)


@dataclass
class QuickHasher:
    """`PasswordHasher` of accounts that hides nothing.

    Attributes:
        cost: what hashes are made at today.
        stretched: how many passwords were compared.
        meanwhile: is called while a password is compared.
    """

    cost: int = 1
    stretched: int = 0
    meanwhile: Callable[[], object] = lambda: None

    def hashed(self, password: Password) -> str:
        """Return something that is no hash."""
        return f"{self.cost}${password.reveal()}"

    def fits(self, hashed: str | None, password: Password) -> bool:
        """Compare, and count it."""
        self.stretched += 1
        self.meanwhile()
        return hashed is not None and hashed.partition("$")[2] == password.reveal()

    def is_old(self, hashed: str) -> bool:
        """Tell whether the cost was another one."""
        return not hashed.startswith(f"{self.cost}$")
