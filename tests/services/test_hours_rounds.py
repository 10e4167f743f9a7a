"""What the web process keeps of the website's hours and of the holidays, whatever fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from doorctl.access.calendar import (
    Calendar,
    Cause,
    DatedDay,
    DaySource,
    Mode,
    ModeSpan,
    StoredDay,
    StoredDays,
)
from doorctl.access.day import standing
from doorctl.access.ports import BranchWriter
from doorctl.config.hours import DatedHours, Opening
from doorctl.core.errors import InputError, StoreError
from doorctl.services.hours import calendar_of
from doorctl.sources.hours import HolidaysWanted, HoursRequest, Published, Website
from doorctl.web.jobs import (
    AGAIN_S,
    EMPTIED_S,
    FETCH_EVERY_S,
    INITIAL_YEARS,
    SILENT_S,
    HolidayRound,
    WebsiteRound,
    are_holidays_wanted,
    store_initial_holidays,
)
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.memory_store import MemoryBranch
from tests.sources.website_server import WebsiteScript, item, serving

DAY_S = 86_400.0
MONDAY = date(2026, 3, 2)
"""The clock's first day."""

NINE_TO_TEN = (ModeSpan(Mode.SELF_SERVICE, 540, 600),)


class Rounds:
    """A branch, its clock and its log, and what goes the rounds there."""

    def __init__(self, opening: Opening, clock: FakeClock | None = None) -> None:
        self.opening = opening
        self.clock = clock or FakeClock()
        self.branch = MemoryBranch()
        self.log = FakeEventLog()
        self.disk_is_full = False

    def write(self, job: Callable[[BranchWriter], object]) -> None:
        """Do the job at once, while there is room."""
        if self.disk_is_full:
            raise StoreError("the disk is full")
        job(self.branch)

    def website(self, fetch: Callable[[HoursRequest], Published]) -> WebsiteRound:
        """Return a round that asks a website."""
        return WebsiteRound(
            self.opening,
            "DK-773000",
            fetch=fetch,
            branch=self.branch,
            write=self.write,
            clock=self.clock,
            log=self.log,
        )

    def holidays(self, compute: Compute) -> HolidayRound:
        """Return a round that has holidays computed."""
        return HolidayRound(
            self.opening,
            compute=compute,
            write=self.write,
            clock=self.clock,
            log=self.log,
        )

    def calendar(self) -> Calendar:
        """Return the calendar that counts."""
        return calendar_of(self.opening, self.branch.calendar())

    def stored(self, source: DaySource) -> StoredDays:
        """Return what a source said last."""
        (said,) = (one for one in self.branch.calendar().sources if one.source is source)
        return said

    def alarms(self) -> list[object]:
        """Return the kinds of all alarms."""
        return [line["kind"] for line in self.log.named("alarm")]


class Following(Rounds):
    """A branch whose hours come from a website, and that website."""

    def __init__(
        self, script: WebsiteScript, url: str, clock: FakeClock | None = None, **own: Any
    ) -> None:
        super().__init__(Opening(source="website", website_branch="12", **own), clock)
        self.script, self.url = script, url
        self.round: WebsiteRound | None = None

    def turn(self, after_s: float = 0.0) -> None:
        """Let some time pass, and go the round."""
        self.clock.advance(after_s)
        self.round = self.round or self.website(Website(self.url).opening_hours)
        self.round.turn()

    def are_open(self) -> bool:
        """Tell whether the site's hours that are kept let anybody in."""
        return any(day.spans for day in self.stored(DaySource.WEBSITE).days)


@pytest.fixture
def script() -> WebsiteScript:
    """Return a website with hours for half a year."""
    return WebsiteScript([item(MONDAY + timedelta(days=ahead)) for ahead in range(-5, 300)])


@pytest.fixture
def url(script: WebsiteScript) -> Iterator[str]:
    """Return where that website is."""
    with serving(script) as found:
        yield found


@pytest.fixture
def rounds(script: WebsiteScript, url: str) -> Following:
    """Return a branch whose hours come from the website."""
    return Following(script, url)


def test_the_websites_hours_are_kept_as_far_ahead_as_configured(rounds: Following) -> None:
    """At the start today and the 14 days after it are asked for, and stand as the website's."""
    rounds.turn()

    said = rounds.stored(DaySource.WEBSITE)
    assert [one.day for one in said.days] == [MONDAY + timedelta(days=one) for one in range(15)]
    assert said.known_until == date(2026, 3, 16)
    assert said.fetched_at == START
    assert "from_date=2026-03-02&to_date=2026-03-16" in rounds.script.asked[0]
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
    rounds.turn(FETCH_EVERY_S)
    assert rounds.alarms() == ["website_emptied"]
    for _ in range(5):
        rounds.turn(AGAIN_S)
        assert rounds.are_open()

    rounds.turn(EMPTIED_S - 5 * AGAIN_S)
    now = rounds.clock.moment()
    assert standing(rounds.calendar(), None, now).mode is Mode.CLOSED
    assert not standing(rounds.calendar(), None, now).problem
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

    assert standing(rounds.calendar(), None, rounds.clock.moment()).problem
    assert rounds.stored(DaySource.WEBSITE).known_until == MONDAY
    assert rounds.alarms() == ["website_silent"]
    assert "ran out on 2026-03-02" in str(rounds.log.lines[0]["why"])

    rounds.script.items = [item(MONDAY + timedelta(days=1))]
    rounds.turn()
    assert rounds.alarms() == ["website_silent", "website_answers"]
    assert not standing(rounds.calendar(), None, rounds.clock.moment()).problem


def test_an_address_that_never_worked_is_told_at_once(rounds: Following) -> None:
    """The technician is still there: a wrong address need not wait for a day."""
    rounds.script.status = 404
    rounds.turn()

    assert rounds.alarms() == ["website_silent"]
    assert rounds.calendar().mode_at(rounds.clock.moment().local) is None


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
    rounds.round = None
    rounds.turn()

    assert rounds.alarms() == alarms


def test_a_setting_of_the_clock_makes_no_silence(rounds: Following) -> None:
    """A day that did not pass is no day without an answer."""
    rounds.turn()
    rounds.script.status = 500
    rounds.clock.step(rounds.clock.wall + timedelta(days=3))
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
        standings.append(standing(rounds.calendar(), None, rounds.clock.moment()))

    assert {one.mode for one in standings[:14]} == {Mode.SELF_SERVICE}
    assert not any(one.problem for one in standings[:14])
    assert (standings[14].mode, standings[14].cause) == (None, Cause.UNKNOWN_CALENDAR)
    assert standings[14].problem
    assert rounds.alarms() == ["website_silent"]


def test_an_unheard_of_category_is_told_once(rounds: Following) -> None:
    """Each title once, harmlessly spelt; a new one again."""
    later = MONDAY + timedelta(days=5)
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
    ("means", "spans"),
    [
        ("ignore", ()),
        ("staffed", (ModeSpan(Mode.STAFFED, 540, 600),)),
        ("self_service", NINE_TO_TEN),
    ],
)
def test_what_open_means_is_as_configured(
    script: WebsiteScript, url: str, means: str, spans: tuple[ModeSpan, ...]
) -> None:
    """The category "Åbent" is staffed, self-service or nothing."""
    script.items = [item(MONDAY, "09:00", "10:00", "Åbent"), item(MONDAY, "11:00", "12:00")]
    rounds = Following(script, url, website_open_means=means)
    rounds.turn()

    found = rounds.stored(DaySource.WEBSITE).days[0].spans
    assert found == (*spans, ModeSpan(Mode.SELF_SERVICE, 660, 720))


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

    def fetch(asked: HoursRequest) -> Published:
        published = Website(rounds.url).opening_hours(asked)
        rounds.clock.advance(2)
        return published

    rounds.website(fetch).turn()

    assert "from_date=2026-03-02" in rounds.script.asked[0]
    assert rounds.stored(DaySource.WEBSITE).days[0].day == date(2026, 3, 3)
    assert rounds.alarms() == []


@pytest.mark.parametrize(
    ("utc", "first"),
    [
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), date(2026, 10, 26)),
        (datetime(2026, 12, 31, 22, 59, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2027, 1, 1)),
    ],
    ids=str,
)
def test_today_is_the_branchs_own(rounds: Following, utc: datetime, first: date) -> None:
    """Both days on which the clocks change and New Year's Eve begin at the branch's midnight."""
    rounds.script.items = [item(first + timedelta(days=one)) for one in range(-1, 20)]
    rounds.clock.step(utc)
    rounds.turn()

    last = first + timedelta(days=14)
    assert f"from_date={first}&to_date={last}" in rounds.script.asked[0]
    said = rounds.stored(DaySource.WEBSITE)
    assert (said.days[0].day, said.known_until) == (first, last)


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
        {"event": "alarm", "kind": "branch_failing", "why": "the disk is full"}
    ]
    assert rounds.stored(DaySource.WEBSITE).fetched_at == rounds.clock.wall


def test_a_disk_that_fails_at_the_start_delays_the_first_question(rounds: Following) -> None:
    """Nobody knows then how long the website was silent, nor could its answer be stored."""
    rounds.branch.broken = True
    rounds.turn()
    assert (rounds.script.asked, rounds.alarms()) == ([], ["branch_failing"])

    rounds.branch.broken = False
    rounds.turn(AGAIN_S)
    assert rounds.stored(DaySource.WEBSITE).days


Compute = Callable[[HolidaysWanted], Mapping[date, DatedDay]]
SUNDAY = (ModeSpan(Mode.SELF_SERVICE, 600, 840),)
WEEK = (((ModeSpan(Mode.SELF_SERVICE, 480, 1320),),) * 6) + (SUNDAY,)


CLOSED = Opening(week=WEEK, holidays="closed")


class Almanac:
    """Knows one holiday a year, its first day, and remembers what was wanted."""

    def __init__(self) -> None:
        self.wanted: list[HolidaysWanted] = []
        self.failing = False

    def __call__(self, wanted: HolidaysWanted) -> Mapping[date, DatedDay]:
        """Return the holidays."""
        self.wanted.append(wanted)
        if self.failing:
            raise InputError("the almanac was told to fail")
        return {date(year, 1, 1): DatedDay((), Cause.HOLIDAY, "Nytår") for year in wanted.years}


@pytest.fixture
def almanac() -> Almanac:
    """Return an almanac that was not asked yet."""
    return Almanac()


def test_this_year_and_the_next_are_stored(almanac: Almanac) -> None:
    """At the start, from today on, and known to the end of the next year."""
    rounds = Rounds(Opening(week=WEEK, holidays="closed", holidays_also=("christmas_eve",)))
    rounds.holidays(almanac).turn()

    (wanted,) = almanac.wanted
    assert (wanted.years, wanted.also) == ((2026, 2027), ("christmas_eve",))
    said = rounds.stored(DaySource.HOLIDAY)
    assert said.days == (StoredDay(date(2027, 1, 1), (), "Nytår"),)
    assert said.known_until == date(2027, 12, 31)
    calendar = rounds.calendar()
    assert calendar.day(date(2027, 1, 1)) == ()
    assert calendar.day(date(2028, 1, 1)) is None


def test_they_are_computed_anew_when_the_year_changes(almanac: Almanac) -> None:
    """At the branch's own New Year, and else not, however often it is looked at."""
    rounds = Rounds(CLOSED)
    holidays = rounds.holidays(almanac)
    rounds.clock.step(datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC))
    for _ in range(3):
        holidays.turn()
    assert [one.years for one in almanac.wanted] == [(2026, 2027)]

    rounds.clock.advance(1)
    for _ in range(3):
        holidays.turn()
    assert [one.years for one in almanac.wanted] == [(2026, 2027), (2027, 2028)]
    assert rounds.stored(DaySource.HOLIDAY).known_until == date(2028, 12, 31)


@pytest.mark.parametrize("broken", ["almanac", "branch", "disk"])
def test_holidays_that_fail_are_told_once_and_tried_again(almanac: Almanac, broken: str) -> None:
    """The ones that are stored stay meanwhile."""
    rounds = Rounds(CLOSED)
    holidays = rounds.holidays(almanac)
    almanac.failing = broken == "almanac"
    rounds.branch.broken = broken == "branch"
    rounds.disk_is_full = broken == "disk"
    for _ in range(5):
        holidays.turn()
        rounds.clock.advance(AGAIN_S / 2)
    assert rounds.alarms() == ["holidays_failing"]

    almanac.failing = rounds.branch.broken = rounds.disk_is_full = False
    rounds.clock.advance(AGAIN_S)
    holidays.turn()
    assert rounds.stored(DaySource.HOLIDAY).days
    assert rounds.alarms() == ["holidays_failing"]


def test_no_holidays_before_the_clock_is_set(almanac: Almanac) -> None:
    """A Pi that wakes up in another year must not store that one's."""
    rounds = Rounds(CLOSED, FakeClock(vouched=False))
    holidays = rounds.holidays(almanac)
    holidays.turn()
    assert almanac.wanted == []

    rounds.clock.vouched = True
    holidays.turn()
    assert len(almanac.wanted) == 1


def test_a_clock_that_is_lost_meanwhile_stores_nothing() -> None:
    """What was computed for a time that nobody vouches for any more is left out."""
    rounds = Rounds(CLOSED)

    def rebooting(wanted: HolidaysWanted) -> Mapping[date, DatedDay]:
        rounds.clock.vouched = False
        rounds.clock.reboot("boot-2")
        return Almanac()(wanted)

    rounds.holidays(rebooting).turn()

    assert rounds.branch.calendar().sources == ()
    assert rounds.alarms() == ["holidays_failing"]


@pytest.mark.parametrize(
    ("opening", "wanted"),
    [
        (Opening(week=WEEK), False),
        (Opening(week=WEEK, holidays="closed"), True),
        (Opening(week=WEEK, holidays="closed", source="website"), False),
    ],
    ids=["ignored", "closed", "website"],
)
def test_where_holidays_are_wanted(opening: Opening, wanted: bool, almanac: Almanac) -> None:
    """Not where they are days like any other, nor where the website has them in its hours."""
    rounds = Rounds(opening)
    store_initial_holidays(opening, rounds.branch, rounds.clock.moment(), almanac)

    assert are_holidays_wanted(opening) is wanted
    assert bool(rounds.branch.calendar().sources) is wanted


def test_a_new_branch_has_its_holidays_for_years(almanac: Almanac) -> None:
    """Without a web process nobody would store the next ones."""
    rounds = Rounds(CLOSED)
    store_initial_holidays(rounds.opening, rounds.branch, rounds.clock.moment(), almanac)

    said = rounds.stored(DaySource.HOLIDAY)
    assert [one.day.year for one in said.days] == list(range(2027, 2026 + INITIAL_YEARS))
    assert said.known_until == date(2025 + INITIAL_YEARS, 12, 31)


def test_a_new_branch_without_a_clock_begins_with_what_is_certain(almanac: Almanac) -> None:
    """The latest year that is known to have come is the first; a guess is not believed."""
    clock = FakeClock(vouched=False, wall=datetime(2093, 5, 5, tzinfo=UTC))
    rounds = Rounds(CLOSED, clock)
    store_initial_holidays(rounds.opening, rounds.branch, clock.moment(), almanac)

    assert almanac.wanted[0].years[0] == 2026


def test_a_date_of_the_configuration_goes_before_a_holiday(almanac: Almanac) -> None:
    """Who writes that New Year's Day is open opens on it."""
    new_year = DatedHours("hours.exceptions[0]", date(2027, 1, 1), NINE_TO_TEN)
    rounds = Rounds(Opening(week=WEEK, exceptions=(new_year,), holidays="closed"))
    rounds.holidays(almanac).turn()

    calendar = rounds.calendar()
    assert calendar.day(date(2027, 1, 1)) == NINE_TO_TEN
