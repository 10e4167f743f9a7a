"""Refusals by role go on record: an account's first ones, then one an hour with a count.

So a script fills no disk and keeps no other account's refusals off the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from doorctl.accounts.roles import Permission
from doorctl.core.ports import Clock
from doorctl.privacy.audit import Action, Deed
from doorctl.web.branch_thread import BranchThread, WebsAudit

AT_ONCE = 10
"""So many refusals of one account go on record at once; browsing by hand makes fewer."""

REFILL_S = 3600.0
"""After that one more goes on record in this time: at most 34 entries of an account a day."""

MOST_COUNTED = 500
"""The most accounts that are counted; the one without a refusal for longest is forgotten."""


@dataclass(slots=True)
class _Tally:
    spent: float = 0.0
    at_s: float = 0.0
    left_out: int = 0


class Refusals:
    """Put refused pages on the audit log, and count them by account. Thread-safe but for `due`."""

    def __init__(self, branch: BranchThread, clock: Clock) -> None:
        self._audit = WebsAudit(branch)
        self._clock = clock
        self._of: dict[str, _Tally] = {}
        self._lock = Lock()

    def note(self, account: str, page: str, needs: Permission) -> None:
        """Put on record that an account lacks what a page needs, unless it has had many refusals.

        `page` is the route as the code has it, without what stood in the address. Raises
        StoreError: it could not be written.
        """
        with self._lock:
            left_out = self.due(account, self._clock.monotonic_s())
        if left_out is None:
            return
        more = {"left_out": left_out} if left_out else {}
        details = {"page": page, "needs": needs.value, **more}
        self._audit.note(Deed(Action.PAGE_REFUSED, details=details), account)

    def due(self, account: str, now_s: float) -> int | None:
        """Count an account's refusal at `now_s`, CLOCK_MONOTONIC; None to keep it off the record.

        Else return how many of the account's stayed off it since its last one on record.
        """
        tally = self._of.pop(account, None) or _Tally(at_s=now_s)
        self._of[account] = tally
        if len(self._of) > MOST_COUNTED:
            del self._of[next(iter(self._of))]
        tally.spent = max(0.0, tally.spent - (now_s - tally.at_s) / REFILL_S)
        tally.at_s = now_s
        if tally.spent > AT_ONCE - 1:
            tally.left_out += 1
            return None
        tally.spent += 1
        left_out, tally.left_out = tally.left_out, 0
        return left_out
