"""What passes the door, counted by the hour: how many came in, went out, or passed unasked.

In staffed hours the door stands free and asks nobody, so its openings are all that is known of a
day's visitors. Nothing here can tell of a person: a contact sees a leaf.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from doorctl.access.calendar import Mode
from doorctl.door.leaf_messages import Entered, Left, Passed
from doorctl.ports import LEAF, OPENED, Clock, HourCount

HAND_OVER_EVERY_S = 60.0
"""How often counts are written at the most, and what of them a power cut takes."""

UNKNOWN_MODE = "unknown"

Passage = Entered | Left | Passed

_Cell = tuple[datetime | None, str, str]
"""Hour, mode, outcome."""


def counted_as(mode: Mode | None) -> str:
    """Return what a mode is called in the counts; None is one that nobody knows."""
    return UNKNOWN_MODE if mode is None else mode.value


class Passages:
    """Keep counts for a minute at the most, then hand them over. One thread.

    Args:
        clock: for the hour; what happens while it can't be trusted is counted without one.
        mode: what the branch is now.
        hand_over: takes the counts of the last minute, once; writing may be left to another
            thread, and what can't be written is lost.
    """

    def __init__(
        self,
        clock: Clock,
        mode: Callable[[], Mode | None],
        hand_over: Callable[[tuple[HourCount, ...]], None],
    ) -> None:
        self._clock = clock
        self._mode = mode
        self._hand_over = hand_over
        self._counts: Counter[_Cell] = Counter()
        self._handed_s = clock.monotonic_s()

    def note(self, passage: Passage) -> None:
        """Count one opening of the leaf, or everybody who came in by it."""
        outcome, count = _seen(passage)
        self._counts[self._hour(), counted_as(self._mode()), outcome] += count

    def note_opened(self) -> None:
        """Have it written at once that the day was opened: a restart must not shut it again."""
        mode = counted_as(self._mode())
        self._hand_over((HourCount(self._hour(), mode, OPENED, "first", 1),))

    def turn(self) -> None:
        """Hand over what was counted, if a minute is over; with each turn of the loop."""
        now_s = self._clock.monotonic_s()
        if self._counts and now_s - self._handed_s >= HAND_OVER_EVERY_S:
            self._handed_s = now_s
            self.finish()

    def finish(self) -> None:
        """Hand over what is left, if anything; at the end of a run."""
        counts, self._counts = self._counts, Counter()
        if counts:
            self._hand_over(
                tuple(
                    HourCount(hour, mode, LEAF, outcome, count)
                    for (hour, mode, outcome), count in counts.items()
                )
            )

    def _hour(self) -> datetime | None:
        moment = self._clock.moment()
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
