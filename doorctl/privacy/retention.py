"""Visits go after the retention: deleted by trusted time only, and never listed after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from doorctl.core.moments import SETTLED, SLEWED, ClockDoubt, Moment
from doorctl.privacy.erasure import ALL_GONE

WATCHED_S = SETTLED.total_seconds()
"""How long a clock must run evenly before anything is done that can't be undone; seconds."""


class WatchedTime:
    """Watch for how long one clock has run evenly. One thread.

    What can't be undone waits until it has run so for a while: even a dependable clock can be wrong
    for an evening, where a time server errs or a battery clock stood still.
    """

    def __init__(self) -> None:
        self._since: tuple[datetime, float] | None = None

    def stands(self, moment: Moment, now_s: float) -> bool:
        """Tell whether a dependable clock was seen to run evenly for :data:`WATCHED_S`.

        `now_s` is monotonic seconds at the same time as `moment`.
        """
        if not moment.dependable:
            self._since = None
            return False
        now = moment.local.astimezone(UTC)
        then, then_s = self._since or (now, now_s)
        was_set = abs(now - then - timedelta(seconds=now_s - then_s)) >= SLEWED
        if self._since is None or was_set:
            self._since = (now, now_s)
        return now_s - self._since[1] >= WATCHED_S


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did.

    `cutoff` is UTC, `checkpoint` the answer of ``wal_checkpoint(TRUNCATE)``. `held` counts attempts
    in the window of a hold, `ahead` those that a wrong clock has dated after now, unless
    :func:`purge` may believe the clock, `left` those that the later clock alone calls old, while
    there is a `doubt`. If `limited`, more was due than a :data:`STEP`. `traces` are the bytes that
    may stand in no file any more, of this purge and of earlier ones that were not complete; never
    shown.
    """

    deleted: int = 0
    cutoff: datetime | None = None
    checkpoint: tuple[int, int, int] | None = None
    held: int = 0
    ahead: int = 0
    limited: bool = False
    left: int = 0
    doubt: ClockDoubt = ClockDoubt.NONE
    traces: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def postponed(self) -> bool:
        """Whether old visits were left, because the clock is not set or in doubt."""
        return self.left > 0

    @property
    def complete(self) -> bool:
        """Whether no byte of what was deleted is left in the files; else purge again soon."""
        return self.checkpoint == ALL_GONE

    def after(self, deleted: int) -> PurgeReport:
        """Return the report of a repeated purge; earlier tries deleted `deleted` more."""
        return replace(self, deleted=self.deleted + deleted)

    def as_dict(self) -> dict[str, int | str | bool | None]:
        """Return the report as it is logged and printed."""
        cutoff = None if self.cutoff is None else self.cutoff.isoformat(timespec="seconds")
        return {
            "deleted": self.deleted,
            "cutoff": cutoff,
            "complete": self.complete,
            "postponed": self.postponed,
            "left": self.left,
            "clock_doubt": self.doubt.value,
        }


def visible_since(now: datetime, retention: timedelta) -> datetime:
    """Return the UTC time before which nothing may be listed, purged or not.

    For a list, `now` is a moment's `latest`, for a purge its `earliest`.
    """
    return now.astimezone(UTC) - retention
