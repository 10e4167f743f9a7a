"""What the pages of the audit log and of kept periods ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from doorctl.ports import Visit
from doorctl.privacy.audit import Action, Entry
from doorctl.privacy.audit_chain import Head, Verdict
from doorctl.privacy.hold import Hold, HoldAsked


class AuditDesk(Protocol):
    """Who did or looked at what."""

    def entries(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        account: str | None,
        action: Action | None,
        by: str,
    ) -> tuple[Entry, ...]:
        """Return entries that fit, newest first; that somebody read them is one itself."""

    def verify(self) -> Verdict:
        """Return whether the chain is whole."""

    def head(self) -> Head:
        """Return the chain's end."""


class HoldDesk(Protocol):
    """What the purge spares because of an incident."""

    def every(self) -> tuple[tuple[Hold, bool], ...]:
        """Return each hold and whether it is in force."""

    def add(self, asked: HoldAsked) -> Hold:
        """Add a hold for a window of visits."""

    def lift(self, number: int, by: str) -> Hold:
        """Lift a hold."""

    def visits(self, number: int, by: str) -> Sequence[Visit]:
        """Return the visits of a hold that may be shown now; audited."""
