"""Which attempts the door log shows: a span, outcomes and reasons, in an address or a form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from doorctl.access.calendar import DAY_MINUTES
from doorctl.access.patron import Reason
from doorctl.access.wall_time import ONE_DAY
from doorctl.store.door_log import OPEN, LogFilter
from doorctl.web.forms import Form
from doorctl.web.staff import filled_in
from doorctl.web.staff.filled_in import FieldError

GRANTED, REFUSED = "granted", "refused"

OUTCOMES: Final = (GRANTED, REFUSED, OPEN)

REASONS: Final = frozenset(reason.value for reason in Reason)

TONIGHT, TODAY, YESTERDAY, WEEK = "tonight", "today", "yesterday", "week"

SPANS: Mapping[str, str] = {
    TONIGHT: "Last night",
    TODAY: "Today",
    YESTERDAY: "Yesterday",
    WEEK: "7 days",
}
"""The spans that a page offers, and what each is called in English; the first is the usual one."""

TIMED: Final = ("day", "from", "ends", "to")
"""The fields of a chosen time: the first day, when it begins, the last day, and when it ends."""

MOST_DAYS: Final = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter with both its times, local; `span` is a key of :data:`SPANS`, else empty."""

    wanted: LogFilter
    span: str = ""

    @property
    def days(self) -> tuple[date, date]:
        """The first local day, and the last; a night belongs to the day on which it begins."""
        starts, ends = self.wanted.since, self.wanted.until
        if self.span or ends - starts > ONE_DAY:
            return starts.date(), (ends - timedelta.resolution).date()
        return starts.date(), starts.date()


def parse_filter(form: Form, today: date, zone: tzinfo) -> Choice:
    """Return what an address or a form chooses, tonight where it says nothing of times.

    It names no person, so it may stand in an address. A time of day that is not after the first is
    the next day's. Tonight begins a day back, until `visits.view` knows when the house was closed.
    An unknown outcome or reason is left out. Raises FieldError where a day or a time makes no
    sense.
    """
    outcome, timed = form.text("outcome"), any(map(form.text, TIMED))
    span = "" if timed else form.text("span") if form.text("span") in SPANS else TONIGHT
    back = {TONIGHT: 1, YESTERDAY: 1, WEEK: 6}.get(span, 0) * timedelta(days=1)
    until = today if span != YESTERDAY else today - back
    wanted = _typed_times(form, today, zone) if timed else of_day(today - back, zone, until)
    return Choice(
        replace(
            wanted,
            verdict=outcome if outcome in OUTCOMES else None,
            reasons=frozenset(form.every("reason")) & REASONS,
        ),
        span,
    )


def _typed_times(form: Form, today: date, zone: tzinfo) -> LogFilter:
    day = filled_in.day(form, "day", today, past=True) or today
    starts = filled_in.minute(form, "from") or 0
    ends = filled_in.minute(form, "to") or DAY_MINUTES
    last = filled_in.day(form, "ends", today, past=True) or day
    if not timedelta() <= last - day < MOST_DAYS:
        raise FieldError("ends", "the last day is before the first, or over 31 days after it")
    ends += (last - day).days * DAY_MINUTES
    ends += DAY_MINUTES if ends <= starts else 0
    since, until = (
        datetime.combine(
            day + minute // DAY_MINUTES * ONE_DAY, time(*divmod(minute % DAY_MINUTES, 60)), zone
        )
        for minute in (starts, ends)
    )
    return LogFilter(since=since, until=until)


def of_day(first: date, zone: tzinfo, last: date | None = None) -> LogFilter:
    """Return the filter for a local day, or for all days up to the last."""
    ends = (last or first) + timedelta(days=1)
    return LogFilter(
        since=datetime.combine(first, time(), zone), until=datetime.combine(ends, time(), zone)
    )


def _times(choice: Choice) -> tuple[str, str]:
    """Return the first and last time of day that were chosen; empty for a whole day's."""
    both = choice.wanted.since, choice.wanted.until
    starts, ends = (f"{at:%H:%M}" if at.time() > time() and not choice.span else "" for at in both)
    return starts, ends


def address(choice: Choice, **others: object) -> str:
    """Return a choice as an address's query string, with other parameters."""
    fields = fields_of(choice)
    names = ("span",) if choice.span else TIMED
    pairs = [(name, fields[name]) for name in (*names, "outcome") if fields[name]]
    pairs += [("reason", reason) for reason in sorted(choice.wanted.reasons)]
    return urlencode([*pairs, *others.items()])


def fields_of(choice: Choice) -> dict[str, Any]:
    """Return the fields of the filter's and the export's form for this choice."""
    (first, last), (starts, ends) = map(str, choice.days), _times(choice)
    return {
        "span": choice.span,
        "day": first,
        "from": starts,
        "ends": last if last != first else "",
        "to": ends,
        "outcome": choice.wanted.verdict or "",
        "reason": choice.wanted.reasons,
        "first": first,
        "last": last,
        "purpose": "",
        "format": "",
    }


def form_again(form: Form) -> dict[str, Any]:
    """Return these fields as they were filled in, without the empty ones."""
    names = (*TIMED, "first", "last", "outcome", "purpose")
    shown: dict[str, Any] = {name: form.text(name) for name in names if form.text(name)}
    return shown | {"reason": frozenset(form.every("reason")), "format": form.text("format")}


def days(form: Form, choice: Choice, today: date) -> tuple[date, date]:
    """Return the first and the last day to save; raises FieldError."""
    first = filled_in.day(form, "first", today, past=True) or choice.days[0]
    last = filled_in.day(form, "last", today, past=True) or first
    if last < first:
        raise FieldError("last", "the last day is before the first")
    return first, last


def spanned(wanted: LogFilter, first: date, last: date, zone: tzinfo) -> LogFilter:
    """Return the filter for some days; times of day count only for a single day."""
    if first == last:
        ahead = first - wanted.since.date()
        return replace(wanted, since=wanted.since + ahead, until=wanted.until + ahead)
    span = of_day(first, zone, last)
    return replace(wanted, since=span.since, until=span.until)
