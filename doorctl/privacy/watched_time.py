"""How long a clock has run evenly: what can't be undone waits until it has run so for a while.

Even a dependable clock can be wrong for an evening: a time server errs, or a battery clock stood
still.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from doorctl.core.moments import SETTLED, SLEWED, Moment

WATCHED_S = SETTLED.total_seconds()
"""How long a clock must run evenly before anything is done that can't be undone; seconds."""


class WatchedTime:
    """Watch one clock. One thread."""

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
        if self._since is None or self._was_set(*self._since, now, now_s):
            self._since = (now, now_s)
        return now_s - self._since[1] >= WATCHED_S

    @staticmethod
    def _was_set(then: datetime, then_s: float, now: datetime, now_s: float) -> bool:
        return abs(now - then - timedelta(seconds=now_s - then_s)) >= SLEWED
