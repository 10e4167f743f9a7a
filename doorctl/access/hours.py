"""When the branch lets patrons in by themselves: local wall-clock rules, half-open spans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` until just before `closes`.

    Args:
        opens: minutes after midnight, 0-1439.
        closes: minutes after that same midnight, more than `opens`; over 1440 for a span that
            ends on the next day.
    """

    opens: int
    closes: int

    def holds(self, minute: int) -> bool:
        """Tell whether a minute of the day on which the span opens lies in it."""
        return self.opens <= minute < self.closes


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Seven days' spans, Monday first; a day without spans is closed."""

    days: tuple[tuple[Span, ...], ...]

    def open_at(self, local: datetime) -> bool:
        """Tell whether it is open at a local wall-clock time, to the microsecond.

        Rules speak of what clocks on the wall show: when the clocks go back, an hour that is
        open is open twice; when they go forward, the hour that is left out does not exist.
        """
        # Spans begin and end on whole minutes, so what goes beyond the minute can't matter.
        minute = local.hour * 60 + local.minute
        today = self.days[local.weekday()]
        yesterday = self.days[local.weekday() - 1]
        return any(span.holds(minute) for span in today) or any(
            span.holds(minute + DAY_MINUTES) for span in yesterday
        )
