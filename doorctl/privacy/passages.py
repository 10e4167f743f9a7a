"""Passages through the door, counted by the hour: who came in, went out, or passed unchecked.

In staffed hours the door stands free and checks no card, so its openings are all that is known of a
day's visitors. Nothing here can tell of a person: a contact sees a leaf.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from doorctl.access.calendar import Mode
from doorctl.core.ports import Clock
from doorctl.door.leaf import Entered, Left, Passed

HAND_OVER_EVERY_S = 60.0
"""How often counts are written at the most; a power cut takes those of this time."""

UNKNOWN_MODE = "unknown"

Passage = Entered | Left | Passed

_Cell = tuple[datetime | None, str, str]
"""Hour, mode, outcome."""


def counted_as(mode: Mode | None) -> str:
    """Return a mode's name in the counts; None is an unknown mode."""
    return UNKNOWN_MODE if mode is None else mode.value


@dataclass(eq=False)
class Passages:
    """Keep counts for a minute at the most, then hand them over. One thread.

    What happens while the clock can't be trusted is counted without an hour. `hand_over` takes the
    counts of the last minute, once; it may leave the writing to another thread, and what can't be
    written is lost.
    """

    clock: Clock
    mode: Callable[[], Mode | None]
    hand_over: Callable[[tuple[HourCount, ...]], None]

    def __post_init__(self) -> None:
        self._counts: Counter[_Cell] = Counter()
        self._handed_s = self.clock.monotonic_s()

    def note(self, passage: Passage) -> None:
        """Count one opening of the leaf, or everybody who came in by it."""
        outcome, count = _seen(passage)
        self._counts[self._hour(), counted_as(self.mode()), outcome] += count

    def note_opened(self) -> None:
        """Write at once that the day was opened: a restart must not shut it again."""
        mode = counted_as(self.mode())
        self.hand_over((HourCount(self._hour(), mode, OPENED, "first", 1),))

    def turn(self) -> None:
        """Hand over the counts if a minute is over; called with each turn of the loop."""
        now_s = self.clock.monotonic_s()
        if self._counts and now_s - self._handed_s >= HAND_OVER_EVERY_S:
            self._handed_s = now_s
            self.finish()

    def finish(self) -> None:
        """Hand over the remaining counts, if any; at the end of a run."""
        counts, self._counts = self._counts, Counter()
        if counts:
            self.hand_over(
                tuple(
                    HourCount(hour, mode, LEAF, outcome, count)
                    for (hour, mode, outcome), count in counts.items()
                )
            )

    def _hour(self) -> datetime | None:
        moment = self.clock.moment()
        if not moment.dependable:
            return None
        return moment.local.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _seen(passage: Passage) -> tuple[str, int]:
    match passage:
        case Entered(persons=persons):
            return "entered", persons
        case Left():
            return "left", 1
        case Passed():
            return "passage", 1


ATTEMPT = "attempt"

LET_IN = (ATTEMPT, "ok")
"""Kind and outcome."""

LEAF = "leaf"

OPENED = "opened"
"""The first of `policy.first_card` came in; of no interest to statistics."""


class HourCount(NamedTuple):
    """How often something happened in an hour: all that is kept of visits for years.

    Args:
        hour: when it began, UTC; None where no clock could be trusted.
        mode: of the branch; "unknown" where it was not known.
        kind: :data:`ATTEMPT`, :data:`LEAF` for what passed the door, or :data:`OPENED`.
        outcome: an attempt's reason; or "entered" (persons), "left" or "passage"; or "first".
    """

    hour: datetime | None
    mode: str
    kind: str
    outcome: str
    count: int  # type: ignore[assignment] # a field, not the method of tuples
