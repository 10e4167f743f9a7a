"""Which attempts a page of the door log shows: read from an address or a form, and written back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from doorctl.access.reasons import Reason
from doorctl.errors import InputError
from doorctl.ports import Visit
from doorctl.web.desks import LogFilter
from doorctl.web.pages.words import Words
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError, of_field

GRANTED, REFUSED, OPEN = "granted", "refused", "open"
OUTCOMES: Final = (GRANTED, REFUSED, OPEN)
REASONS: Final = frozenset(one.value for one in Reason)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen; it holds nobody's number, so it may stand in an address.

    Args:
        day: local.
        starts: time of that day, included; None for its beginning.
        ends: time of that day, not included; None for its end.
        outcome: one of :data:`OUTCOMES`, or empty for any.
        reasons: any of them; none for all.
    """

    day: date
    starts: time | None = None
    ends: time | None = None
    outcome: str = ""
    reasons: frozenset[str] = frozenset()

    def wanted(self, words: Words) -> LogFilter:
        """Return it as the door log is asked; times of the day are the branch's."""
        return LogFilter(
            verdict=self.outcome or None,
            reasons=self.reasons,
            since=self._at(self.starts, self.day, words),
            until=self._at(self.ends, self.day if self.ends else _next(self.day), words),
        )

    def follows(self, today: date) -> bool:
        """Tell whether attempts that come now belong here: today, whatever the time."""
        whole_day = self.starts is None and self.ends is None
        return whole_day and self.day == today and self.outcome != OPEN

    def address(self, **others: object) -> str:
        """Return it as the part of an address after the question mark, with other parameters."""
        pairs: list[tuple[str, object]] = [("day", self.day)]
        pairs += [(name, f"{at:%H:%M}") for name, at in self._times() if at is not None]
        if self.outcome:
            pairs.append(("outcome", self.outcome))
        pairs += [("reason", one) for one in sorted(self.reasons)]
        return urlencode([*pairs, *others.items()])

    def _times(self) -> tuple[tuple[str, time | None], ...]:
        return ("from", self.starts), ("to", self.ends)

    def _at(self, at: time | None, day: date, words: Words) -> datetime:
        return datetime.combine(day, at or time(), words.zone)


def chosen(
    text: Callable[[str], str], every: Callable[[str], Sequence[str]], today: date
) -> Chosen:
    """Return what was chosen.

    Args:
        text: returns a parameter, empty where absent.
        every: returns all values of one.
        today: where no day was chosen.

    Raises:
        FieldError: a day or a time that is none; an outcome or a reason that is none is any.
    """
    outcome = text("outcome")
    with of_field("day"):
        day = filled_in.day(text("day")) or today
    with of_field("from"):
        starts = _time(text("from"))
    with of_field("to"):
        ends = _time(text("to"))
    if starts is not None and ends is not None and ends <= starts:
        raise FieldError("to", "the time ends before it begins")
    return Chosen(
        day=day,
        starts=starts,
        ends=ends,
        outcome=outcome if outcome in OUTCOMES else "",
        reasons=frozenset(every("reason")) & REASONS,
    )


def fits(visit: Visit, outcome: str, reasons: frozenset[str]) -> bool:
    """Tell whether an attempt belongs to what was chosen; one under way may still come to."""
    if visit.verdict is None:
        return not reasons and not outcome
    return outcome in {"", visit.verdict} and (not reasons or visit.reason in reasons)


def _next(day: date) -> date:
    return day + timedelta(days=1)


def _time(written: str) -> time | None:
    if not written:
        return None
    try:
        return time.fromisoformat(written).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        raise InputError("give a time of day as 07:30") from None
