"""The day by any calendar and any steps of time, held against what is judged without it.

Bug (property over the day): a clock set back told closing warnings twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.access.calendar import OPEN as OPENS
from doorctl.access.calendar import Calendar, Mode, ModeSpan
from doorctl.access.day import (
    CalendarFound,
    CalendarLost,
    ClosingWarned,
    Day,
    DayRules,
    ModeChanged,
    Output,
    OutputsChanged,
    Override,
    judge,
    no_entry,
    outputs_on,
    planned,
    turned,
    with_hours,
)
from doorctl.core.moments import ClockState, Moment
from tests.access.calendars import MINUTE, calendars, times
from tests.access.samples import COPENHAGEN

TICK = timedelta(microseconds=1)
WARN = (5, 10, 15)
RULES = DayRules(
    warn_min=WARN,
    no_entry_min=15,
    outputs=(
        Output("light", OPENS, lead_min=10, lag_min=15),
        Output("alarm", frozenset({Mode.CLOSED, Mode.LOCKDOWN}), lead_min=-5, lag_min=-30),
    ),
)
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
        self.day, effects = turned(before, self.moment, RULES)
        now = judge(self.day.calendar, self.day.override, self.moment)
        for effect in effects:
            match effect:
                case ModeChanged(standing=standing):
                    assert (standing.mode, standing.cause) == (now.mode, now.cause)
                    assert standing != before.standing
                case OutputsChanged(on=on):
                    assert on != self.on
                    self.on = on
                case CalendarLost() | CalendarFound():
                    assert self.lost is isinstance(effect, CalendarFound)
                    self.lost = not self.lost
        assert self.lost is now.problem
        if self.moment.dependable:
            day = self.day
            assert self.on == outputs_on(
                RULES.outputs, day.calendar, day.override, self.moment.local
            )

    @invariant()
    def the_last_look_never_lies(self) -> None:
        """At every moment the mode and the last minutes are as if judged just now."""
        day, moment = self.day, self.moment
        late = moment.dependable and no_entry(
            day.calendar, day.override, moment.local, RULES.no_entry_min
        )

        assert day.mode_at(moment, RULES) == (judge(day.calendar, day.override, moment).mode, late)

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
        day, effects = turned(day, Moment(wall, latest, ClockState.TRUSTED), RULES)
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
