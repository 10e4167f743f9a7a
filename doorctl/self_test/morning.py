"""When a self-test is due: before patrons come, while somebody can still act."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

BEFORE_OPENING = timedelta(hours=1)
"""So long before patrons come it is tested, so that somebody can still do something about it."""

AT_LEAST_EVERY = timedelta(days=1)
"""A branch that never closes is tested once a day."""


def due(last_run: datetime | None, opens: datetime | None, now: datetime) -> bool:
    """Tell whether it is time for a test: before each opening, and daily where it never closes.

    Args:
        last_run: when the last one was; None for none since the start.
        opens: when patrons come in next, as :meth:`Calendar.opens_next` says: `now` or earlier if
            they can already, None if not in two weeks.
        now: by a dependable clock. All three are aware.
    """
    if opens is None:
        return False
    # In UTC: within one time zone datetime compares what the wall shows.
    ahead = opens.astimezone(UTC) - now.astimezone(UTC)
    if last_run is None:
        return ahead <= BEFORE_OPENING
    since = now.astimezone(UTC) - last_run.astimezone(UTC)
    if ahead <= timedelta(0):
        return since >= AT_LEAST_EVERY
    return ahead <= BEFORE_OPENING and since > BEFORE_OPENING - ahead
