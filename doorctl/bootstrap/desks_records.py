"""Hours, counts, holds and the audit log at the staff pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from doorctl.access.calendar import Mode, ModeSpan
from doorctl.access.hours import Span
from doorctl.bootstrap import audit, desk, holding
from doorctl.bootstrap.audit import note
from doorctl.bootstrap.branch import change
from doorctl.bootstrap.hours import hours_now, refuse_day
from doorctl.bootstrap.purging import Audited
from doorctl.bootstrap.rules import open_book
from doorctl.config import Config
from doorctl.errors import DoorctlError
from doorctl.ports import DaySource, StoredDay, Visit
from doorctl.privacy.audit import Action, Deed, Details, Entry
from doorctl.privacy.audit_chain import Head, Verdict
from doorctl.privacy.hold import Hold, HoldAsked, HoldShown, chosen
from doorctl.privacy.statistics import Gathered
from doorctl.transports.branch_requests import ClearDay, SetDay
from doorctl.web.desks import CalendarDay

MOST_DAYS: Final = 400


class HoursDesk:
    """Implements `doorctl.web.desks.CalendarDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def days(self, first: date, count: int) -> tuple[CalendarDay, ...]:
        """Return so many dates, at most :data:`MOST_DAYS`."""
        calendar = hours_now(self._config).calendar
        with open_book(self._config) as book:
            said = book.calendar().sources
        staff = {day.day for one in said if one.source is DaySource.STAFF for day in one.days}
        listed = (first + timedelta(days=ahead) for ahead in range(min(count, MOST_DAYS)))
        return tuple(
            CalendarDay(
                day,
                calendar.day(day),
                calendar.cause_on(day),
                calendar.days[day].note if day in calendar.days else "",
                by_staff=day in staff,
            )
            for day in listed
        )

    def set_day(self, day: StoredDay, by: str) -> None:
        """Give a date hours of its own; none for closed."""
        own, staffed = (_plain(day, mode) for mode in (Mode.SELF_SERVICE, Mode.STAFFED))
        refuse_day(hours_now(self._config), day.day, own, staffed)
        change(self._config, SetDay(day), by)

    def clear_day(self, day: date, by: str) -> None:
        """Take back what staff said of a date."""
        change(self._config, ClearDay(day), by)


def _plain(day: StoredDay, mode: Mode) -> tuple[Span, ...]:
    spans: Sequence[ModeSpan] = day.spans
    return tuple(Span(one.starts, one.ends) for one in spans if one.mode is mode)


class CountsDesk:
    """Implements `doorctl.web.desks.StatisticsDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def branch(self) -> str:
        """Return the branch's id."""
        return self._config.branch.id

    def usage(self, since: date | None, until: date | None) -> Gathered:
        """Return the counts of whole local days, gathered."""
        return desk.statistics(self._config, since, until)


class TrailDesk:
    """Implements `doorctl.web.desks.AuditDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def entries(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        account: str | None,
        action: Action | None,
        by: str,
    ) -> tuple[Entry, ...]:
        """Return entries that fit, newest first; that somebody read them is one itself."""
        found = audit.entries(self._config, since, by=by)
        return tuple(
            one
            for one in reversed(found)
            if (until is None or one.at < until)
            and account in (None, one.by)
            and action in (None, one.deed.action)
        )

    def verify(self) -> Verdict:
        """Return whether the chain is whole."""
        return audit.verify(self._config)

    def head(self) -> Head:
        """Return the chain's end."""
        return audit.head(self._config)


class IncidentDesk:
    """Implements `doorctl.web.desks.HoldDesk`. Thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def every(self) -> tuple[tuple[Hold, bool], ...]:
        """Return each hold and whether it is in force."""
        found, moment = holding.stored(self._config)
        return tuple((one, one.in_force(moment)) for one in found)

    def add(self, asked: HoldAsked) -> Hold:
        """Add a hold for a window of visits; without an audit entry it is lifted again."""
        added = holding.add(self._config, asked)
        times = {"from": added.since, "to": added.to, "until": added.until}
        span = {name: at.isoformat(timespec="seconds") for name, at in times.items()}
        details: Details = {"number": added.number, **span}
        try:
            note(self._config, Deed(Action.HOLD_ADDED, why=asked.reason, details=details), asked.by)
        except DoorctlError:
            holding.lift(self._config, added.number, asked.by)
            raise
        return added

    def lift(self, number: int, by: str) -> Hold:
        """Lift a hold, if that can be put on the audit log."""
        chosen(holding.stored(self._config)[0], number)
        note(self._config, Deed(Action.HOLD_LIFTED, details={"number": number}), by)
        return holding.lift(self._config, number, by)

    def visits(self, number: int, by: str) -> Sequence[Visit]:
        """Return the visits of a hold that may be shown now; audited."""
        return holding.show(self._config, number, by, self._audited).visits

    def _audited(self, event: Audited) -> None:
        if isinstance(event, HoldShown):
            details = {"number": event.hold.number, "visits": event.visits}
            note(self._config, Deed(Action.HOLD_SHOWN, details=details), event.by)
