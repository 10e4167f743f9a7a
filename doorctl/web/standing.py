"""What the staff pages need of alarms: which stand, what to do about them, who has seen them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from doorctl.alarms import Urgency, Words


@dataclass(frozen=True, slots=True)
class StandingAlarm:
    """An alarm that stands, or one that is over; times are aware and UTC.

    Args:
        kind: its name in the list of alarms.
        source: the process that raised it, ``door`` or ``web``.
        urgency: when somebody has to look.
        since: when it was raised first.
        last: when it was raised last.
        count: how often it was raised in between, at least 1.
        why: its own words, in English, without anybody's numbers; empty for none.
        means: what has happened.
        act: what to do about it.
        ends_itself: whether its end will be told; if not, to acknowledge it ends it.
        cleared_at: when it was over, None while it stands.
        acknowledged_by: the login that has seen it, None for nobody.
        acknowledged_at: when.
    """

    kind: str
    source: str
    urgency: Urgency
    since: datetime
    last: datetime
    count: int
    why: str
    means: Words
    act: Words
    ends_itself: bool
    cleared_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


class AlarmDesk(Protocol):
    """Alarms, as the staff pages see them. Thread-safe.

    Raises:
        StoreError: they can't be read or written.
    """

    def standing(self) -> tuple[StandingAlarm, ...]:
        """Return what stands: the most urgent first, and of these the longest standing."""

    def recent(self, limit: int) -> tuple[StandingAlarm, ...]:
        """Return the last ones that are over, the latest end first; at most `limit`."""

    def acknowledge(self, kind: str, by: str) -> None:
        """Put on record that somebody has seen an alarm; it waits for the disk.

        It is not sent again while it stands, unless it is a call for help. What has no end of its
        own is over. The second one to acknowledge it changes nothing.

        Args:
            kind: which.
            by: the login of whoever has seen it; whether they may is for the caller to have asked.

        Raises:
            InputError: none of that kind stands.
            StuckError: it may be on record, or not.
        """
