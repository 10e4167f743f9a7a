"""The branch's hours, now and on the days to come; and one opening of the door out of hours."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any

from doorctl.access.calendar import (
    ALL_DAY,
    BY_STAFF,
    Calendar,
    Cause,
    DatedDay,
    Day,
    DaySource,
    Mode,
    ModeSpan,
    StoredCalendar,
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
from doorctl.config import Config
from doorctl.config.hours import Clash, Opening, clashes_of_date, clashes_of_week, dated
from doorctl.core.errors import DeviceError, InputError, NotAnsweringError
from doorctl.core.moments import Moment
from doorctl.core.ports import EventLog, Outputs
from doorctl.core.texts import refuse_purpose
from doorctl.ops.clock import SystemClock
from doorctl.rpc.control import Question, ask
from doorctl.services.app import App, open_book, opened_on
from doorctl.store.branch import BranchRecords

# Which calendar counts: the configuration's hours with what branch.db adds to them.

CLOSED_WEEK = ((),) * 7
"""Under the website's hours a date that it leaves out is closed."""


NOT_KNOWN = Calendar(CLOSED_WEEK, known_until=date.min)
"""No date is known: closed to patrons, and a problem that is reported."""


def calendar_of(opening: Opening, stored: StoredCalendar) -> Calendar:
    """Return the calendar that counts; it knows no date where a source that it needs is silent.

    Staff's hours for a date win over the configuration, and that over public holidays. The
    website's hours replace the week and the holidays; staff's week replaces the configuration's.
    """
    base = _base(opening, stored)
    staff = stored.sources.get(DaySource.STAFF)
    if staff is None and not stored.damaged:
        return base
    by_staff = {} if staff is None else dated(staff.days)
    damaged = {day: DatedDay((), Cause.UNKNOWN_CALENDAR) for day in stored.damaged}
    return replace(base, days={**base.days, **by_staff, **damaged})


def _base(opening: Opening, stored: StoredCalendar) -> Calendar:
    calendar = opening.calendar
    if opening.source == "website":
        site = stored.sources.get(DaySource.WEBSITE)
        if site is None:
            return NOT_KNOWN
        days = {**dated(site.days, Cause.SCHEDULE), **calendar.days}
        return Calendar(CLOSED_WEEK, days, site.known_until or date.min)
    if opening.source == "staff":
        if stored.week is None:
            return NOT_KNOWN
        calendar = replace(calendar, week=stored.week.days)
    if opening.holidays == "ignore":
        return calendar
    holidays = stored.sources.get(DaySource.HOLIDAY)
    if holidays is None:
        return NOT_KNOWN
    spans: Day = _sunday(calendar) if opening.holidays == "sunday" else ()
    named = {day.day: DatedDay(spans, Cause.HOLIDAY, day.note) for day in holidays.days}
    return replace(calendar, days={**named, **calendar.days}, known_until=holidays.known_until)


def _sunday(calendar: Calendar) -> Day:
    return ALL_DAY if calendar.week is None else calendar.week[-1]


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
    return None if opening.source == "website" else _sunday(calendar)


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


def switch_all(
    outputs: Outputs,
    names: Iterable[str],
    on: AbstractSet[str],
    failing: AbstractSet[str],
    log: EventLog,
) -> frozenset[str]:
    """Switch each output on or off; return those that fail, each told when it was not `failing`."""
    failed = set()
    for name in names:
        try:
            outputs.switch(name, on=name in on)
        except DeviceError as err:
            failed.add(name)
            if name not in failing:
                log.emit("alarm", kind="output_failing", why=str(err), part=name)
    return frozenset(failed)


# Asks the running door to let somebody in once, or to take its clock as right.

WITNESS_LIMIT_S = 2.0
"""Longest wait for the door to compare a time; its sender waits as long for web's answer."""

TRUST_CLOCK, SAID = "trust_clock", "said"
"""The question, and under which name it holds what time a sender's clock says just now."""


def open_once(app: App, reason: str, limit_s: float) -> None:
    """Have the door released once; after the limit it is not, whatever the door does later.

    Raises InputError: the reason has no place on record. NotAnsweringError: the door did not answer
    in time; it does not open any more. StoreError: the door could not do it.
    """
    refuse_purpose(reason, "reason")
    until_s = app.clock.monotonic_s() + limit_s
    question = Question("open", {"reason": reason, "by": app.by, "until_s": until_s})
    ask(app.config.control.socket, question, timeout_s=limit_s)


def trust_clock(app: App, limit_s: float) -> str:
    """Have door and web take the wall clock as right; return the door's time, ISO.

    A web process that is not running is left out: once the door has corrected the high-water mark,
    it starts without a doubt. Raises NotAnsweringError: the door did not answer in time.
    StoreError: the door took it, and could not store that.
    """
    question = Question(TRUST_CLOCK)
    answer = ask(app.config.control.socket, question, timeout_s=limit_s)
    with suppress(NotAnsweringError):
        ask(app.config.web.socket, question, timeout_s=limit_s)
    return str(answer["at"])


def tell_time(config: Config, said: datetime) -> None:
    """Tell the door what time a sender says it is, aware; a door that does not answer is left out.

    StoreError: the door could not take it.
    """
    question = Question(TRUST_CLOCK, {SAID: said.isoformat()})
    with suppress(NotAnsweringError):
        ask(config.control.socket, question, timeout_s=WITNESS_LIMIT_S)


def confirms(clock: SystemClock, question: Question) -> dict[str, Any]:
    """Compare a clock with what a sender says, and return whether they agree.

    Raises InputError: it says no time.
    """
    try:
        said = datetime.fromisoformat(str(question.about[SAID])).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError("that question says no time") from None
    return {"agrees": clock.confirm(said)}


def believes(clock: SystemClock) -> dict[str, Any]:
    """Take a clock as right, and return its time as the answer."""
    clock.believe()
    return {"at": clock.moment().local.isoformat(timespec="seconds")}
