"""Accounts, sessions and failures in memory, with their audit log, and a hasher that is quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from doorctl.accounts.account import Account, Refusal
from doorctl.accounts.password import Password
from doorctl.core.errors import StoreError
from doorctl.core.moments import Moment
from doorctl.extras.oidc import Oidc
from doorctl.extras.oidc.signing_in import ProviderSigningIn
from doorctl.lookup.app import App
from doorctl.privacy.audit import Action
from doorctl.services.deeds import OpenBranch, Request
from doorctl.store.accounts import AccountRecords, Books
from doorctl.store.branch_rows import FACTOR_KEY
from doorctl.web.branch_thread import BranchThread
from doorctl.web.signing_in import SigningIn
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryAudit, MemoryBranch
from tests.services.branches import configured

ResultT = TypeVar("ResultT")

CONFIG = configured(Path("/nowhere"))

Event = tuple[Action, str, dict[str, int | str]]
"""What stands on the audit log: the action, who did it, and the details."""


def refused(account: str | None, why: Refusal, wait_s: int = 0) -> Event:
    """Return the event of a sign-in that was refused."""
    known = {} if account is None else {"account": account}
    details = {**known, "why": why.value, "wait_s": wait_s}
    return Action.SIGN_IN_REFUSED, "(not signed in)", details


def memory_books(branch: MemoryBranch | None = None) -> Books:
    """Return the books of a branch, or of a new one."""
    return Books(branch or MemoryBranch())


def carried_out(
    request: Request[ResultT], books: Books, moment: Moment, by: str = "root"
) -> ResultT:
    """Do a deed of staff that is about accounts alone."""
    memory = MemoryBranch()
    return request.run(OpenBranch(memory, memory, MemoryAudit(), books), by, moment)


class MemoryThread(BranchThread):
    """A `BranchThread` over memory, on its caller's thread; `broken` makes every write fail."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.broken = False
        memory = MemoryBranch()
        self.books, self.audit = memory_books(memory), MemoryAudit(memory)
        self._opened = OpenBranch(memory, memory, self.audit, self.books)
        self.records = AccountRecords(memory.path, memory.reader)
        self.key = memory.path.with_name(FACTOR_KEY)

    def run(self, use: Callable[[OpenBranch, Moment], ResultT]) -> ResultT:
        """Use the branch."""
        if self.broken:
            raise StoreError("the branch in memory was told to fail")
        return use(self._opened, self.clock.moment())

    def change(self, request: Request[ResultT], by: str = "root") -> ResultT:
        """Do a deed of staff."""
        return super().change(request, by)

    def add(self, account: Account, password: str) -> None:
        """Add an account."""
        self.run(lambda opened, moment: opened.staff.accounts.keep(account, moment))
        self.books.accounts.keep_password(account.name, QuickHasher().hashed(Password(password)))

    @property
    def events(self) -> list[Event]:
        """What stands on the audit log, but for what root has done."""
        entries = (entry for entry in self.audit.entries() if entry.by != "root")
        return [(entry.deed.action, entry.by, {**entry.deed.details}) for entry in entries]

    def signing_in(
        self,
        hasher: QuickHasher | None = None,
        *,
        idle_min: int = 30,
        required: bool = False,
    ) -> SigningIn:
        """Return the way in, as it is configured."""
        config = replace(
            CONFIG,
            signin=replace(CONFIG.signin, idle_min=idle_min),
            web=replace(CONFIG.web, second_factor="required" if required else "optional"),
        )
        app = App(config, self.clock)
        return SigningIn(app, self, hasher=hasher or QuickHasher(), records=self.records)

    def providing(self, door: SigningIn, roles: tuple[str, ...]) -> ProviderSigningIn:
        """Return the way in by an identity provider, whose groups have these roles."""
        return ProviderSigningIn(Oidc(roles=roles), door, self.clock)


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
