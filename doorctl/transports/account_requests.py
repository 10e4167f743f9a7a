"""Changes of staff accounts that may be asked of ``branch.db``'s one writer.

A password is stretched before: neither the socket nor the file ever has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from doorctl.accounts import administration
from doorctl.accounts.account import Account
from doorctl.accounts.roles import Role
from doorctl.moments import Moment
from doorctl.transports.branch_requests import OpenBranch


@dataclass(frozen=True, slots=True)
class AddAccount:
    """Add a local account; it is what comes of it."""

    account: Account
    hashed: str = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Add it."""
        return administration.add(branch.staff, self.account, self.hashed, moment)


@dataclass(frozen=True, slots=True)
class SetRole:
    """Give an account another role, which ends its sessions."""

    name: str
    role: Role

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_role(branch.staff, self.name, self.role, moment)


@dataclass(frozen=True, slots=True)
class DisableAccount:
    """Let nobody sign in to an account any more, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Disable it."""
        return administration.disable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class EnableAccount:
    """Let an account be signed in to again, at once."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Enable it."""
        return administration.enable(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Give an account another password, which ends its sessions."""

    name: str
    hashed: str = field(repr=False)
    must_change: bool = False

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Give it."""
        return administration.set_password(
            branch.staff, self.name, self.hashed, moment, must_change=self.must_change
        )


@dataclass(frozen=True, slots=True)
class ResetFactor:
    """Take an account's second factor, which ends its sessions."""

    name: str

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Account:
        """Take it."""
        return administration.reset_factor(branch.staff, self.name, moment)


@dataclass(frozen=True, slots=True)
class SignOutEverywhere:
    """End all sessions of an account; their number is what comes of it."""

    name: str

    def carried_out(self, branch: OpenBranch, _moment: Moment) -> int:
        """End them."""
        return administration.sign_out_everywhere(branch.staff, self.name)
