"""The day by any calendar and any steps of time, held against what is judged without it.

Bug (property over the day): a clock set back told closing warnings twice.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.access.calendar import OPEN as OPENS
from doorctl.access.calendar import Calendar, Cause, Mode, ModeSpan
from doorctl.access.day import (
    CalendarFound,
    CalendarLost,
    ClosingWarned,
    Day,
    DayEffect,
    DayRules,
    ModeChanged,
    Override,
    judge,
    no_entry,
    planned,
    turned,
    with_hours,
)
from doorctl.core.moments import ClockState, Moment
from doorctl.extras.outputs.following import Output, outputs_on
from tests.access.calendars import CLOSED, MINUTE, OPEN, STAFFED, at, calendars, every_day, times
from tests.access.samples import COPENHAGEN

LIBRARY = every_day(ModeSpan(OPEN, 420, 1320), ModeSpan(STAFFED, 600, 1080))
RULES = DayRules(warn_min=(5, 10, 15), no_entry_min=15)
SECOND = timedelta(seconds=1)
LONG_AGO = datetime(2026, 12, 1, tzinfo=UTC)


def clock(
    text: str, state: ClockState = ClockState.TRUSTED, high_water: datetime = LONG_AGO
) -> Moment:
    """Return a time of Christmas Eve."""
    return Moment(at(f"2026-12-24T{text}"), high_water, state)


def unset(text: str, high_water: datetime = LONG_AGO) -> Moment:
    """Return the same by a clock that nobody vouches for."""
    return clock(text, ClockState.UNTRUSTED, high_water)


def looked(*moments: Moment, day: Day | None = None) -> tuple[Day, tuple[DayEffect, ...]]:
    """Look at each moment; return the day and what the last look told."""
    day = day or Day(LIBRARY)
    effects: tuple[DayEffect, ...] = ()
    for moment in moments:
        day, effects = turned(day, moment, RULES)
    return day, effects


def warnings(*moments: Moment, day: Day | None = None) -> list[int]:
    """Return the warnings of all looks, in order."""
    day, told_of = day or Day(LIBRARY), []
    for moment in moments:
        day, effects = turned(day, moment, RULES)
        told_of += [one.minutes for one in effects if isinstance(one, ClosingWarned)]
    return told_of


def test_the_first_look_tells_all() -> None:
    """The mode with its end."""
    day, effects = looked(clock("21:00:00"))

    assert [type(one) for one in effects] == [ModeChanged]
    assert day.standing is not None
    assert (day.standing.mode, day.standing.until) == (OPEN, at("2026-12-24T22:00"))


def test_without_last_minutes_everybody_comes_in_until_the_end() -> None:
    """Zero is for none, also at the last moment."""
    rules = DayRules(warn_min=(15,))
    day, _ = turned(Day(LIBRARY), clock("21:59:00"), rules)

    assert day.mode_at(clock("21:59:59.999999"), rules) == (OPEN, False)
    assert Day(LIBRARY).mode_at(clock("21:59:59.999999"), rules) == (OPEN, False)


def test_whoever_looks_late_says_the_shortest() -> None:
    """After a quarter of an hour without a look, or by an unset clock, one warning is enough."""
    assert warnings(clock("21:40:00"), clock("21:56:00")) == [5]
    assert warnings(clock("21:40:00"), unset("21:45:30"), clock("21:52:00")) == [10]


def test_a_closing_that_is_over_is_warned_of_no_more() -> None:
    """Neither while closed nor the next morning, however long nobody looked."""
    assert warnings(clock("21:40:00"), clock("22:10:00")) == []
    assert warnings(clock("06:00:00"), unset("06:10:00"), clock("12:00:00")) == []
    reopened = every_day(ModeSpan(OPEN, 420, 1310), ModeSpan(OPEN, 1312, 1320))
    assert warnings(clock("21:40:00"), clock("21:53:00"), day=Day(reopened)) == []


def test_a_clock_that_goes_back_warns_nobody_again() -> None:
    """A time server's step is no second closing; what was over a day ahead was wrong."""
    back = [clock("21:44:30"), clock("21:45:00"), clock("21:44:30"), clock("21:45:00")]
    assert warnings(*back, clock("21:50:00")) == [15, 10]

    next_year = Moment(at("2027-12-24T12:00"), back[0].high_water, ClockState.TRUSTED)
    assert warnings(next_year, *back) == [15]


def test_a_new_calendar_warns_of_its_own_closing() -> None:
    """Of one that comes sooner what is still ahead; of the same one nothing twice."""
    day, _ = looked(clock("21:44:30"), clock("21:45:00"))
    sooner = with_hours(day, every_day(ModeSpan(OPEN, 420, 1315)), None)

    assert warnings(clock("21:48:00"), clock("21:50:00"), day=sooner) == [5]
    assert warnings(clock("21:45:30"), clock("21:50:00"), day=with_hours(day, LIBRARY, None)) == [
        10
    ]


def test_by_an_unset_clock_warnings_stay() -> None:
    """The mode is found all the same."""
    day, effects = looked(clock("21:40:00"), unset("22:30:00"))

    assert [type(one) for one in effects] == [ModeChanged]
    assert day.standing is not None
    assert (day.standing.mode, day.standing.cause) == (None, Cause.CLOCK)


def test_a_lost_calendar_is_told_once_and_its_end_too() -> None:
    """Whether it is missing or at its end, and whatever staff have set meanwhile."""
    day, effects = looked(clock("12:00:00"), day=Day(None))
    assert [type(one) for one in effects] == [CalendarLost, ModeChanged]

    ended = with_hours(day, Calendar(LIBRARY.week, known_until=date(2026, 12, 23)), None)
    day, effects = turned(ended, clock("12:01:00"), RULES)
    assert [type(one) for one in effects] == [ModeChanged]

    staff = with_hours(day, None, Override(OPEN, at("2026-12-24T20:00")))
    day, effects = turned(staff, clock("12:02:00"), RULES)
    assert CalendarLost() not in effects

    found = with_hours(day, LIBRARY, None)
    assert CalendarFound() in turned(found, clock("12:03:00"), RULES)[1]


PLAIN = DayRules(warn_min=(5, 10, 15), no_entry_min=15)
LATE = Override(OPEN, at("2026-12-24T23:00"))
LOCKDOWN = Override(Mode.LOCKDOWN, at("2026-12-24T22:05"))


def after_looks(*moments: Moment, day: Day | None = None, rules: DayRules = PLAIN) -> Day:
    """Look at each moment; return the day."""
    day = day or Day(LIBRARY)
    for moment in moments:
        day, _ = turned(day, moment, rules)
    return day


@pytest.mark.parametrize("text", ["20:00:15.5", "20:00:30", "20:00:59.999999"])
def test_a_look_holds_for_its_minute(text: str) -> None:
    """In between nobody looks into the hours, however many cards come."""
    day = after_looks(clock("20:00:15.5"))

    assert replace(day, calendar=None).mode_at(clock(text), PLAIN) == (OPEN, False)
    assert turned(day, clock(text), PLAIN) == (day, ())


@pytest.mark.parametrize("text", ["20:00:15.499999", "20:01:00"])
def test_before_a_look_and_after_its_minute_the_hours_are_asked(text: str) -> None:
    """To the microsecond, whenever in the minute the look was."""
    day = after_looks(clock("20:00:15.5"))

    assert replace(day, calendar=None).mode_at(clock(text), PLAIN) == (CLOSED, False)


def test_by_an_unset_clock_there_are_no_last_minutes() -> None:
    """Nobody knows when they are."""
    assert Day(LIBRARY).mode_at(unset("21:59:30"), PLAIN) == (None, False)
    assert after_looks(clock("21:50:00"), unset("21:51:00")).closes is None


@pytest.mark.parametrize("no_entry_min", [1, 15])
def test_the_last_minutes_are_those_before_what_staff_have_set(no_entry_min: int) -> None:
    """Before any look, and by the last one."""
    rules = replace(PLAIN, no_entry_min=no_entry_min)
    day = Day(LIBRARY, LATE)

    for one in (day, after_looks(clock("22:59:00"), day=day, rules=rules)):
        assert one.mode_at(clock("22:59:00"), rules) == (OPEN, True)
        assert one.mode_at(clock("22:30:00"), rules) == (OPEN, False)


def test_of_the_end_that_staff_have_set_everybody_is_warned() -> None:
    """Though by the calendar the house has been closed for an hour."""
    assert warnings(clock("22:44:30"), clock("22:45:00"), day=Day(LIBRARY, LATE)) == [15]


@pytest.mark.parametrize(
    ("day", "rules"), [(Day(LIBRARY), DayRules()), (Day(LIBRARY, LOCKDOWN), PLAIN)]
)
def test_where_nobody_is_to_be_warned_no_closing_is_kept(day: Day, rules: DayRules) -> None:
    """Neither where no warning is asked for, nor where nobody may be in."""
    assert after_looks(clock("21:59:30"), day=day, rules=rules).closes is None


def test_a_clock_that_goes_back_by_a_whole_day_was_not_wrong() -> None:
    """By more than that it was: then warnings begin anew."""
    day = Day(LIBRARY)
    tomorrow = at("2026-12-25T21:46")
    for beside, heard in ((timedelta(), []), (timedelta(microseconds=1), [10])):
        first = Moment(tomorrow + beside, LONG_AGO, ClockState.TRUSTED)
        assert warnings(first, clock("21:46:00"), clock("21:50:00"), day=day) == heard


def test_by_an_unset_clock_no_last_minutes_are_left_over() -> None:
    """Where patrons may be in at all hours, a closing that was ahead before keeps nobody out."""
    late = after_looks(clock("21:50:00"))

    day = after_looks(unset("21:51:00"), day=with_hours(late, Calendar(), None))

    assert day.mode_at(unset("21:51:00"), PLAIN) == (OPEN, False)


def test_hours_that_staff_have_drawn_out_are_warned_of_by_their_own_end() -> None:
    """Also where the hours that were planned end in between: nobody had to leave then."""
    drawn_out = Day(LIBRARY, Override(OPEN, at("2026-12-24T22:14")))

    assert warnings(clock("21:58:00"), clock("22:02:00"), day=drawn_out) == [15]


def test_where_staff_take_over_everybody_comes_in() -> None:
    """Even where the staffed hours close soon after: the door is free then anyway."""
    short = every_day(ModeSpan(OPEN, 420, 1075), ModeSpan(STAFFED, 1075, 1080))
    day, _ = looked(clock("17:54:00"), day=Day(short))

    assert day.mode_at(clock("17:54:30"), RULES) == (OPEN, False)


def test_a_clock_that_was_lost_is_asked_by_what_is_certain() -> None:
    """A look by the right clock before it does not hold for the rest of its minute."""
    day = Day(Calendar(), Override(CLOSED, at("2026-12-24T12:00")))
    day = after_looks(clock("11:59:30"), unset("11:59:40"), day=day)
    over = unset("11:59:50", at("2026-12-24T12:30").astimezone(UTC))

    assert day.mode_at(unset("11:59:50"), PLAIN) == (CLOSED, False)
    assert day.mode_at(over, PLAIN) == (OPEN, False)


def test_a_change_by_staff_ends_within_a_minute_too() -> None:
    """Staff's own end is to the second, and the last look was before it."""
    lockdown = Override(Mode.LOCKDOWN, at("2026-12-24T20:00:30"))
    day, _ = looked(clock("20:00:00"), day=Day(LIBRARY, lockdown))

    assert day.mode_at(clock("20:00:29.999999"), RULES) == (Mode.LOCKDOWN, False)
    assert day.mode_at(clock("20:00:30"), RULES) == (OPEN, False)


def test_what_staff_set_counts_with_the_next_look() -> None:
    """And what they take back as well, within the same minute."""
    day = with_hours(after_looks(clock("20:00:00")), LIBRARY, LOCKDOWN)
    day, (locked,) = turned(day, clock("20:00:01"), PLAIN)
    assert isinstance(locked, ModeChanged)
    assert locked.standing.mode is Mode.LOCKDOWN

    day, (opened,) = turned(with_hours(day, LIBRARY, None), clock("20:00:02"), PLAIN)
    assert isinstance(opened, ModeChanged)
    assert opened.standing.mode is OPEN


TICK = timedelta(microseconds=1)
WARN = (5, 10, 15)
BUSY_RULES = DayRules(warn_min=WARN, no_entry_min=15)
OUTPUTS = (
    Output("light", OPENS, lead_min=10, lag_min=15),
    Output("alarm", frozenset({Mode.CLOSED, Mode.LOCKDOWN}), lead_min=-5, lag_min=-30),
)
"""They follow the looks at the day, each of which has to come in time for them."""
EVENINGS = [datetime(2026, 3, 29, 0, 50), datetime(2026, 10, 25, 2, 40), datetime(2027, 1, 1, 20)]  # noqa: DTZ001
"""Where it all comes within the hour; on both days on which clocks are changed."""

EVENING = EVENINGS[0]
small_steps = st.sampled_from([TICK, timedelta(seconds=1), timedelta(seconds=31), MINUTE])
steps = (
    small_steps
    | st.sampled_from([-TICK, -MINUTE, timedelta(seconds=-7), 5 * MINUTE, -30 * MINUTE])
    | st.timedeltas(timedelta(hours=-2), timedelta(hours=26))
)


@st.composite
def near(draw: st.DrawFn) -> datetime:
    """Draw a time of one of the evenings, mostly on a whole second."""
    began = draw(st.sampled_from(EVENINGS)).replace(tzinfo=COPENHAGEN).astimezone(UTC)
    later = timedelta(seconds=draw(st.integers(0, 2400)))
    return (began + later + draw(st.sampled_from([0, 1])) * TICK).astimezone(COPENHAGEN)


@st.composite
def busy_calendars(draw: st.DrawFn) -> Calendar:
    """Draw a calendar whose spans begin and end within the evenings' hour."""
    spans = []
    for _ in range(draw(st.integers(1, 3))):
        evening = draw(st.sampled_from(EVENINGS))
        starts = evening.hour * 60 + evening.minute + draw(st.integers(-20, 60))
        mode = draw(st.sampled_from(sorted(OPENS, key=lambda mode: mode.value)))
        spans.append(ModeSpan(mode, starts, starts + draw(st.integers(1, 45))))
    known_until = draw(st.none() | st.just(EVENING.date()))
    return Calendar((tuple(spans),) * 7, known_until=known_until)


evenings = near() | times()
hours = busy_calendars() | calendars
overrides = st.none() | st.builds(Override, st.sampled_from(Mode), evenings)


class DayMachine(RuleBasedStateMachine):
    """A clock that goes as it likes, and a calendar that changes under it."""

    def __init__(self) -> None:
        super().__init__()
        self.on: frozenset[str] | None = None
        self.lost = False

    @initialize(calendar=st.none() | hours, override=overrides, local=evenings)
    def begin(self, calendar: Calendar | None, override: Override | None, local: datetime) -> None:
        """Begin somewhere near a special day."""
        self.day = Day(calendar, override)
        self.moment = Moment(local, local.astimezone(UTC), ClockState.TRUSTED)

    @rule(step=steps)
    def step(self, step: timedelta) -> None:
        """Let the clock be another, forwards or back."""
        local = (self.moment.local.astimezone(UTC) + step).astimezone(COPENHAGEN)
        self._become(local, self.moment.state)

    @rule(state=st.sampled_from(ClockState))
    def judge_the_clock(self, state: ClockState) -> None:
        """Lose the time source, or find it again."""
        self._become(self.moment.local, state)

    @rule(high_water=evenings)
    def learn_that_it_is_later(self, high_water: datetime) -> None:
        """Let a time have been seen by somebody else."""
        known = max(self.moment.high_water, high_water.astimezone(UTC))
        self.moment = Moment(self.moment.local, known, self.moment.state)

    @rule(calendar=st.none() | hours, override=overrides)
    def replace(self, calendar: Calendar | None, override: Override | None) -> None:
        """Read other hours."""
        self.day = with_hours(self.day, calendar, override)

    @rule()
    def turn(self) -> None:
        """Look, and compare what is told with what is so."""
        before = self.day
        self.day, effects = turned(before, self.moment, BUSY_RULES)
        now = judge(self.day.calendar, self.day.override, self.moment)
        for effect in effects:
            match effect:
                case ModeChanged(standing=standing):
                    assert (standing.mode, standing.cause) == (now.mode, now.cause)
                    assert standing != before.standing
                case CalendarLost() | CalendarFound():
                    assert self.lost is isinstance(effect, CalendarFound)
                    self.lost = not self.lost
        assert self.lost is now.problem
        if self.moment.dependable:
            day = self.day
            on = outputs_on(OUTPUTS, day.calendar, day.override, self.moment.local)
            if day is not before:
                self.on = on
            assert self.on == on

    @invariant()
    def the_last_look_never_lies(self) -> None:
        """At every moment the mode and the last minutes are as if judged just now."""
        day, moment = self.day, self.moment
        late = moment.dependable and no_entry(
            day.calendar, day.override, moment.local, BUSY_RULES.no_entry_min
        )

        assert day.mode_at(moment, BUSY_RULES) == (
            judge(day.calendar, day.override, moment).mode,
            late,
        )

    def _become(self, local: datetime, state: ClockState) -> None:
        high_water = self.moment.high_water
        if state is not ClockState.UNTRUSTED:
            high_water = max(high_water, local.astimezone(UTC))
        self.moment = Moment(local, high_water, state)


TestDay = DayMachine.TestCase
TestDay.settings = settings(stateful_step_count=30)


@given(
    hours,
    evenings,
    st.lists(st.sampled_from([MINUTE, timedelta(seconds=31)]) | small_steps, min_size=1),
    st.dictionaries(st.integers(0, 90), st.sampled_from([-MINUTE, -20 * MINUTE]), max_size=4),
    st.integers(0, 90),
)
def test_each_warning_comes_once(
    calendar: Calendar,
    local: datetime,
    rhythm: list[timedelta],
    back: dict[int, timedelta],
    replaced_at: int,
) -> None:
    """By looks at least once a minute, in any rhythm and with steps back, none is left out.

    On the way the calendar is read once more.
    """
    day, now, latest = Day(calendar), local.astimezone(UTC), local.astimezone(UTC)
    first, heard = now, []
    for number in range(120):
        if number == replaced_at:
            day = with_hours(
                day, Calendar(calendar.week, calendar.days, calendar.known_until), None
            )
        wall = now.astimezone(COPENHAGEN)
        day, effects = turned(day, Moment(wall, latest, ClockState.TRUSTED), BUSY_RULES)
        heard += [
            (now.replace(second=0, microsecond=0), one.minutes)
            for one in effects
            if isinstance(one, ClosingWarned)
        ]
        latest = max(latest, now)
        now += back.get(number, rhythm[number % len(rhythm)])

    assert sorted(heard) == sorted(due(calendar, first, latest))


def due(calendar: Calendar, after: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """Return minute and length of each warning, found by walking through every minute."""
    found = []
    minute = after.replace(second=0, microsecond=0)
    while minute <= until:
        for minutes in WARN:
            ahead = [_planned(calendar, minute + step * MINUTE) for step in range(minutes + 1)]
            stays_open = OPENS.issuperset(ahead[:-1])
            if minute > after and stays_open and ahead[-1] not in OPENS:
                found.append((minute, minutes))
        minute += MINUTE
    return found


def _planned(calendar: Calendar, instant: datetime) -> Mode:
    return planned(calendar, None, instant.astimezone(COPENHAGEN))
