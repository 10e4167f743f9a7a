"""The branch's hours, now and on the days to come; and one opening of the door out of hours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from operator import attrgetter

from doorctl.access.calendar import (
    BY_STAFF,
    Calendar,
    Cause,
    Day,
    DaySource,
    Mode,
    ModeSpan,
    StoredDay,
    StoredWeek,
)
from doorctl.access.day import (
    Override,
    Standing,
    judge,
    next_planned_change,
    no_entry,
    opens_next,
    standing,
)
from doorctl.access.messages import Now
from doorctl.config.clashes import Clash, clashes_of_date, clashes_of_week
from doorctl.config.hours import Opening
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.app import App, open_book
from doorctl.lookup.calendar import CLOSED_WEEK, calendar_of, sunday_of
from doorctl.lookup.configured import opened_on
from doorctl.rpc.door import OPEN, OpenOnce
from doorctl.store.branch import BranchRecords


@dataclass(frozen=True)
class Hours:
    """The branch's hours at a moment; `override` is what staff have set last, and may be over.

    `lacks_week`: nothing is known before staff set a usual week; `version` changes with each change
    of the mode by hand.
    """

    calendar: Calendar
    override: Override | None
    moment: Moment
    lacks_week: bool = False
    version: int = 0

    @cached_property
    def standing(self) -> Standing:
        """The branch's mode just now, and until when."""
        return standing(self.calendar, self.override, self.moment)

    @property
    def by_hand(self) -> Override | None:
        """The mode that staff have set, while it is in force."""
        return self.override if self.standing.cause in BY_STAFF else None

    @property
    def lockdown(self) -> Override | None:
        """The lockdown that staff have not lifted yet; its time may be over."""
        last = self.override
        return last if last is not None and last.mode is Mode.LOCKDOWN else None

    @property
    def changes_at(self) -> datetime | None:
        """When the present mode ends, local; None if not within 14 days."""
        until = self.standing.until
        return None if until is None else until.astimezone(self.moment.local.tzinfo)

    @property
    def today(self) -> Day | None:
        """The hours of today's date; None where they are not known."""
        return self.calendar.day(self.moment.local.date())

    @cached_property
    def next_change(self) -> tuple[datetime, Mode] | None:
        """The next planned change and its mode; None if not within 14 days, or by a bad clock."""
        if not self.moment.dependable:
            return None
        return next_planned_change(self.calendar, self.override, self.moment.local)

    @cached_property
    def opens_next(self) -> datetime | None:
        """When patrons can come in next, local: now if they can; None as for `next_change`."""
        if not self.moment.dependable:
            return None
        return opens_next(self.calendar, self.override, self.moment.local)


def hours_now(app: App, week: StoredWeek | None = None) -> Hours:
    """Return the branch's hours, or what they would be by another usual week.

    Raises StoreError: ``branch.db`` is lost or can't be read; the door is closed to patrons then.
    """
    with open_book(app) as book:
        stored = book.calendar()
        stored = stored if week is None else replace(stored, week=week)
        calendar = calendar_of(app.config.opening, stored)
        lacks_week = app.config.opening.source == "staff" and stored.week is None
        last = book.last_override()
        override, version = (last.standing, last.version) if last else (None, 0)
        return Hours(calendar, override, app.clock.moment(), lacks_week, version)


def branch_at(app: App, book: BranchRecords, moment: Moment) -> Now:
    """Return the branch at a moment, as the door would judge it then."""
    calendar, override = calendar_of(app.config.opening, book.calendar()), book.override()
    late = moment.dependable and no_entry(
        calendar, override, moment.local, app.config.closing.no_entry_min
    )
    mode = judge(calendar, override, moment).mode
    return Now(0.0, moment, None, mode, late, opened_on(app.config, app.clock.moment()))


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One date; `spans` lie within it, and are None where the hours are not known.

    `given` are the hours that a change starts from: see `Calendar.spans`. `cause` is their source,
    `note` names the day and may be empty; staff can take back the hours of a `by_staff` day.
    """

    day: date
    spans: Day | None
    given: Day
    cause: Cause
    note: str
    by_staff: bool


def days(app: App, first: date, count: int) -> tuple[CalendarDay, ...]:
    """Return `count` dates from `first` on."""
    with open_book(app) as book:
        stored = book.calendar()
    calendar = calendar_of(app.config.opening, stored)
    by_staff = stored.sources.get(DaySource.STAFF)
    staff = {day.day for day in by_staff.days} if by_staff else set()
    return tuple(
        CalendarDay(
            day,
            calendar.day(day),
            calendar.spans(day),
            calendar.cause_on(day),
            calendar.days[day].note if day in calendar.days else "",
            by_staff=day in staff,
        )
        for day in (first + timedelta(days=ahead) for ahead in range(count))
    )


def usual_sunday(opening: Opening, calendar: Calendar) -> Day | None:
    """Return the usual hours of a Sunday; None where the website says each date's."""
    return None if opening.source == "website" else sunday_of(calendar)


def usual_week(app: App) -> tuple[StoredWeek | None, StoredWeek]:
    """Return the week that staff have set, and the one to change: that, else the configuration's.

    Raises InputError: staff's week does not count.
    """
    if app.config.opening.source != "staff":
        raise InputError("the week is in the file or on the site; set hours.source to staff first")
    with open_book(app) as book:
        stored = book.calendar().week
    return stored, stored or StoredWeek(app.config.opening.calendar.week or CLOSED_WEEK)


def week_of(days: Iterable[Iterable[ModeSpan]]) -> StoredWeek:
    """Return a usual week of seven days' spans, in order; InputError: with their first clash."""
    week = StoredWeek(tuple(_in_order(spans) for spans in days))
    _refuse(clashes_of_week(week.days, "week"))
    return week


def refuse_day(hours: Hours, *days: StoredDay) -> None:
    """Refuse hours for dates that clash with each other or with the day after.

    Raises InputError: with the first clash.
    """
    dates = {*hours.calendar.days, *(day.day for day in days)}
    for day in days:
        in_order = replace(day, spans=_in_order(day.spans))
        week = hours.calendar.week or CLOSED_WEEK
        _refuse(clashes_of_date(str(day.day), in_order, week, dates))


def _in_order(spans: Iterable[ModeSpan]) -> Day:
    return tuple(sorted(spans, key=attrgetter("mode.value", "starts", "ends")))


def _refuse(clashes: Iterable[Clash]) -> None:
    for clash in clashes:
        raise InputError(f"{{key}}: {clash.text}", key=clash.placed.key, **clash.values)


def open_once(app: App, reason: str, limit_s: float) -> None:
    """Have the door released once; after the limit it is not, whatever the door does later.

    Raises InputError: the reason has no place on record. NotAnsweringError: the door did not answer
    in time; it does not open any more. StoreError: the door could not do it.
    """
    refuse_purpose(reason, "reason")
    until_s = app.clock.monotonic_s() + limit_s
    OPEN.ask(app.config.control.socket, OpenOnce(reason, app.by, until_s), timeout_s=limit_s)
