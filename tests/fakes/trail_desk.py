"""The audit log as its page has it, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from doorctl.core.moments import Moment
from doorctl.privacy.audit import Action, Deed, Entry, Head, Verdict
from doorctl.privacy.audit import verify as verify_chain
from tests.fakes.audit import MemoryAudit
from tests.fakes.clock import FakeClock


@dataclass
class FakeTrailDesk:
    """Implements `AuditDesk`.

    Args:
        log: what is on it.
        clock: when.
        verdict: of a check, in place of the true one.
    """

    log: MemoryAudit = field(default_factory=MemoryAudit)
    clock: FakeClock = field(default_factory=FakeClock)
    verdict: Verdict | None = None

    def put(self, deed: Deed, by: str) -> None:
        """Put a deed on record."""
        moment: Moment = self.clock.moment()
        self.log.append(deed, by, moment)

    def entries(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        account: str | None,
        action: Action | None,
        by: str,
    ) -> tuple[Entry, ...]:
        """Return what fits, newest first, and put the look on record."""
        found = self.log.entries(since)
        self.put(Deed(Action.AUDIT_READ, details={"entries": len(found)}), by)
        return tuple(
            one
            for one in reversed(found)
            if (until is None or one.at < until)
            and account in (None, one.by)
            and action in (None, one.deed.action)
        )

    def verify(self) -> Verdict:
        """Check the chain."""
        return self.verdict or verify_chain(self.log.links(), self.log.last_number(), ())

    def head(self) -> Head:
        """Return its end."""
        return self.log.head()
