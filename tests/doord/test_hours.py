"""The hours at the door, a mode that staff set, and other rules that come meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorctl.access.calendar import OPEN, Calendar, DaySource, Mode, ModeSpan, StoredCalendar
from doorctl.access.day import DayRules, Override
from doorctl.access.messages import PadRules, Rules
from doorctl.access.panel import Kind, PanelRules
from doorctl.access.policy import Policy
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.config.tables import Door as DoorRules
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.devices.pins import GpioRelay
from doorctl.door.inputs import Levels
from doorctl.door.leaf import Entered
from doorctl.doord.controller import Controller
from doorctl.doord.hours import AGAIN_TURNS
from doorctl.doord.ledger import Worker
from doorctl.doord.loop_events import PinsTouched, Reloaded
from doorctl.extras.outputs.following import Output
from doorctl.extras.outputs.switching import PinFollower
from tests.doord.fake_door import (
    CARD,
    OTHER_CARD,
    RELEASE_S,
    RIGHT_PIN,
    WRONG_PIN,
    FakeDoor,
    key_of,
    resident,
)
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryBranch
from tests.fakes.pins import FakeInputs, FakeOutputs

SELF, STAFFED_MODE = Mode.SELF_SERVICE, Mode.STAFFED
TILL_TEN = Calendar(((ModeSpan(SELF, 480, 1320), ModeSpan(STAFFED_MODE, 1170, 1200)),) * 7)
"""Open from 8 to 22, staffed from 19:30 to 20; the clock begins at 19:00."""

LIGHT = Output("light", OPEN)
ALARM = Output("alarm", frozenset({Mode.CLOSED, Mode.LOCKDOWN}))
RULES = DayRules(warn_min=(15, 10, 5), no_entry_min=15)


class Unreadable(MemoryBranch):
    """A branch whose version can be told while its rows can't be read."""

    damaged, reads = False, 0

    def calendar(self) -> StoredCalendar:
        """Fail where the rows are damaged."""
        self.reads += 1
        if self.damaged:
            raise StoreError("branch.db is damaged: a row can't be read")
        return super().calendar()


@dataclass
class House(FakeDoor):
    """A door whose hours nobody has read yet, with a light and an alarm."""

    calendar: Calendar = TILL_TEN
    branch: Unreadable = field(default_factory=Unreadable)
    day_rules: DayRules = RULES
    outputs: FakeOutputs | None = field(default_factory=lambda: FakeOutputs(["light", "alarm"]))

    def build(self, relay: GpioRelay, worker: Worker) -> Controller:
        """Have the light and the alarm follow the hours, if there are any."""
        if self.outputs is not None:
            self.followers = (PinFollower((LIGHT, ALARM), self.outputs, self.log),)
        return super().build(relay, worker)

    def begin(self) -> None:
        """Wait to be told."""

    def turn(self) -> None:
        """Turn once, then let the worker do what it was asked."""
        self.controller.pass_time()
        self.work()

    def until(self, hour: int, minute: int) -> None:
        """Turn each half minute until a time of that evening, Copenhagen's."""
        end = datetime(2026, 3, 2, hour - 1, minute, tzinfo=UTC)
        while self.clock.wall < end:
            self.clock.advance(min(30.0, (end - self.clock.wall).total_seconds()))
            self.turn()

    def mode(self) -> Mode | None:
        """Return what the door would judge a card by."""
        return self.daily.mode_at(self.clock.moment())[0]

    @property
    def on(self) -> dict[str, bool]:
        """Which outputs are on."""
        assert self.outputs is not None
        return self.outputs.on


@pytest.fixture
def house() -> House:
    """Return a house whose hours have been read."""
    house = House()
    house.turn()
    return house


def test_nothing_opens_before_the_hours_were_read() -> None:
    """Not even a calendar that is always open; no line tells a mode that nobody knows yet."""
    house = House()
    house.calendar = Calendar()
    house.controller.pass_time()

    assert house.mode() is Mode.CLOSED
    assert house.daily.standing is None
    assert house.log.lines == []
    house.work()
    assert house.mode() is SELF


def test_the_worker_reads_once_for_each_change() -> None:
    """However often the loop turns, and however long the worker takes."""
    house = House()
    for _ in range(5):
        house.controller.pass_time()
    assert house.worker.backlog() == 1
    house.work()
    house.turn()
    house.branch.set_days(DaySource.HOLIDAY, (), house.clock.moment(), known_until=None)
    house.turn()
    house.turn()

    assert house.branch.reads == 2


def test_the_mode_is_told_with_its_cause_and_end(house: House) -> None:
    """And the end of what staff have set likewise."""
    end = house.clock.wall + timedelta(minutes=5)
    house.branch.set_override(Override(Mode.LOCKDOWN, end, "prøve", "anna"), house.clock.moment())
    house.turn()

    assert house.log.named("mode") == [
        {
            "event": "mode",
            "state": "self_service",
            "cause": "schedule",
            "until": "2026-03-02T19:30:00+01:00",
        },
        {
            "event": "mode",
            "state": "lockdown",
            "cause": "staff",
            "until": end.isoformat(),
        },
    ]
    house.until(19, 5)
    assert house.mode() is SELF
    assert house.log.named("mode")[-1]["cause"] == "schedule"


def test_an_unset_clock_is_told_as_unknown() -> None:
    """Nobody knows the mode then; there is no end to tell."""
    house = House(clock=FakeClock(vouched=False))
    house.turn()

    assert house.log.named("mode") == [
        {"event": "mode", "state": "unknown", "cause": "clock", "until": None}
    ]
    assert house.mode() is None


@pytest.mark.parametrize("stands_free", [True, False])
def test_the_door_stands_free_while_it_is_staffed(*, stands_free: bool) -> None:
    """From the first second on until the last, unless staff open it themselves."""
    house = House(stands_free=stands_free)
    house.turn()
    for minute, free in ((29, False), (30, stands_free), (59, stands_free)):
        house.until(19, minute)
        assert house.relay.energised is free
    assert house.mode() is STAFFED_MODE
    house.until(20, 0)
    assert not house.relay.energised


def released(house: House) -> bool:
    """Tell whether the strike is released."""
    return house.relay.energised


WITNESSES: dict[str, Callable[[FakeClock], object]] = {
    "staff": FakeClock.believe,
    "the sender": lambda clock: clock.confirm(clock.wall),
    "a second source": lambda clock: setattr(clock, "agreed", True),
}


@pytest.mark.parametrize("witness", WITNESSES.values(), ids=WITNESSES)
def test_a_time_that_one_source_alone_gives_leaves_the_door_locked(
    witness: Callable[[FakeClock], object],
) -> None:
    """Until a second witness agrees a card opens it, in staffed hours too; then it stands free.

    The screen says so, and after a minute an alarm.

    Bug (second penetration test, S1): a power cut and one lying time server had the strike stand
    free at night.
    """
    house = House(clock=FakeClock(confirmed=False))
    house.connect()
    house.turn()
    for minute, paused in ((29, False), (30, True)):
        house.until(19, minute)
        assert house.daily.paused is paused
    assert house.mode() is STAFFED_MODE
    kinds = [house.panel.shown[-1].kind]
    assert house.log.alarms == []
    house.until(19, 32)
    assert house.log.alarms == ["clock_unconfirmed"]
    assert not released(house)
    assert house.visit(OTHER_CARD, WRONG_PIN) == "wrong_pin"
    assert house.visit(CARD, RIGHT_PIN) == "ok"
    house.wait(RELEASE_S + 1)
    assert not released(house)

    witness(house.clock)
    house.turn()
    assert released(house)
    assert [*kinds, house.panel.shown[-1].kind] == [Kind.IDLE, Kind.STAFFED]
    assert house.log.alarms == ["clock_unconfirmed", "clock_unconfirmed_cleared"]
    house.swipe(CARD)
    assert released(house)
    house.until(20, 0)
    assert not released(house)


def test_no_pause_where_the_door_never_stands_free() -> None:
    """Staff have a door of their own: nothing waits for a witness, and nobody is told."""
    house = House(clock=FakeClock(confirmed=False), stands_free=False)
    house.turn()
    house.until(19, 45)

    assert not house.daily.paused
    assert house.log.alarms == []


def test_no_pause_waits_for_the_first_of_the_day() -> None:
    """Who comes in staffed hours needs nobody before them, as where the door stands free."""
    house = House(
        clock=FakeClock(confirmed=False),
        rules=Rules(Policy(first_card=frozenset({"staff"})), PadRules()),
    )
    house.turn()
    assert house.visit(CARD, RIGHT_PIN) == "closed"
    house.until(19, 45)

    assert house.visit(CARD, RIGHT_PIN) == "ok"


def test_closing_warnings_sound_once_each(house: House) -> None:
    """Logged with their minutes and heard at the door."""
    house.until(21, 59)

    assert [line["minutes"] for line in house.log.named("closing")] == [15, 10, 5]
    assert [lamps.buzzer for lamps in house.signals.shown] == [True, False] * 3
    assert house.daily.mode_at(house.clock.moment()) == (SELF, True)


def test_the_house_is_counted_anew_when_it_closes(house: House) -> None:
    """Whoever looked after it found it empty."""
    house.doorway.head_count = house.doorway.head_count.after(Entered(3))
    house.until(21, 59)
    assert house.doorway.head_count.estimate == 3
    house.until(22, 0)
    assert house.doorway.head_count.estimate == 0


@pytest.mark.parametrize("has_outputs", [True, False])
def test_outputs_follow_the_mode(*, has_outputs: bool) -> None:
    """All at the start, then each at its change; where there are any."""
    there = FakeOutputs(["light", "alarm"])
    house = House(outputs=there if has_outputs else None)
    house.turn()
    assert there.on == {"light": has_outputs, "alarm": False}
    house.until(22, 0)
    assert there.on == {"light": False, "alarm": has_outputs}


def test_an_output_that_fails_is_told_once() -> None:
    """The others are switched all the same."""
    house = House()
    assert house.outputs is not None
    house.outputs.broken.add("light")
    house.turn()
    house.until(22, 0)

    assert house.on["alarm"]
    assert house.log.alarms == ["output_failing"]


@pytest.mark.parametrize("failing", ["damaged", "broken"])
def test_a_branch_that_fails_at_the_start_is_closed(failing: str) -> None:
    """Told once with the lost calendar; tried again until it answers, and then it opens.

    Also where not so much as its version can be told.
    """
    house = House()
    setattr(house.branch, failing, True)
    for _ in range(3):
        house.turn()

    assert house.mode() is Mode.CLOSED
    assert house.log.alarms == ["branch_failing", "calendar_unknown"]
    assert house.log.named("mode")[-1]["cause"] == "unknown_calendar"
    setattr(house.branch, failing, False)
    for _ in range(AGAIN_TURNS):
        house.turn()
    assert house.mode() is SELF
    assert house.log.alarms[2:] == ["branch_failing_cleared", "calendar_unknown_cleared"]


def test_a_branch_that_fails_later_leaves_its_hours(house: House) -> None:
    """An entitled patron gets in by the hours that were read last; it is told once a spell."""
    house.branch.set_days(DaySource.HOLIDAY, (), house.clock.moment(), known_until=None)
    house.branch.damaged = True
    for _ in range(3 * AGAIN_TURNS):
        house.turn()

    assert house.mode() is SELF
    assert house.log.alarms == ["branch_failing"]
    assert house.branch.reads < 6
    house.branch.damaged = False
    house.calendar = Calendar(((),) * 7)
    for _ in range(AGAIN_TURNS):
        house.turn()
    assert house.mode() is Mode.CLOSED
    house.branch.broken = True
    house.turn()
    told = ["branch_failing", "branch_failing_cleared", "branch_failing"]
    assert house.log.alarms == told


def test_what_comes_back_in_the_same_version_is_read(house: House) -> None:
    """A file that was away may be another one with the same number."""
    house.branch.broken = True
    house.turn()
    house.branch.broken = False
    house.turn()

    assert house.branch.reads == 2


@pytest.mark.parametrize("high_water", [None, datetime(2027, 1, 1, tzinfo=UTC)])
def test_a_clock_that_stays_unset_is_told_once(high_water: datetime | None) -> None:
    """Where hours can't be judged for minutes, somebody hears of it; a start's first ones don't.

    While it lags behind the known time, that stands still; the wait is told by another clock.

    Bug (attack review): a clock that lags behind the known time was never told as unset.
    """
    clock = FakeClock(vouched=False)
    clock.high_water = high_water or clock.high_water
    house = House(clock=clock)
    for alarms in (*[[]] * 3, *[["clock_untrusted_at_opening"]] * 3):
        house.turn()
        assert house.log.alarms == alarms
        house.clock.advance(200.0)


STAFFED = Calendar(((ModeSpan(Mode.STAFFED, 0, 1440),),) * 7)
COMPANY = Rules(Policy(companions_max=3), PadRules())


class DamagedForOnce(MemoryBranch):
    """A branch whose bans can't be read by the first attempt, which asks twice."""

    damaged = 2

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Fail twice."""
        if self.damaged:
            self.damaged -= 1
            raise BranchStoreError("branch.db is damaged: a row can't be read")
        return super().bans(row_key, patron_ref)


def set_mode(door: FakeDoor, mode: Mode) -> None:
    """Store another mode, as the web process does, before the loop turns."""
    until = door.clock.wall + timedelta(hours=1)
    door.branch.set_override(Override(mode, until, "threat", "anna"), door.clock.moment())


@pytest.mark.parametrize("mode", [Mode.LOCKDOWN, Mode.CLOSED])
@pytest.mark.parametrize("typed_before", range(len(RIGHT_PIN)))
def test_no_digit_after_it_opens(door: FakeDoor, mode: Mode, typed_before: int) -> None:
    """The hours are read before the card is looked at again, though no turn came in between.

    Bug (attack review): a card was judged by the old hours for up to a second after a lockdown
    was reported set.
    """
    door.present(CARD, RIGHT_PIN[:typed_before])
    set_mode(door, mode)
    door.types(RIGHT_PIN[typed_before:])
    door.work()

    assert door.reasons == ["closed"]
    assert not door.relay.edges


def test_a_card_waits_for_hours_that_are_being_read() -> None:
    """Neither let in by the old ones nor refused by them: it is judged when they are there."""
    door = FakeDoor(calendar=Calendar(((),) * 7))
    door.present(CARD)
    set_mode(door, Mode.SELF_SERVICE)
    door.types(RIGHT_PIN)
    assert door.reasons == []
    door.work()

    assert door.reasons == ["ok"]


def test_the_hours_are_read_once_for_each_change(door: FakeDoor) -> None:
    """By whomever the change is seen: a card, or the loop's turn."""
    set_mode(door, Mode.LOCKDOWN)
    door.controller.pass_time()
    door.swipe(CARD)
    door.controller.pass_time()

    assert len(door.worker.jobs) == 2


def test_a_door_that_stands_free_is_locked_as_soon_as_the_hours_are_read() -> None:
    """It waits for no further turn of the loop."""
    door = FakeDoor(calendar=STAFFED)
    assert door.relay.energised
    set_mode(door, Mode.LOCKDOWN)
    door.controller.pass_time()
    door.work()

    assert not door.relay.energised


@pytest.mark.parametrize("mode", [Mode.LOCKDOWN, Mode.CLOSED, Mode.SELF_SERVICE])
def test_a_grant_that_waits_for_the_other_door_lapses_with_the_mode(mode: Mode) -> None:
    """Only another mode that lets people in leaves it waiting."""
    inputs = FakeInputs(standing=Levels(other_door_open=True))
    door = FakeDoor(inputs=inputs, door_rules=DoorRules(interlock_wait_s=8.0))
    door.doorway.begin()
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    set_mode(door, mode)
    door.controller.pass_time()
    door.work()
    inputs.become(other_door_open=False)
    door.controller.handle(PinsTouched())
    door.wait(0.2)

    assert door.relay.energised is (mode is Mode.SELF_SERVICE)


def test_companions_come_along_after_any_other_change() -> None:
    """A mode that lets people in, once it was read, takes nothing from who was let in."""
    door = FakeDoor(rules=COMPANY)
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    set_mode(door, Mode.SELF_SERVICE)
    door.controller.pass_time()
    door.work()
    door.types("2")

    assert [line["count"] for line in door.log.named("companions")] == [2]


def test_nobody_brings_companions_while_the_branch_can_t_be_read() -> None:
    """Nobody knows whether it was closed; who was let in has the door open all the same.

    Bug (attack review): companions were let in, and a grant that waited for the other door was
    released, after the house had been closed.
    """
    door = FakeDoor(rules=COMPANY)
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    door.branch.broken = True
    door.types("2")

    assert door.log.named("companions") == []
    assert door.relay.energised


def test_companions_stay_out_after_a_branch_that_could_not_be_read_for_a_moment() -> None:
    """Whatever went wrong before, hours that are being read are waited for.

    Bug (attack review): after branch.db could not be read once, the next lockdown was not
    waited for: companions came in.
    """
    branch = DamagedForOnce()
    door = FakeDoor(rules=COMPANY, branch=branch)
    assert door.visit(CARD, RIGHT_PIN) == "fault"
    door.wait(60.0)
    door.work()
    assert door.visit(CARD, RIGHT_PIN) == "ok"
    set_mode(door, Mode.LOCKDOWN)
    door.types("2")

    assert door.log.named("companions") == []


def test_a_branch_that_can_t_be_read_refuses_and_the_loop_goes_on(door: FakeDoor) -> None:
    """Nobody knows whether a lockdown was set."""
    door.present(CARD)
    door.branch.broken = True
    door.types(RIGHT_PIN)
    assert door.reasons == ["fault"]
    door.controller.pass_time()
    door.branch.broken = False
    door.work()

    assert door.visit(CARD, RIGHT_PIN) == "ok"


@pytest.mark.parametrize("stands_free", [True, False])
def test_a_swipe_in_staffed_hours_lights_green_only_where_the_door_stands_free(
    *, stands_free: bool
) -> None:
    """Where it stays locked nothing is lit: a green lamp at a locked door would be a lie.

    Bug (attack review): a swipe in staffed hours lit green at a door that stays locked then.
    """
    door = FakeDoor(calendar=STAFFED, stands_free=stands_free)
    door.swipe(CARD)

    assert door.signals.lamps.green is stands_free
    assert door.relay.energised is stands_free
    assert not door.signals.lamps.red
    assert door.signals.lamps.buzzer is not stands_free
    assert door.reasons == []


def judged_by(door: FakeDoor) -> Mode:
    """Return what staff have stored by now, whether anybody has read it or not."""
    override = door.branch.override()
    return Mode.SELF_SERVICE if override is None else override.mode


STEPS = st.sampled_from([*Mode, "begin", "begin", "key", "key", "job", "job", "turn", "wait"])


def take(door: FakeDoor, step: Mode | str) -> None:
    """Let one thing happen."""
    if isinstance(step, Mode):
        set_mode(door, step)
    elif step == "begin":
        door.present(CARD, RIGHT_PIN[:-1])
    elif step == "key":
        # The last digit of a PIN, or how many come along.
        door.types(RIGHT_PIN[-1])
    elif step == "job" and door.worker.jobs:
        door.worker.work_once()
    elif step == "turn":
        door.controller.pass_time()
    elif step == "wait":
        door.wait(1.0)


@given(st.lists(STEPS, max_size=40))
def test_whoever_is_let_in_is_let_in_by_the_mode_that_is_stored(steps: list[Mode | str]) -> None:
    """In any order of cards, keys, changes, turns and answers; the worker lags as it likes."""
    door = FakeDoor(rules=COMPANY)
    for step in steps:
        told = len(door.log.lines)
        take(door, step)
        new = door.log.lines[told:]
        granted = any(line.get("verdict") == "granted" for line in new)
        followed = any(line["event"] == "companions" for line in new)
        assert not (granted or followed) or judged_by(door) in OPEN
    door.controller.pass_time()
    door.work()

    assert door.doorway.stands_free is (judged_by(door) is Mode.STAFFED)


def test_who_opens_a_closed_house_by_a_pass_brings_company() -> None:
    """The screen asks for them, so they are let in; a lockdown that comes between ends that.

    Bug (attack review): the company of a pass was asked for and not let in outside the hours;
    companions were not heard on the reader's line.
    """
    counts = []
    for mode in (None, Mode.LOCKDOWN):
        door = FakeDoor(rules=COMPANY, calendar=Calendar(((),) * 7))
        today = door.clock.moment().local.date()
        club = Pass(
            0,
            PassKind.ASSOCIATION,
            today,
            today,
            outside_hours=True,
            companions_max=9,
            label="chess",
        )
        door.branch.issue(club, door.clock.moment(), row_key=key_of(CARD))
        assert door.visit(CARD, RIGHT_PIN) == "ok"
        if mode is not None:
            set_mode(door, mode)
        door.controller.pass_time()
        door.work()
        door.types("5")
        counts.append([line["count"] for line in door.log.named("companions")])

    assert counts == [[5], []]


ALWAYS, SHUT = Calendar(), Calendar(((),) * 7)
BY_CARD = Rules(Policy(require_pin=False), PadRules())
LONGER = Rules(Policy(), PadRules(6))
RESIDENTS_ONLY = Rules(Policy(), PadRules())
EVERYBODY = Rules(Policy(require_resident=False), PadRules())


def reload(door: FakeDoor, rules: Rules, calendar: Calendar = ALWAYS) -> list[str]:
    """Have the door hear of other rules; the list has something once they are in force."""
    taken: list[str] = []

    def take() -> None:
        door.calendar = calendar
        taken.append("taken")

    door.controller.handle(Reloaded(rules, DayRules(), PanelRules(), take))
    return taken


def stranger(door: FakeDoor) -> None:
    """Let the card belong to somebody from elsewhere."""
    door.push({CARD: replace(resident(CARD), resident=False), OTHER_CARD: resident(OTHER_CARD)})


@pytest.mark.parametrize("typed_before", range(len(RIGHT_PIN)))
@pytest.mark.parametrize("begun_by", [RESIDENTS_ONLY, EVERYBODY])
def test_an_attempt_knows_the_policy_that_it_began_by(begun_by: Rules, typed_before: int) -> None:
    """Whichever digit it comes before, it counts from the next attempt on."""
    other, expected = (
        (EVERYBODY, ["not_resident", "ok"])
        if begun_by is RESIDENTS_ONLY
        else (RESIDENTS_ONLY, ["ok", "not_resident"])
    )
    door = FakeDoor(begun_by)
    stranger(door)
    door.present(CARD, RIGHT_PIN[:typed_before])
    taken = reload(door, other)
    door.controller.pass_time()
    assert taken == []
    door.types(RIGHT_PIN[typed_before:])
    door.work()
    door.wait(RELEASE_S)

    assert taken == ["taken"]
    door.visit(CARD, RIGHT_PIN)
    assert door.reasons == expected


def test_a_card_that_ends_an_attempt_is_judged_by_the_new_policy(door: FakeDoor) -> None:
    """Cards that follow each other without a pause don't keep it waiting."""
    door.present(CARD)
    taken = reload(door, LONGER)
    door.present(OTHER_CARD)

    assert taken == ["taken"]
    door.types(RIGHT_PIN)
    assert door.reasons == ["pin_timeout"]


def test_the_last_of_several_counts(door: FakeDoor) -> None:
    """What came before it was never in force."""
    stranger(door)
    door.swipe(CARD)
    first, last = reload(door, LONGER), reload(door, EVERYBODY)
    door.work()
    door.types(RIGHT_PIN)
    door.wait(RELEASE_S)

    assert (first, last) == ([], ["taken"])
    assert [*door.reasons, door.visit(CARD, RIGHT_PIN)] == ["not_resident", "ok"]


def test_other_hours_are_in_force_for_the_next_card(door: FakeDoor) -> None:
    """They are asked of the worker before the card is, so no card is judged by the old ones."""
    reload(door, door.rules, SHUT)

    assert door.visit(CARD, RIGHT_PIN) == "closed"


def test_who_is_being_let_in_keeps_the_time(door: FakeDoor) -> None:
    """Hours that end meanwhile lock nobody out in the middle of the doorway."""
    door.visit(CARD, RIGHT_PIN)
    reload(door, door.rules, SHUT)
    door.wait(RELEASE_S / 2)
    door.work()

    assert door.relay.energised
    door.wait(RELEASE_S)
    assert not door.relay.energised


@pytest.mark.parametrize("calendar", [ALWAYS, STAFFED])
def test_a_lockdown_goes_before_other_hours(door: FakeDoor, calendar: Calendar) -> None:
    """What staff have set stays, and the strike stays locked."""
    until = door.clock.wall.replace(hour=23)
    door.branch.set_override(Override(Mode.LOCKDOWN, until, "threat", "anna"), door.clock.moment())
    door.wait(1.0)
    door.work()
    reload(door, BY_CARD, calendar)
    door.wait(1.0)
    door.work()

    assert not door.relay.energised
    assert door.visit(CARD, RIGHT_PIN) == "closed"


RELOAD_STEPS = st.sampled_from(
    ["swipe", "other", RIGHT_PIN, WRONG_PIN, "4", "work", "wait", EVERYBODY, BY_CARD, LONGER]
)


MOST_WAITING = 4
"""Cards that come faster than they are looked up are turned away, and begin no attempt."""


TYPED_PINS = (RIGHT_PIN, WRONG_PIN)


def attempt_at(door: FakeDoor) -> int:
    """Return the number of the attempt at hand, or of the last one."""
    door.controller.pass_time()
    return door.panel.shown[-1].attempt


@given(st.lists(RELOAD_STEPS, max_size=25))
@example(["swipe", "work", BY_CARD, WRONG_PIN])
@example([BY_CARD, "swipe", EVERYBODY, "swipe", "work"])
@example(["swipe", BY_CARD, "swipe", "work", "swipe", RIGHT_PIN])
def test_whoever_comes_in_does_so_by_the_rules_of_their_card(steps: list[str | Rules]) -> None:
    """Where these ask for a PIN it was typed; and a reload by itself never moves the relay.

    Bug (a whole run of the tests): the model took a card that its reader repeats for another
    attempt, by newer rules (the harness's own mistake).
    """
    door = FakeDoor(EVERYBODY)
    newest, rules, typed = EVERYBODY, EVERYBODY, ""
    for step in (each for one in steps for each in (one if one in TYPED_PINS else (one,))):
        let_in, energised = door.reasons.count("ok"), door.relay.energised
        begun = attempt_at(door)
        match step:
            case Rules():
                newest = step
                reload(door, newest)
                assert door.relay.energised == energised
            case "swipe" | "other":
                if door.worker.backlog() >= MOST_WAITING:
                    continue
                door.swipe(CARD if step == "swipe" else OTHER_CARD)
            case "work":
                door.work()
            case "wait":
                door.wait(0.5)
            case key:
                typed += key
                door.types(key)
        if attempt_at(door) != begun:
            # A swipe, or the first digit at a card that was refused and has not left.
            rules, typed = newest, step if step in set("0123456789") else ""
        if door.reasons.count("ok") > let_in and rules.policy.require_pin:
            assert typed.startswith(RIGHT_PIN)
            assert rules.pad.pin_length == len(RIGHT_PIN)
    door.work()
    door.wait(60.0)
    assert not door.relay.energised
