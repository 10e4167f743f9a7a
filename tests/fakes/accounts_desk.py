"""Accounts as their page has them: the real rules over memory, and a hasher that is quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from doorctl.accounts import administration
from doorctl.accounts.account import Account, Role, own_name
from doorctl.accounts.passwords import Password, refuse_password
from doorctl.accounts.ports import Books, Done
from doorctl.core.moments import Moment
from tests.fakes.accounts import MemoryDesk, QuickHasher

ResultT = TypeVar("ResultT")


@dataclass
class FakeAccountsDesk:
    """Implements `Accounts` of the page.

    Args:
        memory: the accounts and sessions.
        deeds: by whom something was changed.
    """

    memory: MemoryDesk = field(default_factory=MemoryDesk)
    deeds: list[str] = field(default_factory=list)

    def every(self) -> tuple[Account, ...]:
        """Return all of them."""
        return self.memory.every()

    def administration(self, by: str) -> FakeAdministration:
        """Return what changes them."""
        return FakeAdministration(self, by)


@dataclass
class FakeAdministration:
    """Implements `Administration` of the page."""

    desk: FakeAccountsDesk
    by: str

    def add(
        self, name: str, shown: str, role: Role, password: Password, *, must_change: bool = False
    ) -> None:
        """Add an account."""
        account = Account(own_name(name), shown, role, must_change=must_change)
        hashed = _hashed(password, account.name)
        self._done(lambda books, moment: administration.add(books, account, hashed, moment))

    def set_role(self, name: str, role: Role) -> None:
        """Change a role."""
        own = own_name(name)
        self._done(lambda books, moment: administration.set_role(books, own, role, moment))

    def disable(self, name: str) -> None:
        """Disable one."""
        own = own_name(name)
        self._done(lambda books, moment: administration.disable(books, own, moment))

    def enable(self, name: str) -> None:
        """Enable one."""
        own = own_name(name)
        self._done(lambda books, moment: administration.enable(books, own, moment))

    def set_password(self, name: str, password: Password, *, must_change: bool = False) -> None:
        """Set a password."""
        own = own_name(name)
        hashed = _hashed(password, own)
        self._done(
            lambda books, moment: administration.set_password(
                books, own, hashed, moment, must_change=must_change
            )
        )

    def reset_factor(self, name: str) -> None:
        """Take a second factor."""
        own = own_name(name)
        self._done(lambda books, moment: administration.reset_factor(books, own, moment))

    def sign_out_everywhere(self, name: str) -> int:
        """End sessions."""
        own = own_name(name)
        return self._done(lambda books, _: administration.sign_out_everywhere(books, own))

    def _done(self, use: Callable[[Books, Moment], ResultT]) -> ResultT:
        done = self.desk.memory.run(lambda books, moment: Done(use(books, moment)))
        self.desk.deeds.append(self.by)
        return done


def _hashed(password: Password, name: str) -> str:
    refuse_password(password, name)
    return QuickHasher().hashed(password)
