"""Keeps the website's hours in ``branch.db``: asks now and then, and alarms what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date
from math import inf

from doorctl.access.calendar import DaySource, Mode, StoredDays
from doorctl.config.hours import Opening
from doorctl.config.tables import shown
from doorctl.core.errors import DoorctlError, WebsiteHoursError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, Clock, EventLog
from doorctl.extras.website.website import HoursRequest, Published
from doorctl.store.branch import BranchRecords
from doorctl.web.jobs import AGAIN_S, Write, store_days

FETCH_EVERY_S = 3 * 3600.0
EMPTIED_S = 3600.0
"""How long after the first time emptied hours must be read as empty again to count. Staff get an
alarm at the first time, and can put back what was lost by mistake."""

SILENT_S = 24 * 3600.0
"""How long the website may be silent without an alarm: it may be down for a night."""

TOLD_CATEGORIES = 5


@dataclass(eq=False)
class WebsiteJob:
    """Keep the website's hours in ``branch.db``, as far ahead as configured. One thread.

    A failure changes nothing that is stored: the last good answer counts until its end. Hours that
    were emptied count once they were read a second time, after :data:`EMPTIED_S`; those that ran
    out are a failure. `isil` may be empty, and `fetch` raises WebsiteHoursError. The log gets each
    alarm once until the opposite is true.
    """

    opening: Opening
    isil: str
    fetch: Callable[[HoursRequest], Published]
    branch: BranchRecords
    write: Write
    clock: Clock
    log: EventLog

    def __post_init__(self) -> None:
        self._due_s = -inf
        self._good_s: float | None = None
        self._silent = AlarmOnce(self.log, "website_silent")
        self._emptied_s: float | None = None
        self._emptied = AlarmOnce(self.log, "website_emptied")
        self._branch_failing = AlarmOnce(self.log, "branch_failing", "hours")
        self._known_titles: frozenset[str] = frozenset()
        self._unknown = AlarmOnce(self.log, "website_unknown_category")

    def turn(self) -> None:
        """Fetch the hours if it is time; an error of the website or the disk goes to the log."""
        moment, now_s = self.clock.moment(), self.clock.monotonic_s()
        if not moment.dependable or now_s < self._due_s:
            return
        self._due_s = now_s + AGAIN_S
        try:
            if self._good_s is None:
                self._good_s = self._last_good_s(moment, now_s)
            self._ask(moment)
        except WebsiteHoursError as error:
            self._missed(error)
        except DoorctlError as error:
            self._branch_failing.tell(str(error))

    def _ask(self, moment: Moment) -> None:
        first = moment.local.date()
        last = date.fromordinal(first.toordinal() + self.opening.website_days)
        means = self.opening.website_open_means
        opens = None if means == "ignore" else Mode(means)
        request = HoursRequest(self.opening.website_branch, first, last, self.isil, opens)
        published = self.fetch(request)
        if not self._counts(published):
            return
        store_days(self.write, self.clock, DaySource.WEBSITE, published.days, published.known_until)
        self._good_s = self.clock.monotonic_s()
        self._due_s = self._good_s + FETCH_EVERY_S
        self._branch_failing.tell(None)
        self._came(published)

    def _counts(self, published: Published) -> bool:
        stored = None if published.opens else self._stored_days()
        until = None if stored is None else stored.known_until
        if until is not None and until < published.days[0].day:
            # Nobody has emptied them: of the days after them nothing was ever published.
            raise WebsiteHoursError(
                f"the website's hours: there are none, and the last ones ran out on {until}; "
                "publish more of them"
            )
        now_s = self.clock.monotonic_s()
        if published.opens:
            self._emptied_s = None
        elif self._emptied_s is None:
            self._emptied_s = now_s
        self._emptied.tell(None if published.opens else "it publishes no hours")
        return self._emptied_s is None or now_s - self._emptied_s >= EMPTIED_S

    def _came(self, published: Published) -> None:
        self._silent.tell(None)
        new = sorted(published.unknown - self._known_titles)
        if not published.unknown:
            self._unknown.tell(None)
        elif new:
            self._known_titles |= published.unknown
            named = ", ".join(map(shown, new[:TOLD_CATEGORIES]))
            why = f"the website has categories that open nothing here: {named}"
            self._unknown.tell(why, again=True)

    def _missed(self, error: WebsiteHoursError) -> None:
        good_s = -inf if self._good_s is None else self._good_s
        if self.clock.monotonic_s() - good_s < SILENT_S:
            return
        self._silent.tell(str(error))

    def _last_good_s(self, moment: Moment, now_s: float) -> float:
        """Return when the last good answer came, by this boot's clock; long ago for never."""
        stored = self._stored_days()
        if stored is None:
            return -inf
        age = moment.local.astimezone(UTC) - stored.fetched_at
        return now_s - max(0.0, age.total_seconds())

    def _stored_days(self) -> StoredDays | None:
        return self.branch.calendar().sources.get(DaySource.WEBSITE)
