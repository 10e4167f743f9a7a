"""Puts on record that a role was refused a page: who, which page, and what it asks for."""

from __future__ import annotations

from threading import Lock

from doorctl.accounts.refusals import Refusals
from doorctl.accounts.roles import Permission
from doorctl.bootstrap.audit import DesksAudit
from doorctl.bootstrap.branch import BranchDesk
from doorctl.ports import Clock
from doorctl.privacy.audit import Action, Deed


class RefusalsOnRecord:
    """The audit log's word of each; implements `doorctl.web.pages.frame.Refused`. Thread-safe.

    Args:
        branch: owns ``branch.db``.
        clock: any.
    """

    def __init__(self, branch: BranchDesk, clock: Clock) -> None:
        self._audit = DesksAudit(branch)
        self._clock = clock
        self._refusals = Refusals()
        self._lock = Lock()

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Put a refusal on record, unless the account has had many.

        Args:
            account: the login.
            page: the route as the code has it, without what stood in the address.
            needs: what the role may not do.

        Raises:
            StoreError: it could not be written.
        """
        with self._lock:
            left_out = self._refusals.due(account, self._clock.monotonic_s())
        if left_out is None:
            return
        details: dict[str, int | str] = {"page": page, "needs": needs.value}
        if left_out:
            details["left_out"] = left_out
        self._audit.note(Deed(Action.PAGE_REFUSED, details=details), account)
