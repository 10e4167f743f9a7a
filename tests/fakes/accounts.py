"""Accounts, sessions and failures in memory, a desk that undoes, and a hasher that is quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from doorctl.accounts.account import Account, Books, Done, Event, Password, Session
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.services.accounts import hashed
from doorctl.services.deeds import OpenBranch, Request
from doorctl.store.accounts import AccountRecords, StoredAccounts, StoredFailures, StoredSessions
from doorctl.store.branch import FACTOR_KEY
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryAudit, MemoryBranch

ResultT = TypeVar("ResultT")


def memory_books(branch: MemoryBranch | None = None) -> Books:
    """Return the books of a branch, or of a new one."""
    memory = branch or MemoryBranch()
    return Books(StoredAccounts(memory), StoredSessions(memory), StoredFailures(memory))


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
    deeds: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._branch = MemoryBranch()
        self._records = AccountRecords(self._branch.path, self._branch.rows)
        self.books = memory_books(self._branch)

    def run(self, use: Callable[[Books, Moment], Done[ResultT]]) -> ResultT:
        """Use the books."""
        if self.broken:
            raise StoreError("the memory desk was told to fail")
        moment = self.clock.moment()
        with self._branch.together(moment):
            done = use(self.books, moment)
        if done.event is not None:
            self.events.append(done.event)
        return done.result

    def lose_key(self) -> None:
        """Lose the key of second factors, as a restore without it does."""
        self._branch.path.with_name(FACTOR_KEY).unlink()

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
        return self._records.whose(digest)

    def every(self) -> tuple[Account, ...]:
        """Return all accounts."""
        return self._records.every()

    def sessions(self, name: str) -> tuple[tuple[bytes, Session], ...]:
        """Return those of an account."""
        return self._records.sessions(name)


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
