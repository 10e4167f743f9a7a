"""The patron register after a month without a push: its rows are purged.

They are about people of whom the library has confirmed nothing since: patrons who left it in that
time, or asked to be forgotten, would stand in it for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from doorctl.access.patron import CacheStamp
from doorctl.core.errors import StoreError
from doorctl.core.ports import WELL, Clock, EventLog
from doorctl.privacy.retention import WATCHED_S

UNCONFIRMED = timedelta(days=30)
"""How long rows are kept that no push confirms: as long as visits (the sector's standard)."""


@dataclass(slots=True, kw_only=True)
class PatronsRound:
    """Forget the register once no push has come for :data:`UNCONFIRMED`. One thread.

    It goes once it has looked that old for :data:`WATCHED_S`: a clock that is wrong for an evening,
    or was not set when a push came, must not shut everybody out. By a clock that is not dependable
    it is as old as the earlier of both clocks says.

    Args:
        stamp: reads how old the register is; where it raises StoreError its age is not known.
        expire: deletes what was not confirmed since a time and returns how many rows.
        forget: deletes the notes of cards that pushes shut out more than a week before a time, and
            rewrites the file where deleted rows may have left bytes.
    """

    stamp: Callable[[], CacheStamp]
    expire: Callable[[datetime], int]
    forget: Callable[[datetime], object]
    clock: Clock
    log: EventLog
    _old_since_s: float | None = None

    def turn(self) -> None:
        """Look, and delete what is due.

        Raises StoreError: it could not be deleted; the next turn tries again.
        """
        moment, now_s = self.clock.bounded(), self.clock.monotonic_s()
        now = moment.local if moment.dependable else moment.earliest(UNCONFIRMED)
        before = now.astimezone(UTC) - UNCONFIRMED
        if not self._is_older(before):
            self._old_since_s = None
        elif self._old_since_s is None:
            self._old_since_s = now_s
        elif now_s - self._old_since_s >= WATCHED_S:
            gone = self.expire(before)
            self._old_since_s = None
            if gone:
                why = f"no push since {before:%Y-%m-%d}: {gone} rows were deleted"
                self.log.emit("alarm", kind="patrons_expired", why=why)
        # It may rewrite the file: a full disk, where that fails, keeps no old row.
        self.forget(now)

    def _is_older(self, before: datetime) -> bool:
        try:
            stamp = self.stamp()
        except StoreError:
            return False
        if stamp.patrons > 0:
            self.log.emit(WELL, kind="patrons_expired")
        return stamp.patrons > 0 and stamp.applied_at is not None and stamp.applied_at < before
