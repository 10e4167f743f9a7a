"""The patron register's dead man: without a push for a month its rows are about nobody we know.

Whoever left the library in that time, or asked to be forgotten, would stand in it for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from doorctl.errors import StoreError
from doorctl.ports import CacheStamp, Clock, EventLog
from doorctl.privacy.watched_time import WATCHED_S

UNCONFIRMED = timedelta(days=30)
"""How long rows are kept that no push confirms: as long as visits (the sector's standard)."""


class PatronsRound:
    """Forget the register once no push has come for :data:`UNCONFIRMED`. One thread.

    It must be seen to be that old for :data:`WATCHED_S` before it goes: a clock that is wrong for
    an evening, or a push that came while it was not set, must not shut everybody out; pushes come
    every few minutes.

    Args:
        stamp: reads how old it is; may raise StoreError, and then its age is not known.
        expire: deletes what was not confirmed since a time and tells how many rows those were; may
            raise StoreError.
        forget: deletes whom pushes shut out more than a week before a time; may raise StoreError.
        clock: only a dependable one counts.
        log: hears ``patrons_expired``, once.
    """

    def __init__(
        self,
        *,
        stamp: Callable[[], CacheStamp],
        expire: Callable[[datetime], int],
        forget: Callable[[datetime], object],
        clock: Clock,
        log: EventLog,
    ) -> None:
        self._stamp = stamp
        self._expire = expire
        self._forget = forget
        self._clock = clock
        self._log = log
        self._old_since_s: float | None = None

    def turn(self) -> None:
        """Look, and delete what is due.

        Raises:
            StoreError: it could not be deleted; it is tried again.
        """
        moment, now_s = self._clock.moment(), self._clock.monotonic_s()
        before = moment.local.astimezone(UTC) - UNCONFIRMED
        if moment.dependable:
            self._forget(moment.local)
        if not moment.dependable or not self._is_older(before):
            self._old_since_s = None
        elif self._old_since_s is None:
            self._old_since_s = now_s
        elif now_s - self._old_since_s >= WATCHED_S:
            gone = self._expire(before)
            self._old_since_s = None
            if gone:
                why = f"no push since {before:%Y-%m-%d}: {gone} rows were deleted"
                self._log.emit("alarm", kind="patrons_expired", why=why)

    def _is_older(self, before: datetime) -> bool:
        try:
            stamp = self._stamp()
        except StoreError:
            return False
        return stamp.patrons > 0 and stamp.applied_at is not None and stamp.applied_at < before
