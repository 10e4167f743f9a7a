"""The web process's jobs about the hours: ask the website, store the holidays, switch outputs.

The door has no network and no room for them. Each round belongs to one thread, which may wait,
and gets a turn every few seconds. Nothing is done while the clock is not set: the days to ask for
are not known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from math import inf

from doorctl.access.calendar import (
    Calendar,
    DaySource,
    Mode,
    StoredCalendar,
    StoredDay,
    StoredDays,
)
from doorctl.access.day import (
    ClosingWarned,
    Day,
    DayRules,
    Output,
    OutputsChanged,
    turned,
    with_hours,
)
from doorctl.config.hours import Opening
from doorctl.config.tables import shown
from doorctl.core.errors import DoorctlError, StoreError, WebsiteHoursError
from doorctl.core.moments import Moment
from doorctl.core.ports import AlarmOnce, Clock, EventLog, Outputs
from doorctl.lookup.outputs import switch_all
from doorctl.sources.hours import HolidaysWanted, HoursRequest, Published
from doorctl.store.branch import BranchRecords
from doorctl.store.branch_writer import BranchRecordsWriter

FETCH_EVERY_S = 3 * 3600.0
AGAIN_S = 600.0
"""After a failure: at boot the network may come a little later than this process."""

EMPTIED_S = 3600.0
"""How long after the first time emptied hours must be read as empty again to count. Staff get an
alarm at the first time, and can put back what was lost by mistake."""

SILENT_S = 24 * 3600.0
"""How long the website may be silent without an alarm: it may be down for a night."""

TOLD_CATEGORIES = 5

Write = Callable[[Callable[[BranchRecordsWriter], object]], object]
"""Runs a job on the writer's thread; returns when the job is done, and raises what it raised."""

Compute = Callable[[HolidaysWanted], tuple[StoredDay, ...]]


@dataclass(eq=False)
class WebsiteRound:
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
        _store(self.write, self.clock, DaySource.WEBSITE, published.days, published.known_until)
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


@dataclass(eq=False)
class HolidayRound:
    """Keep the public holidays of this year and the next in ``branch.db``. One thread.

    They are stored at the start and with another year. `compute` raises DoorctlError; the log gets
    ``holidays_failing`` once until they could be computed and stored.
    """

    opening: Opening
    compute: Compute
    write: Write
    clock: Clock
    log: EventLog

    def __post_init__(self) -> None:
        self._due_s = -inf
        self._stored: HolidaysWanted | None = None
        self._failing = AlarmOnce(self.log, "holidays_failing")

    def turn(self) -> None:
        """Compute and store the holidays, if others are wanted than are stored."""
        moment, now_s = self.clock.moment(), self.clock.monotonic_s()
        if not moment.dependable or now_s < self._due_s:
            return
        try:
            year = moment.local.year
            wanted = HolidaysWanted((year, year + 1), self.opening.holidays_also)
            if wanted != self._stored:
                days = self.compute(wanted)
                _store(self.write, self.clock, DaySource.HOLIDAY, days, wanted.known_until)
                self._stored = wanted
            self._failing.tell(None)
        except DoorctlError as error:
            self._due_s = now_s + AGAIN_S
            self._failing.tell(str(error))


def _store(
    write: Write, clock: Clock, source: DaySource, days: Iterable[StoredDay], known_until: date
) -> None:
    # Not the moment of the request: midnight may have passed, and a past day is refused.
    moment = clock.moment()
    if not moment.dependable:
        raise StoreError("the clock is not set any more; the hours stay as they were stored")
    ahead = [day for day in days if day.day >= moment.local.date()]
    write(lambda writer: writer.set_days(source, ahead, moment, known_until=known_until))


# The rules of outputs are the door's own, over the same ``branch.db`` and configuration.

SWITCH_AGAIN_S = 300.0
"""How often failed outputs are switched again; one that is right already costs nothing."""


@dataclass(eq=False)
class OutputsRound:
    """Switch each output at the start, at each change, and failed ones every five minutes.

    At a warning, `warn_min` minutes before closing, those in `pulses_s` are on for so many seconds,
    whatever the mode, such as an announcement. One thread. Until the hours have been read once, the
    branch counts as closed; later the last hours read count. While the clock is not set, nothing is
    switched by the hours. The log gets ``output_failing``, and ``branch_failing`` once until the
    hours can be read.
    """

    outputs: tuple[Output, ...]
    calendar_of: Callable[[StoredCalendar], Calendar]
    branch: BranchRecords
    switches: Outputs
    clock: Clock
    log: EventLog
    warn_min: tuple[int, ...] = ()
    pulses_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        warn_min = self.warn_min if self.pulses_s else ()
        self._rules = DayRules(warn_min=warn_min, outputs=self.outputs)
        self._ends_s: dict[str, float] = {}
        self._day = Day(None)
        self._read_at: int | None = None
        self._branch_failing = AlarmOnce(self.log, "branch_failing", "outputs")
        self._failing: frozenset[str] = frozenset()
        self._again_s = inf

    def turn(self) -> None:
        """Check the clock and the stored hours; about once a second."""
        self._look_at_branch()
        moment = self.clock.moment()
        self._day, effects = turned(self._day, moment, self._rules)
        changed = any(isinstance(effect, OutputsChanged) for effect in effects)
        warned = any(isinstance(effect, ClosingWarned) for effect in effects)
        if self._pulse(warned=warned) or changed or self._is_due(moment):
            self._switch()

    def _pulse(self, *, warned: bool) -> bool:
        """Begin and end the outputs of a warning; tell whether anything changed."""
        now_s = self.clock.monotonic_s()
        before = len(self._ends_s)
        self._ends_s = {name: end for name, end in self._ends_s.items() if end > now_s}
        ended = len(self._ends_s) < before
        if warned:
            self._ends_s = {name: now_s + pulse_s for name, pulse_s in self.pulses_s.items()}
        return ended or warned

    def _is_due(self, moment: Moment) -> bool:
        return moment.dependable and self.clock.monotonic_s() >= self._again_s

    def _look_at_branch(self) -> None:
        try:
            version = self.branch.version()
            if version != self._read_at:
                calendar = self.calendar_of(self.branch.calendar())
                self._day = with_hours(self._day, calendar, self.branch.override())
                self._read_at = version
            self._branch_failing.tell(None)
        except StoreError as error:
            self._branch_failing.tell(str(error))

    def _switch(self) -> None:
        self._again_s = self.clock.monotonic_s() + SWITCH_AGAIN_S
        on = (self._day.on or frozenset()) | self._ends_s.keys()
        names = (output.name for output in self.outputs)
        self._failing = switch_all(self.switches, names, on, self._failing, self.log)
