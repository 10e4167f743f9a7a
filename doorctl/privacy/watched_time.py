"""How long a clock has run evenly: what can't be undone waits until a time has stood a while.

Even a dependable clock can be wrong for an evening: a time server that errs, a battery clock that
stood still.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from doorctl.core.moments import SETTLED, SLEWED, Moment

WATCHED_S = SETTLED.total_seconds()
"""How long a time must be seen before what can't be undone is done by it; monotonic seconds."""


class WatchedTime:
    """Watch one clock, for as long as the process lives. One thread."""

    def __init__(self) -> None:
        self._since: tuple[datetime, float] | None = None

    def stands(self, moment: Moment, now_s: float) -> bool:
        """Tell whether a dependable time has run evenly for :data:`WATCHED_S`, as far as was seen.

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
