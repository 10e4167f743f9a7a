"""Visits are gone after the retention: deleted by trusted time only, listed by it always."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from doorctl.moments import BootTime, Moment
from doorctl.ports import VisitRetention

_ALL_GONE = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did.

    Args:
        deleted: attempts deleted.
        cutoff: what happened before it is deleted, UTC; None if the purge was postponed.
        checkpoint: the answer of ``wal_checkpoint(TRUNCATE)``; None if the purge was postponed.
    """

    deleted: int = 0
    cutoff: datetime | None = None
    checkpoint: tuple[int, int, int] | None = None

    @property
    def postponed(self) -> bool:
        """Whether nothing was deleted because the clock could not be trusted."""
        return self.cutoff is None

    @property
    def complete(self) -> bool:
        """Whether no byte of what was deleted is left in the files; else purge again soon."""
        return self.checkpoint == _ALL_GONE

    def as_dict(self) -> dict[str, int | str | bool | None]:
        """Return it as it is logged and printed."""
        cutoff = None if self.cutoff is None else self.cutoff.isoformat(timespec="seconds")
        return {
            "deleted": self.deleted,
            "cutoff": cutoff,
            "complete": self.complete,
            "postponed": self.postponed,
        }


def purge(
    visits: VisitRetention, moment: Moment, boot: BootTime, retention: timedelta
) -> PurgeReport:
    """Delete what is older than the retention; safe to repeat at any time.

    Args:
        visits: the door log.
        moment: the time now.
        boot: the boot clock at the same time.
        retention: how long visits may be kept.

    Raises:
        StoreError: the door log failed; purge again.
    """
    if not moment.dependable:
        return PurgeReport()
    # Not by the high-water mark: one evening with a wrong clock would delete every visit for good.
    visits.keep_time(moment.local, boot)
    cutoff = visible_since(moment.local, retention)
    deleted = visits.delete_before(cutoff)
    return PurgeReport(deleted, cutoff, visits.compact())


def visible_since(now: datetime, retention: timedelta) -> datetime:
    """Return the UTC time before which nothing may be listed, purged or not.

    Args:
        now: for a list, a moment's `latest_known`; never a guess.
        retention: how long visits may be kept.
    """
    return now.astimezone(UTC) - retention
