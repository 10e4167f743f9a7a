"""What real desks left on the audit log of a branch."""

from __future__ import annotations

from contextlib import closing

from doorctl.config import Config
from doorctl.privacy.audit import Action
from doorctl.store.records import AuditRecords


def recorded(config: Config) -> list[tuple[Action, str, str]]:
    """Return each entry's action, reason and account, oldest first."""
    with closing(AuditRecords(config.storage.branch_db)) as audit:
        return [(one.deed.action, one.deed.why, one.by) for one in audit.entries()]
