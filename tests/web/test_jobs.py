"""What the web process keeps of the website's hours and the holidays, and what it switches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from doorctl.access.calendar import (
    Calendar,
    Cause,
    DaySource,
    Mode,
    ModeSpan,
    StoredCalendar,
    StoredDay,
    StoredDays,
)
from doorctl.access.day import Override, Standing, standing
from doorctl.config.hours import Opening
from doorctl.core.errors import InputError, StoreError
from doorctl.extras.holidays.compute import HolidaysWanted
from doorctl.extras.holidays.job import INITIAL_YEARS, HolidayJob, store_initial_holidays
from doorctl.extras.outputs.following import Output
from doorctl.extras.outputs.job import SWITCH_AGAIN_S, OutputsJob
from doorctl.extras.website.job import EMPTIED_S, FETCH_EVERY_S, SILENT_S, WebsiteJob
from doorctl.extras.website.website import HoursRequest, Published, Website
from doorctl.lookup.calendar import calendar_of
from doorctl.store.branch_writer import BranchRecordsWriter
from doorctl.web.jobs import AGAIN_S
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryBranch
from tests.fakes.pins import FakeOutputs
from tests.sources.website_server import WebsiteScript, item, serving

DAY, DAY_S = timedelta(days=1), 86_400.0
MONDAY = date(2026, 3, 2)
"""The clock's first day."""


class Counted(MemoryBranch):
    """Counts how often the hours are read."""

    read = 0

    def calendar(self) -> StoredCalendar:
        """Return the stored hours."""
        self.read += 1
        return super().calendar()


class Rounds:
    """A branch, its clock and its log."""

    def __init__(self, opening: Opening, clock: FakeClock | None = None) -> None:
        self.opening = opening
        self.clock = clock or FakeClock()
        self.branch = Counted()
        self.log = FakeEventLog()
        self.disk_is_full = False

    def write(self, job: Callable[[BranchRecordsWriter], object]) -> None:
        """Do the job at once, while there is room."""
        if self.disk_is_full:
            raise StoreError("the disk is full")
        job(self.branch)

    def calendar(self) -> Calendar:
        """Return the calendar that counts."""
        return calendar_of(self.opening, self.branch.calendar())

    def standing(self) -> Standing:
        """Return the branch's mode just now."""
        return standing(self.calendar(), None, self.clock.moment())

    def alarms(self) -> list[object]:
        """Return the kinds of all alarms."""
        return self.log.alarms


class Following(Rounds):
    """A branch whose hours come from a website, and that website."""

    takes_s = 0.0

    def __init__(
        self, script: WebsiteScript, url: str, clock: FakeClock | None = None, **own: Any
    ) -> None:
        super().__init__(Opening(source="website", website_branch="12", **own), clock)
        self.script = script
        self.site = Website(url)
        self.restart()

    def restart(self) -> None:
        """Begin as another process."""
        self.round = WebsiteJob(
            self.opening,
            "DK-773000",
            fetch=self.fetch,
            branch=self.branch,
            write=self.write,
            clock=self.clock,
            log=self.log,
        )

    def fetch(self, asked: HoursRequest) -> Published:
        """Ask the website, which takes its time."""
        published = self.site.opening_hours(asked)
        self.clock.advance(self.takes_s)
        return published

    def turn(self, after_s: float = 0.0) -> None:
        """Let some time pass, and go the round."""
        self.clock.advance(after_s)
        self.round.turn()

    @property
    def stored(self) -> StoredDays:
        """What the website said last."""
        return self.branch.calendar().sources[DaySource.WEBSITE]

    def are_open(self) -> bool:
        """Tell whether the site's hours that are kept let anybody in from today on."""
        today = self.clock.moment().local.date()
        return any(day.spans for day in self.stored.days if day.day >= today)


@pytest.fixture
def script() -> WebsiteScript:
    """Return a website with hours for half a year."""
    return WebsiteScript([item(MONDAY + ahead * DAY) for ahead in range(-5, 300)])


@pytest.fixture
def url(script: WebsiteScript) -> Iterator[str]:
    """Return where that website is."""
    with serving(script) as found:
        yield found


@pytest.fixture
def rounds(script: WebsiteScript, url: str) -> Following:
    """Return a branch whose hours come from the website."""
    return Following(script, url)


@pytest.mark.parametrize(
    ("now", "first"),
    [(START, MONDAY), (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29))],
)
def test_the_websites_hours_are_kept_as_far_ahead_as_configured(
    rounds: Following, now: datetime, first: date
) -> None:
    """The branch's own today and the 14 days after it are asked for and stored."""
    rounds.clock.step(now)
    rounds.turn()

    assert [one.day for one in rounds.stored.days] == [first + ahead * DAY for ahead in range(15)]
    assert (rounds.stored.known_until, rounds.stored.fetched_at) == (first + 14 * DAY, now)
    assert f"from_date={first}&to_date={first + 14 * DAY}" in rounds.script.asked[0]
    assert rounds.alarms() == []


def test_it_is_asked_every_three_hours(rounds: Following) -> None:
    """Turns in between ask nothing and write nothing."""
    rounds.turn()
    version = rounds.branch.version()

    rounds.turn(FETCH_EVERY_S - 1)
    assert (len(rounds.script.asked), rounds.branch.version()) == (1, version)

    rounds.turn(1)
    assert len(rounds.script.asked) == 2


def test_a_website_that_is_away_for_a_day_is_told_once(rounds: Following) -> None:
    """Not before a day without a good answer, once however long it lasts, and its end as well."""
    rounds.turn()
    rounds.script.status = 503
    until_s = rounds.clock.monotonic + SILENT_S
    while rounds.clock.monotonic < until_s - AGAIN_S:
        rounds.turn(AGAIN_S)
    assert rounds.alarms() == []
    for _ in range(20):
        rounds.turn(AGAIN_S)
    assert rounds.alarms() == ["website_silent"]
    assert "HTTP status 503" in str(rounds.log.lines[0]["why"])

    rounds.script.status = 200
    rounds.turn(AGAIN_S)
    rounds.turn(FETCH_EVERY_S)
    assert rounds.alarms() == ["website_silent", "website_answers"]

    rounds.script.status = 503
    for _ in range(2):
        rounds.turn(SILENT_S)
    assert rounds.alarms() == ["website_silent", "website_answers", "website_silent"]


def test_hours_that_were_emptied_count_once_they_were_read_again(rounds: Following) -> None:
    """Staff are told at the first; the old hours let people in for an hour more, not a fortnight.

    Hours that come back by then change nothing, and their coming back is told.

    Bug (outside look): hours that were emptied on the website were not followed: the old ones
    let people in for up to 14 days.
    """
    rounds.turn()
    hours, rounds.script.items = rounds.script.items, []
    rounds.turn(DAY_S)
    assert rounds.alarms() == ["website_emptied"]
    for _ in range(5):
        rounds.turn(AGAIN_S)
        assert rounds.are_open()

    rounds.turn(EMPTIED_S - 5 * AGAIN_S)
    assert rounds.standing().mode is Mode.CLOSED
    assert not rounds.standing().problem
    assert not rounds.are_open()
    assert rounds.alarms() == ["website_emptied"]

    rounds.script.items = hours
    rounds.turn(FETCH_EVERY_S)
    assert rounds.are_open()
    assert rounds.alarms() == ["website_emptied", "website_filled"]


def test_hours_that_were_emptied_by_mistake_are_not_followed(rounds: Following) -> None:
    """Put back within the hour: nobody was shut out, and the next time is an hour again."""
    rounds.turn()
    hours = rounds.script.items
    for _ in range(2):
        for rounds.script.items in ([], hours):
            rounds.turn(FETCH_EVERY_S)
            assert rounds.are_open()

    assert rounds.alarms() == ["website_emptied", "website_filled"] * 2


def test_hours_that_run_out_are_not_emptied(rounds: Following) -> None:
    """Nothing is known of the days after them: they are told as unknown, and never as closed.

    Bug (read by a stranger): hours on the website that merely ran out counted as emptied: an
    hour later the branch was closed by them, and `calendar_unknown` was withdrawn.
    """
    rounds.script.items = [item(MONDAY)]
    rounds.turn()
    rounds.script.items = []
    rounds.clock.advance(DAY_S)
    for _ in range(3):
        rounds.turn()
        rounds.clock.advance(EMPTIED_S)

    assert rounds.standing().problem
    assert rounds.stored.known_until == MONDAY
    assert rounds.alarms() == ["website_silent"]
    assert "ran out on 2026-03-02" in str(rounds.log.lines[0]["why"])

    rounds.script.items = [item(MONDAY + DAY)]
    rounds.turn()
    assert rounds.alarms() == ["website_silent", "website_answers"]
    assert not rounds.standing().problem


def test_an_address_that_never_worked_is_told_at_once(rounds: Following) -> None:
    """The technician is still there: a wrong address need not wait for a day."""
    rounds.script.status = 404
    rounds.turn()

    assert rounds.alarms() == ["website_silent"]


@pytest.mark.parametrize(
    ("hours", "alarms"), [(23, []), (25, ["website_silent"]), (-5, [])], ids=str
)
def test_the_silence_goes_on_across_a_restart(
    rounds: Following, hours: int, alarms: list[str]
) -> None:
    """It counts from the last good answer on record; one from the future is taken for now."""
    rounds.turn()
    rounds.clock.step(rounds.clock.wall + timedelta(hours=hours))
    rounds.clock.believe()
    rounds.script.status = 500
    rounds.restart()
    rounds.turn()

    assert rounds.alarms() == alarms


def test_a_setting_of_the_clock_makes_no_silence(rounds: Following) -> None:
    """A day that did not pass is no day without an answer."""
    rounds.turn()
    rounds.script.status = 500
    rounds.clock.step(rounds.clock.wall + 3 * DAY)
    rounds.clock.believe()
    rounds.clock.monotonic += FETCH_EVERY_S
    rounds.turn()

    assert len(rounds.script.asked) == 2
    assert rounds.alarms() == []


def test_a_website_that_is_down_for_15_days_closes_the_branch(rounds: Following) -> None:
    """The last good hours count to their end; after it nobody knows: closed, and two alarms."""
    rounds.turn()
    rounds.script.raw = lambda writer: writer.close()
    standings = []
    for _ in range(15):
        rounds.turn(DAY_S)
        standings.append(rounds.standing())

    assert {(one.mode, one.problem) for one in standings[:14]} == {(Mode.SELF_SERVICE, False)}
    assert standings[14] == Standing(None, Cause.UNKNOWN_CALENDAR, problem=True)
    assert rounds.alarms() == ["website_silent"]


def test_an_unheard_of_category_is_told_once(rounds: Following) -> None:
    """Each title once, harmlessly spelt; a new one again."""
    later = MONDAY + 5 * DAY
    rounds.script.items.append(item(later, title='Lektie\ncafé "x"'))
    for title in (None, None, "Strikkeklub"):
        if title is not None:
            rounds.script.items.append(item(later, title=title))
        rounds.turn()
        rounds.clock.advance(FETCH_EVERY_S)

    assert rounds.alarms() == ["website_unknown_category"] * 2
    first, second = (str(line["why"]) for line in rounds.log.lines)
    assert 'nothing here: "Lektie\\u000acafé \\"x\\""' in first
    assert second.endswith('nothing here: "Strikkeklub"')


@pytest.mark.parametrize(
    ("means", "spans"), [("ignore", ()), ("staffed", (ModeSpan(Mode.STAFFED, 540, 600),))]
)
def test_what_open_means_is_as_configured(
    script: WebsiteScript, url: str, means: str, spans: tuple[ModeSpan, ...]
) -> None:
    """The category "Åbent" is a mode, or nothing."""
    script.items = [item(MONDAY, "09:00", "10:00", "Åbent"), item(MONDAY, "11:00", "12:00")]
    rounds = Following(script, url, website_open_means=means)
    rounds.turn()

    assert rounds.stored.days[0].spans == (*spans, ModeSpan(Mode.SELF_SERVICE, 660, 720))


def test_nothing_is_asked_before_the_clock_is_set(script: WebsiteScript, url: str) -> None:
    """Nobody knows which days to ask for; as soon as the time is known, it is asked."""
    rounds = Following(script, url, FakeClock(vouched=False))
    rounds.turn()
    assert script.asked == []

    rounds.clock.vouched = True
    rounds.turn()
    assert len(script.asked) == 1


def test_midnight_during_the_answer(rounds: Following) -> None:
    """A question of yesterday is stored from today on: what is past would refuse it whole."""
    rounds.clock.step(datetime(2026, 3, 2, 22, 59, 59, tzinfo=UTC))
    rounds.takes_s = 2.0
    rounds.turn()

    assert "from_date=2026-03-02" in rounds.script.asked[0]
    assert rounds.stored.days[0].day == date(2026, 3, 3)
    assert rounds.alarms() == []


def test_a_full_disk_is_told_once(rounds: Following) -> None:
    """The website is not to blame; what is stored stays, and it is tried again."""
    rounds.turn()
    good = rounds.branch.calendar()
    rounds.disk_is_full = True
    for _ in range(3):
        rounds.turn(FETCH_EVERY_S)
    assert rounds.branch.calendar() == good

    rounds.disk_is_full = False
    rounds.turn(AGAIN_S)
    assert rounds.log.lines == [
        {"event": "alarm", "kind": "branch_failing", "why": "the disk is full"},
        {"event": "alarm", "kind": "branch_failing_cleared"},
    ]
    assert rounds.stored.fetched_at == rounds.clock.wall


def test_a_disk_that_fails_at_the_start_delays_the_first_question(rounds: Following) -> None:
    """Nobody knows then how long the website was silent, nor could its answer be stored."""
    rounds.branch.broken = True
    rounds.turn()
    assert (rounds.script.asked, rounds.alarms()) == ([], ["branch_failing"])

    rounds.branch.broken = False
    rounds.turn(AGAIN_S)
    assert rounds.stored.days


WEEK = ((ModeSpan(Mode.SELF_SERVICE, 480, 1320),),) * 7
"""Open from 8 to 22 each day; the clock begins at 19:00."""

TILL_TEN, CLOSED = Opening(week=WEEK), Opening(week=WEEK, holidays="closed")


class Almanac(Rounds):
    """Knows one holiday a year, its first day, and remembers what was wanted."""

    def __init__(self, opening: Opening = CLOSED, clock: FakeClock | None = None) -> None:
        super().__init__(opening, clock)
        self.wanted: list[HolidaysWanted] = []
        self.failing = False
        self.round = HolidayJob(opening, self.compute, self.write, self.clock, self.log)

    def compute(self, wanted: HolidaysWanted) -> tuple[StoredDay, ...]:
        """Return the holidays."""
        self.wanted.append(wanted)
        if self.failing:
            raise InputError("the almanac was told to fail")
        return tuple(StoredDay(date(year, 1, 1), (), "Nytår") for year in wanted.years)

    def begin(self) -> None:
        """Store the first holidays, as ``doorctl init`` does."""
        store_initial_holidays(self.opening, self.branch, self.clock.moment(), self.compute)

    @property
    def stored(self) -> StoredDays | None:
        """The holidays that are stored."""
        return self.branch.calendar().sources.get(DaySource.HOLIDAY)


def test_this_year_and_the_next_are_stored() -> None:
    """At the start, from today on, and known to the end of the next year."""
    rounds = Almanac(Opening(week=WEEK, holidays="closed", holidays_also=("christmas_eve",)))
    rounds.round.turn()

    assert rounds.wanted == [HolidaysWanted((2026, 2027), ("christmas_eve",))]
    assert rounds.stored is not None
    assert rounds.stored.days == (StoredDay(date(2027, 1, 1), (), "Nytår"),)
    assert rounds.stored.known_until == date(2027, 12, 31)


def test_they_are_computed_anew_when_the_year_changes() -> None:
    """At the branch's own New Year, and else not, however often it is looked at."""
    rounds = Almanac()
    rounds.clock.step(datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC))
    for years in ([(2026, 2027)], [(2026, 2027), (2027, 2028)]):
        for _ in range(3):
            rounds.round.turn()
        assert [one.years for one in rounds.wanted] == years
        rounds.clock.advance(1)


@pytest.mark.parametrize("broken", ["almanac", "branch", "disk"])
def test_holidays_that_fail_are_told_once_and_tried_again(broken: str) -> None:
    """The ones that are stored stay meanwhile."""
    rounds = Almanac()
    rounds.failing = broken == "almanac"
    rounds.branch.broken = broken == "branch"
    rounds.disk_is_full = broken == "disk"
    for _ in range(5):
        rounds.round.turn()
        rounds.clock.advance(AGAIN_S / 2)
    assert rounds.alarms() == ["holidays_failing"]

    rounds.failing = rounds.branch.broken = rounds.disk_is_full = False
    rounds.clock.advance(AGAIN_S)
    rounds.round.turn()
    assert rounds.stored
    assert rounds.alarms() == ["holidays_failing", "holidays_failing_cleared"]


def test_no_holidays_before_the_clock_is_set() -> None:
    """A Pi that wakes up in another year must not store that one's."""
    rounds = Almanac(clock=FakeClock(vouched=False))
    rounds.round.turn()
    assert rounds.wanted == []

    rounds.clock.vouched = True
    rounds.round.turn()
    assert len(rounds.wanted) == 1


def test_a_clock_that_is_lost_meanwhile_stores_nothing() -> None:
    """What was computed for a time that nobody vouches for any more is left out."""
    rounds = Almanac()
    compute = rounds.round.compute

    def rebooting(wanted: HolidaysWanted) -> tuple[StoredDay, ...]:
        rounds.clock.vouched = False
        rounds.clock.reboot("boot-2")
        return compute(wanted)

    rounds.round.compute = rebooting
    rounds.round.turn()

    assert rounds.stored is None
    assert rounds.alarms() == ["holidays_failing"]


@pytest.mark.parametrize(
    ("opening", "wanted"),
    [
        (TILL_TEN, False),
        (CLOSED, True),
        (Opening(week=WEEK, holidays="closed", source="website"), False),
    ],
    ids=["ignored", "closed", "website"],
)
def test_where_holidays_are_wanted_a_new_branch_has_them_for_years(
    opening: Opening, wanted: bool
) -> None:
    """Without a web process nobody would store the next ones.

    Not where they are days like any other, nor where the website has them in its hours.
    """
    rounds = Almanac(opening)
    rounds.begin()

    assert (rounds.stored is not None) is wanted
    if rounds.stored is not None:
        years = [one.day.year for one in rounds.stored.days]
        assert years == list(range(2027, 2026 + INITIAL_YEARS))
        assert rounds.stored.known_until == date(2025 + INITIAL_YEARS, 12, 31)


def test_a_new_branch_without_a_clock_begins_with_what_is_certain() -> None:
    """The latest year that is known to have come is the first; a guess is not believed."""
    rounds = Almanac(clock=FakeClock(vouched=False, wall=datetime(2093, 5, 5, tzinfo=UTC)))
    rounds.begin()

    assert rounds.wanted[0].years[0] == 2026


OPEN = frozenset({Mode.SELF_SERVICE, Mode.STAFFED})
LIGHT = Output("light", OPEN, lead_min=10, lag_min=15)
ALARM = Output("alarm", frozenset({Mode.CLOSED, Mode.LOCKDOWN}))
VOICE = Output("voice", frozenset())
CLOSES = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Switching(Rounds):
    """A branch with a light, an alarm and an announcement of 20 s, 15 and 5 minutes before."""

    def __init__(self, opening: Opening = TILL_TEN, clock: FakeClock | None = None) -> None:
        super().__init__(opening, clock)
        self.outputs = FakeOutputs(["light", "alarm", "voice"])
        self.following = OutputsJob(
            (LIGHT, ALARM, VOICE),
            calendar_of=partial(calendar_of, opening),
            branch=self.branch,
            switches=self.outputs,
            clock=self.clock,
            log=self.log,
            warn_min=(15, 5),
            pulses_s={"voice": 20.0},
        )

    def at(self, utc: datetime) -> list[tuple[str, bool]]:
        """Let it become a time, look at the clock, and return what was switched for it."""
        self.clock.advance((utc - self.clock.wall).total_seconds())
        return self.turn()

    def turn(self) -> list[tuple[str, bool]]:
        """Look at the clock and return what was switched."""
        before = len(self.outputs.switched)
        self.following.turn()
        return self.outputs.switched[before:]


def test_each_follows_the_mode_with_its_own_offsets() -> None:
    """All at the start, for nobody knows what they are then; then each at its own time.

    The alarm is armed at ten, the light goes a quarter of an hour later.
    """
    branch = Switching()

    assert branch.turn() == [("light", True)]
    for seconds in (90, 60):
        branch.at(CLOSES - seconds * SECOND)
    for minutes, switched in ((0, ("alarm", True)), (15, ("light", False))):
        assert branch.at(CLOSES + timedelta(minutes=minutes) - SECOND) == []
        assert branch.at(CLOSES + timedelta(minutes=minutes)) == [switched]


def test_what_staff_set_counts_at_once_and_until_its_end() -> None:
    """A lockdown waits for no offset, and its end switches all back."""
    branch = Switching()
    branch.turn()
    until = START + timedelta(hours=1)
    branch.branch.set_override(Override(Mode.LOCKDOWN, until, "uro", "y"), branch.clock.moment())

    assert branch.turn() == [("light", False), ("alarm", True)]
    assert branch.at(until) == [("light", True), ("alarm", False)]


def test_a_calendar_that_nobody_knows_is_closed() -> None:
    """Without the website's hours the house is dark and the alarm armed; the door is shut too."""
    assert Switching(Opening(source="website")).turn() == [("alarm", True)]


def test_a_branch_that_cannot_be_read_is_told_once_and_keeps_its_hours() -> None:
    """Before they could be read it is closed; later closing time comes all the same."""
    branch = Switching()
    branch.branch.broken = True
    for _ in range(3):
        branch.turn()
    assert branch.outputs.switched == [("alarm", True)]

    branch.branch.broken = False
    assert branch.turn() == [("light", True), ("alarm", False)]
    assert branch.alarms() == ["branch_failing", "branch_failing_cleared"]

    branch.branch.broken = True
    assert branch.turn() == []
    assert branch.at(CLOSES) == [("alarm", True)]
    assert branch.alarms()[2:] == ["branch_failing"]


def test_the_hours_are_read_once_for_each_commit() -> None:
    """A look at the clock every second costs no disk."""
    branch = Switching()
    for reads in (1, 2):
        for _ in range(3):
            branch.turn()
        assert branch.branch.read == reads
        branch.branch.set_days(DaySource.HOLIDAY, (), branch.clock.moment(), known_until=None)


def test_nothing_is_switched_before_the_clock_is_set() -> None:
    """A light that stays as it is troubles nobody; one that goes off at noon does."""
    branch = Switching(clock=FakeClock(vouched=False))
    assert branch.turn() == []

    branch.clock.vouched = True
    assert branch.turn() == [("light", True)]


def test_what_fails_is_told_once_and_tried_again() -> None:
    """Every five minutes until it works; the others are switched meanwhile."""
    branch = Switching()
    branch.outputs.broken.add("light")
    branch.turn()
    for wait_s in (SWITCH_AGAIN_S - 1, 1):
        branch.clock.advance(wait_s)
        assert branch.turn() == []
    assert branch.at(CLOSES) == [("alarm", True)]

    branch.outputs.broken.clear()
    branch.clock.advance(SWITCH_AGAIN_S - 1)
    assert branch.turn() == []
    branch.clock.advance(1)
    assert branch.turn() == [("light", True)]
    assert branch.alarms() == ["output_failing"]


def test_what_fails_waits_while_the_clock_is_not_set() -> None:
    """What should be on just now nobody knows."""
    branch = Switching()
    branch.outputs.broken.add("light")
    branch.turn()
    branch.outputs.broken.clear()
    branch.clock.vouched = False
    branch.clock.reboot("boot-2")
    branch.clock.monotonic = 1000.0 + SWITCH_AGAIN_S

    assert branch.turn() == []


def test_an_announcement_is_on_for_a_while_at_each_warning() -> None:
    """At each of the minutes before closing, and for its own seconds; nothing else changes."""
    branch = Switching()
    branch.turn()
    for minutes in (15, 5):
        warned = CLOSES - timedelta(minutes=minutes)
        assert branch.at(warned - SECOND) == []
        assert branch.at(warned) == [("voice", True)]
        assert branch.at(warned + 19 * SECOND) == []
        assert branch.at(warned + 20 * SECOND) == [("voice", False)]


def test_an_announcement_ends_though_the_clock_is_set() -> None:
    """Its seconds are real ones, and what is on by the mode stays on."""
    branch = Switching()
    branch.turn()
    branch.at(CLOSES - timedelta(minutes=15))
    branch.clock.step(CLOSES - timedelta(minutes=30))
    branch.clock.monotonic += 20

    assert branch.turn() == [("voice", False)]
    assert branch.outputs.on["light"]
