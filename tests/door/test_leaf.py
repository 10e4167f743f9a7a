"""Leaves in every state, and the events that are told them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from typing import get_args, get_type_hints

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from doorctl.config.tables import Door
from doorctl.door.head_count import HeadCount
from doorctl.door.leaf import (
    ALARMS,
    GRACE_S,
    TRANSITIONS,
    Alarm,
    AlarmCleared,
    AlarmRaised,
    ContactChanged,
    Entered,
    FireChanged,
    FireReported,
    HeldWarned,
    Leaf,
    LeafEffect,
    LeafEvent,
    LeafState,
    Left,
    NoEntry,
    Passed,
    Released,
    Relocked,
    Started,
    after,
)
from doorctl.door.strike import (
    ExitPressed,
    Freed,
    Granted,
    ShutDown,
    Strike,
    StrikeEvent,
    TimePassed,
    Unfreed,
)

HELD_S = 30.0
WARN_S = 10.0
RULES = Door(held_open_s=HELD_S, prewarn_s=WARN_S)
FREE_EXIT = replace(RULES, exit_is_free=True)

RELEASE = Released(10.0, 15.0)
EXIT = Released(10.0, 15.0, persons=0)
FIRE, NO_FIRE = FireChanged(active=True), FireChanged(active=False)
CLOSED_AT_START = Started(open=False, now_s=0.0)


def opened(now_s: float) -> ContactChanged:
    """Return the leaf's opening."""
    return ContactChanged(open=True, now_s=now_s)


def closed(now_s: float) -> ContactChanged:
    """Return the leaf's closing."""
    return ContactChanged(open=False, now_s=now_s)


def told(
    *events: LeafEvent, rules: Door = RULES, leaf: Leaf | None = None
) -> tuple[Leaf, list[LeafEffect]]:
    """Tell events to a leaf that has just started closed; return it and all effects."""
    leaf = after(Leaf(), CLOSED_AT_START, rules)[0] if leaf is None else leaf
    effects = list[LeafEffect]()
    for event in events:
        leaf, more = after(leaf, event, rules)
        effects.extend(more)
    return leaf, effects


def leaf_after(*events: LeafEvent, rules: Door = RULES) -> Leaf:
    """Return the leaf alone."""
    return told(*events, rules=rules)[0]


def every_leaf() -> Iterable[Leaf]:
    """Return leaves in every state, by every way into it, as they are at 14 s."""
    yield Leaf()
    yield leaf_after()
    yield leaf_after(Released(9.0, 13.5), Relocked(13.5))
    yield after(Leaf(), RELEASE, RULES)[0]
    for before in ((), (FIRE,)):
        yield leaf_after(*before, RELEASE)
        yield leaf_after(*before, EXIT)
        yield leaf_after(*before, Freed(10.0))
        yield leaf_after(*before, RELEASE, opened(11.0))
        yield leaf_after(*before, Released(9.0, 12.0), opened(11.0), Relocked(12.0))
        yield leaf_after(*before, Released(-20.0, -15.0), opened(-18.0), TimePassed(13.0))
        yield leaf_after(
            *before, Released(-20.0, -15.0), opened(-18.0), TimePassed(13.0), Released(13.0, 18.0)
        )
        yield leaf_after(*before, Freed(10.0), opened(11.0))
        yield leaf_after(*before, opened(11.0))
        yield leaf_after(*before, opened(11.0), Released(12.0, 17.0))


EVENTS: tuple[LeafEvent, ...] = (
    Started(open=None, now_s=14.0),
    Started(open=False, now_s=14.0),
    Started(open=True, now_s=14.0),
    opened(14.0),
    closed(14.0),
    Released(14.0, 19.0),
    Released(14.0, 19.0, persons=0),
    Relocked(14.0),
    Freed(14.0),
    Unfreed(14.0),
    FIRE,
    NO_FIRE,
    TimePassed(14.0),
    TimePassed(60.0),
    ShutDown(),
)


HELD_RAISED, HELD_CLEARED = AlarmRaised(Alarm.HELD), AlarmCleared(Alarm.HELD)
BURNS, OVER = FireReported(active=True), FireReported(active=False)
FORCED_RAISED, FORCED_CLEARED = AlarmRaised(Alarm.FORCED), AlarmCleared(Alarm.FORCED)


def test_every_event_has_its_answer_in_every_state() -> None:
    """No pair of state and event is left out of the table."""
    assert set(TRANSITIONS) == set(product(LeafState, get_args(LeafEvent)))


def test_every_step_takes_the_event_of_its_row() -> None:
    """The table calls a step with its row's event unchecked, so the annotations must agree."""
    for (_, event), transition in TRANSITIONS.items():
        _, takes, *_ = get_type_hints(transition.step).values()
        assert issubclass(event, takes), transition.step


def test_the_table_says_where_each_transition_leads() -> None:
    """Every state that the table names is reached by it, and no other."""
    seen: dict[tuple[LeafState, type[LeafEvent]], set[LeafState]] = {}
    for leaf, event, rules in product(every_leaf(), EVENTS, (RULES, FREE_EXIT)):
        stepped, _ = TRANSITIONS[leaf.state, type(event)].step(leaf, event, rules)
        seen.setdefault((leaf.state, type(event)), set()).add(stepped.state)

    assert seen == {pair: set(transition.to) for pair, transition in TRANSITIONS.items()}


LOCKED, RELEASED, OPEN, HELD, FORCED = LeafState
LATE = 15.0 + GRACE_S - 0.01
"""Just before an opening is explained no more."""

SAID = {
    "a visit": "grant@10 open@12 close@14 lock@15 time@99 -> in locked",
    "a release ends by its time alone": "grant@10 time@15 -> locked",
    "and nobody came in": "grant@10 time@99 -> nobody locked",
    "a pull at the last moment": "grant@10 open@14.99 lock@15 -> in open",
    "a pull as it locks": "grant@10 lock@15 open@15 -> in open",
    "a contact that settles late": "grant@10 lock@15 open@15.99 -> in open",
    "an exit that nobody uses": "exit@10 lock@15 time@99 -> locked",
    "the exit button explains an opening": "exit@10 open@12 -> out open",
    "the exit button at an open leaf": "grant@10 open@12 exit@20 -> in out open",
    "a grant while it stands open begins its whole time anew": (
        "grant@10 open@12 grant@20 lock@25 time@50 -> in in held held"
    ),
    "forced once while it stands open, however long": (
        "open@11 open@12 time@1e6 -> forced pass forced"
    ),
    "and cleared once when it closes": (
        "open@11 close@1e6 close@1e6 -> forced pass forced_over locked"
    ),
    "having been forced explains nothing": (
        "open@11 close@12 open@12.1 -> forced pass forced_over forced pass forced"
    ),
    "the alarm of a forced leaf stands until it closes, then the release goes on": (
        "open@11 grant@12 close@13 -> forced pass in forced_over released"
    ),
    "and ends as any other": (
        "open@11 grant@12 close@13 open@18 -> forced pass in forced_over forced pass forced"
    ),
    "a leaf that slams may spring back before it latches": (
        "grant@10 open@11 lock@15 close@20 open@20.3 -> in pass open"
    ),
    "but not for long": "grant@10 open@11 lock@15 close@21 open@22 -> in forced pass forced",
    "too late for the warning": "grant@10 open@12 time@99 -> in held held",
    "a closing that a late loop takes first": (
        "grant@10 open@12 close@99 -> in held held_over locked"
    ),
    "companions walk in with the first": "grant@10 bring3@11 open@12 -> in4 open",
    "one comes and one goes": "grant@10 exit@10 open@12 -> in out open",
    "the second opening is somebody unknown": "grant@10 open@11 close@12 open@13 -> in pass open",
    "who leaves leaves once": "exit@10 open@11 close@12 open@13 -> out pass open",
    "a grant after the closing is another visit": (
        "grant@10 open@11 close@12 grant@13 open@14 -> in in open"
    ),
    "a release that is not used and then forced": "grant@10 open@99 -> nobody forced pass forced",
    "a strike that locks early": "grant@10 lock@13 open@14 -> nobody forced pass forced",
    "in staffed hours nothing is forced or held": (
        "free@10 open@11 time@90000 close@90000 open@91000 -> pass pass open"
    ),
    "staffed hours end a forced leaf's alarm": (
        "open@11 free@60 close@61 -> forced pass forced_over released"
    ),
    "and a held one's": "grant@10 open@12 time@50 free@60 close@61 -> in held held_over released",
    "when staff go an open leaf has its time": (
        "free@10 open@11 unfree@1000 time@1030 -> pass held held"
    ),
    "and a card is a visit again": (
        "free@10 unfree@1000 grant@1001 open@1002 time@2000 -> in held held"
    ),
    "staffed hours explain an opening after them": (
        "free@10 grant@12 unfree@1000 open@1000.5 -> pass open"
    ),
    "a restart with the door propped open is no break-in": "start_open@100 time@130 -> held held",
    "in a fire nobody is warned": "fire grant@10 open@12 time@35 -> fire in open",
    "a fire is known through a restart": "fire stop start@20 open@21 -> fire pass forced",
    "a release that nobody uses is told once": "grant@10 lock@15 time@16 time@17 -> nobody locked",
    "not while a late opening can be meant": "grant@10 lock@15 time@15.9 -> locked",
    "a wire that is cut is one alarm, then quiet": (
        "open@11 time@86400 time@172800 time@1e6 -> forced pass forced"
    ),
    "held where a release explains it": "grant@10 open@12 time@86400 time@1e6 -> in held held",
    "a card in staffed hours expects nobody": "free@10 grant@12 time@99 lock@99 -> released",
    "beside an open leaf too": "free@10 open@11 grant@12 time@99 lock@99 -> pass open",
    "a pulse outlasts staffed hours": "grant@10 free@11 unfree@12 open@14 -> pass open",
    "one that was given in them too": "free@9 grant@10 unfree@12 open@14 -> pass open",
    "and no longer": "free@9 grant@10 unfree@12 time@14.9 -> released",
    "to its very end": "grant@10 free@11 unfree@12 time@15 -> locked",
    "a start under an alarm tells it no second time": (
        "open@11 stop start_open@50 -> forced pass forced"
    ),
    "and clears it where the leaf is closed by now": (
        "open@11 stop start@50 -> forced pass forced_over locked"
    ),
    "what was forced and over in a fire is never told": (
        "fire open@11 close@200 fire_over -> fire pass fire_over locked"
    ),
    "nor what was held": (
        "fire grant@10 open@12 time@99 close@200 fire_over -> fire in fire_over locked"
    ),
}
"""Each event at its second, then what is said of it all, and how the leaf is at the end.

A grant, and the way out by the exit button, are releases of five seconds.
"""

TOLD_AT: dict[str, Callable[[float], LeafEvent]] = {
    "grant": lambda now_s: Released(now_s, now_s + 5.0),
    "bring3": lambda now_s: Released(now_s, now_s + 5.0, persons=3),
    "exit": lambda now_s: Released(now_s, now_s + 5.0, persons=0),
    "lock": Relocked,
    "open": opened,
    "close": closed,
    "free": Freed,
    "unfree": Unfreed,
    "time": TimePassed,
    "start": lambda now_s: Started(open=False, now_s=now_s),
    "start_open": lambda now_s: Started(open=True, now_s=now_s),
    "stop": lambda _: ShutDown(),
    "fire": lambda _: FIRE,
    "fire_over": lambda _: NO_FIRE,
}
WORDS: dict[LeafEffect, str] = {
    Entered(1): "in", Entered(4): "in4", Left(): "out", Passed(): "pass", NoEntry(): "nobody",
    FORCED_RAISED: "forced", FORCED_CLEARED: "forced_over",
    HELD_RAISED: "held", HELD_CLEARED: "held_over", BURNS: "fire", OVER: "fire_over",
}  # fmt: skip


@pytest.mark.parametrize("story", SAID.values(), ids=SAID)
def test_what_is_said(story: str) -> None:
    """Whoever comes or goes is counted once; one alarm for each fault; a deadline counts first."""
    events, said = story.split(" -> ")
    named = (event.partition("@") for event in events.split())
    leaf, effects = told(*(TOLD_AT[name](float(at or 0)) for name, _, at in named))

    assert [*(WORDS[effect] for effect in effects), leaf.state.value] == said.split()


def test_where_the_way_out_is_free_nothing_is_forced() -> None:
    """Without an exit button the handle inside looks like force: it counts as leaving."""
    leaf, effects = told(opened(11.0), TimePassed(11.0 + HELD_S), rules=FREE_EXIT)

    assert leaf.state is HELD
    assert effects == [Left(), HELD_RAISED]


def test_a_leaf_that_is_held_is_warned_of_alarmed_and_cleared_once_each() -> None:
    """Warning, alarm and clear at their times, which count from the opening."""
    leaf, effects = told(RELEASE, opened(12.0), Relocked(15.0))
    assert leaf.deadline_s == 12.0 + HELD_S - WARN_S

    leaf, effects = told(TimePassed(31.9), TimePassed(32.0), TimePassed(32.1), leaf=leaf)
    assert effects == [HeldWarned()]
    assert leaf.deadline_s == 12.0 + HELD_S

    leaf, effects = told(TimePassed(41.9), TimePassed(42.0), TimePassed(1e6), leaf=leaf)
    assert effects == [HELD_RAISED]
    assert leaf.deadline_s is None
    assert leaf.sounding

    leaf, effects = told(closed(1e6), TimePassed(2e6), leaf=leaf)
    assert (leaf, effects) == (leaf_after(), [HELD_CLEARED])


def test_no_warning_is_asked_for() -> None:
    """With 0 seconds the alarm comes without one."""
    rules = replace(RULES, prewarn_s=0.0)
    leaf, effects = told(RELEASE, opened(12.0), TimePassed(41.9), rules=rules)

    assert effects == [Entered(1)]
    assert leaf.deadline_s == 12.0 + HELD_S


def test_who_needs_more_time_gets_it_once() -> None:
    """A longer time is of one release, never shorter than the rules', and gone with the next."""
    slow = Released(10.0, 30.0, held_open_s=90.0)
    leaf, _ = told(slow, opened(12.0))
    assert leaf.held_s == 12.0 + 90.0

    again, _ = told(closed(29.0), Relocked(30.0), TimePassed(40.0), leaf=leaf)
    assert told(Released(41.0, 46.0), opened(42.0), leaf=again)[0].held_s == 42.0 + HELD_S
    assert leaf_after(Released(10.0, 15.0, held_open_s=1.0), opened(12.0)).held_s == 42.0


def test_the_end_of_staffed_hours_ends_no_pulse() -> None:
    """Told where nothing is free, it changes nothing."""
    for leaf in (leaf_after(), leaf_after(RELEASE), leaf_after(RELEASE, opened(11.0))):
        assert told(Unfreed(12.0), leaf=leaf) == (leaf, [])


def test_a_stop_expects_nobody() -> None:
    """After it nothing is due or missed; what is wired and what burns stays known."""
    for leaf in every_leaf():
        stopped, effects = told(ShutDown(), leaf=leaf)
        assert (stopped.deadline_s, stopped.persons, effects) == (None, 0, [])
        assert (stopped.contact, stopped.fire) == (leaf.contact, leaf.fire)


@pytest.mark.parametrize("start", [[], [Started(open=None, now_s=0.0)]])
def test_without_a_contact_it_is_locked_or_released(start: list[LeafEvent]) -> None:
    """Nothing is seen, so nothing is alarmed, missed or counted; a stray edge means nothing."""
    leaf, effects = told(*start, RELEASE, opened(11.0), leaf=Leaf())
    assert (leaf.state, effects) == (RELEASED, [])

    leaf, effects = told(Relocked(15.0), opened(15.5), TimePassed(99.0), leaf=leaf)
    assert (leaf, effects) == (Leaf(), [])


FORCING: list[LeafEvent] = [opened(11.0)]
HOLDING: list[LeafEvent] = [RELEASE, opened(12.0), TimePassed(99.0)]


def alarms(effects: list[LeafEffect]) -> list[LeafEffect]:
    """Return what is said of alarms."""
    return [it for it in effects if isinstance(it, AlarmRaised | AlarmCleared)]


def test_a_fire_is_put_on_record_once() -> None:
    """Each change of the input is told, a repetition isn't, whatever the leaf does."""
    for leaf in every_leaf():
        burning, effects = told(FIRE, FIRE, leaf=told(NO_FIRE, leaf=leaf)[0])
        assert effects == [BURNS]
        assert burning.state is leaf.state
        assert told(NO_FIRE, NO_FIRE, leaf=burning)[1][:1] == [OVER]


@pytest.mark.parametrize(("way", "alarm"), [(FORCING, Alarm.FORCED), (HOLDING, Alarm.HELD)])
def test_in_a_fire_nothing_is_alarmed_until_it_is_over(way: list[LeafEvent], alarm: Alarm) -> None:
    """Who flees makes no noise; if the leaf still stands so afterwards, it is told once."""
    leaf, effects = told(FIRE, *way)
    assert alarms(effects) == []
    assert not leaf.sounding

    leaf, effects = told(NO_FIRE, NO_FIRE, leaf=leaf)
    assert effects == [OVER, AlarmRaised(alarm)]
    assert told(closed(200.0), leaf=leaf)[1] == [AlarmCleared(alarm)]


@pytest.mark.parametrize(("way", "alarm"), [(FORCING, Alarm.FORCED), (HOLDING, Alarm.HELD)])
def test_what_was_raised_before_the_fire_is_cleared_in_it(
    way: list[LeafEvent], alarm: Alarm
) -> None:
    """A clear is news that helps; the fire silences the alarm and hides no all-clear."""
    leaf, effects = told(*way, FIRE)
    assert alarms(effects) == [AlarmRaised(alarm)]
    assert not leaf.sounding

    assert told(closed(200.0), NO_FIRE, leaf=leaf)[1] == [AlarmCleared(alarm), OVER]
    back, effects = told(NO_FIRE, leaf=leaf)
    assert back.sounding
    assert effects == [OVER]


# To the last field: what an event leaves behind is what the next one is judged by.

SLOW = Released(12.0, 14.0, held_open_s=90.0)


def open_since(now_s: float, released_s: float | None = None) -> Leaf:
    """Return a leaf that has its whole time from then on."""
    held_s = now_s + HELD_S
    return Leaf(
        OPEN,
        contact=True,
        released_s=released_s,
        warn_s=held_s - WARN_S,
        held_s=held_s,
    )


@pytest.mark.parametrize(
    ("events", "leaf"),
    [
        ([RELEASE, opened(12.0)], open_since(12.0, 15.0)),
        ([EXIT, opened(12.0)], open_since(12.0, 15.0)),
        (
            [RELEASE, opened(12.0), closed(13.0)],
            Leaf(RELEASED, contact=True, released_s=15.0),
        ),
        ([Freed(10.0), Unfreed(1000.0)], Leaf(contact=True, released_s=1000.0)),
        ([Freed(10.0), opened(11.0), Unfreed(1000.0)], open_since(1000.0)),
        ([opened(11.0), SLOW, Relocked(14.0), closed(20.0)], Leaf(contact=True)),
        ([RELEASE, Relocked(15.0), TimePassed(16.0)], Leaf(contact=True)),
        ([opened(11.0), ShutDown(), Started(open=False, now_s=50.0)], Leaf(contact=True)),
        ([RELEASE, opened(12.0), closed(15.0)], Leaf(contact=True, released_s=15.0)),
        (
            [RELEASE, opened(11.0), Relocked(13.0), closed(13.5)],
            Leaf(contact=True, released_s=13.5),
        ),
    ],
)
def test_nothing_is_left_of_what_is_over(events: list[LeafEvent], leaf: Leaf) -> None:
    """No passage, deadline or longer time of one visit is there at the next one."""
    assert leaf_after(*events) == leaf


def test_a_release_just_after_a_boot_is_no_longer_than_any() -> None:
    """The monotonic clock may begin at nothing."""
    assert after(Leaf(contact=True), Released(0.0, 0.5), RULES)[0].deadline_s == 0.5


@pytest.mark.parametrize("way", [[RELEASE, TimePassed(99.0)], [Freed(10.0)], [Freed(10.0), FIRE]])
def test_a_fire_outlasts_what_the_leaf_does(way: list[LeafEvent]) -> None:
    """Neither a visit that nobody made nor staffed hours put it out."""
    assert leaf_after(FIRE, *way).fire is True


LEFT, PASSED = Left(), Passed()


def entered(persons: int = 1) -> Entered:
    """Return an opening after grants to so many."""
    return Entered(persons)


@pytest.mark.parametrize(
    ("before", "passages", "low", "estimate", "high"),
    [
        pytest.param(0, [], 0, 0, 0, id="at first nobody, for certain"),
        pytest.param(0, [entered(), entered(3), LEFT], 2, 3, 5, id="in and out"),
        pytest.param(0, [entered(), entered()], 2, 2, 4, id="a friend behind each"),
        pytest.param(3, [LEFT], 1, 2, 2, id="two leave by one opening"),
        pytest.param(0, [LEFT, LEFT], 0, 0, 2, id="out of an empty house"),
        pytest.param(2, [PASSED], 1, 2, 3, id="no direction"),
    ],
)
def test_each_opening_counts_and_may_hide_one_more(
    before: int, passages: list[Entered | Left | Passed], low: int, estimate: int, high: int
) -> None:
    """A contact sees no second person, and never fewer than nobody are inside."""
    count = HeadCount(before)
    for passage in passages:
        count = count.after(passage)

    assert (count.low, count.estimate, count.high) == (low, estimate, high)


class House(RuleBasedStateMachine):
    """A house in which each opening lets at most one person pass who was not told."""

    def __init__(self) -> None:
        super().__init__()
        self.count = HeadCount()
        self.inside = 0

    @rule(persons=st.integers(1, 10), another=st.booleans())
    def enter(self, persons: int, another: bool) -> None:
        """Let somebody in, and perhaps a stranger behind."""
        self.count = self.count.after(entered(persons))
        self.inside += persons + another

    @rule(another=st.booleans())
    def leave(self, another: bool) -> None:
        """Let somebody out who is there."""
        if self.inside:
            self.count = self.count.after(LEFT)
            self.inside = max(0, self.inside - 1 - another)

    @rule(change=st.sampled_from([-1, 0, 1]))
    def pass_unseen(self, change: int) -> None:
        """Open the leaf in an unknown direction."""
        self.count = self.count.after(PASSED)
        self.inside = max(0, self.inside + change)

    @rule()
    def close(self) -> None:
        """Close the house; everybody goes."""
        self.count, self.inside = HeadCount(), 0

    @invariant()
    def the_truth_lies_within(self) -> None:
        """The bounds hold however people come and go, and the estimate lies between them."""
        assert 0 <= self.count.low <= self.inside <= self.count.high
        assert self.count.low <= self.count.estimate <= self.count.high


TestHouse = House.TestCase
TestHouse.settings = settings(stateful_step_count=40)


gaps = st.floats(0, 12)
RELEASE_S = 5.0


class Doorway(RuleBasedStateMachine):
    """A strike, the leaf behind it and a contact that does whatever it likes."""

    @initialize(
        contact=st.booleans(),
        is_open=st.booleans(),
        exit_is_free=st.booleans(),
        warns=st.booleans(),
    )
    def start(self, *, contact: bool, is_open: bool, exit_is_free: bool, warns: bool) -> None:
        """Begin, with or without a contact and a way out that is free."""
        prewarn_s = 5.0 if warns else 0.0
        self.wanted = Door(held_open_s=20.0, prewarn_s=prewarn_s, exit_is_free=exit_is_free)
        self.leaf, self.strike = Leaf(), Strike()
        self.now_s = 0.0
        self.wired, self.open = contact, contact and is_open
        self.fire = self.free = False
        self.standing: Alarm | None = None
        self.granted = self.entered = self.openings = self.exits = self.passages = 0
        self.warned = False
        self._take(Started(is_open if contact else None, 0.0))

    def _take(self, event: LeafEvent) -> None:
        self.leaf, effects = after(self.leaf, event, self.wanted)
        for effect in effects:
            self._note(effect)

    def _note(self, effect: LeafEffect) -> None:
        match effect:
            case AlarmRaised(alarm=alarm):
                assert self.standing is None
                assert not self.fire
                assert not self.free
                assert not (alarm is Alarm.FORCED and self.wanted.exit_is_free)
                self.standing = alarm
            case AlarmCleared(alarm=alarm):
                assert self.standing is alarm
                self.standing = None
            case HeldWarned():
                assert (self.warned, self.fire, self.free) == (False, False, False)
                self.warned = True
            case Entered(persons=persons):
                self.entered += persons
            case NoEntry():
                assert self.granted > self.entered
                self.entered = self.granted
            case Left() | Passed():
                self.passages += 1
            case FireReported(active=active):
                assert active is self.fire

    def _pass(self, gap_s: float) -> None:
        self.now_s += gap_s
        self._drive(TimePassed(self.now_s))
        self._take(TimePassed(self.now_s))

    def _drive(self, event: StrikeEvent) -> None:
        was = self.strike.energised
        self.strike = self.strike.after(event)
        if was and not self.strike.energised:
            self._take(Relocked(self.now_s))

    @rule(gap_s=gaps, persons=st.integers(1, 4), held_open_s=st.sampled_from([0.0, 40.0]))
    def grant(self, gap_s: float, persons: int, held_open_s: float) -> None:
        """Let somebody in."""
        self._pass(gap_s)
        self._drive(Granted(self.now_s, RELEASE_S))
        self.granted += 0 if self.free else persons
        self.warned = False
        self._take(Released(self.now_s, self.strike.until_s or 0.0, persons, held_open_s))

    @rule(gap_s=gaps)
    def leave(self, gap_s: float) -> None:
        """Press the button inside."""
        self._pass(gap_s)
        self._drive(ExitPressed(self.now_s, RELEASE_S))
        self.exits += 1
        self.warned = False
        self._take(Released(self.now_s, self.strike.until_s or 0.0, persons=0))

    @rule(gap_s=gaps, is_open=st.booleans())
    def move(self, gap_s: float, is_open: bool) -> None:
        """Open or close the leaf, or the wire."""
        self._pass(gap_s)
        self.openings += is_open and not self.open
        self.open = is_open and self.wired
        self.warned = False
        strike = self.strike
        self._take(ContactChanged(is_open, self.now_s))
        assert self.strike is strike

    @rule(gap_s=gaps, active=st.booleans())
    def burn(self, gap_s: float, active: bool) -> None:
        """Activate the fire input or not."""
        self._pass(gap_s)
        self.fire = active
        self._take(FireChanged(active))

    @rule(gap_s=gaps, freed=st.booleans())
    def change_mode(self, gap_s: float, freed: bool) -> None:
        """Begin or end staffed hours."""
        self._pass(gap_s)
        self.free, self.warned = freed, False
        event = Freed(self.now_s) if freed else Unfreed(self.now_s)
        if freed:
            self.entered = self.granted
        self._drive(event)
        self._take(event)

    @rule(gap_s=gaps)
    def pass_time(self, gap_s: float) -> None:
        """Wait."""
        self._pass(gap_s)

    @rule()
    def wake_at_the_deadline(self) -> None:
        """Wake exactly when the leaf asked to be woken."""
        if self.leaf.deadline_s is not None:
            self._pass(max(0.0, self.leaf.deadline_s - self.now_s))

    @rule()
    def restart(self) -> None:
        """Stop the daemon, and start it with the leaf as it is."""
        self._drive(ShutDown())
        self._take(ShutDown())
        self.entered, self.free, self.warned = self.granted, False, False
        self._take(Started(self.open if self.wired else None, self.now_s))

    @invariant()
    def it_is_open_if_the_contact_says_so(self) -> None:
        """Without a contact never; with one whenever, and in no other case."""
        shown = self.leaf.state not in {LeafState.LOCKED, LeafState.RELEASED}
        assert shown == self.open

    @invariant()
    def an_alarm_stands_while_its_state_does(self) -> None:
        """Raised once, cleared once; only a fire keeps one back."""
        if not self.fire:
            assert self.standing is ALARMS.get(self.leaf.state)
        assert self.leaf.raised == (self.standing is not None)
        assert self.leaf.sounding == (self.standing is not None and not self.fire)

    @invariant()
    def nobody_is_invented(self) -> None:
        """No more enter than were granted, and each opening or exit is counted once."""
        assert self.entered <= self.granted
        assert self.passages <= self.openings + self.exits

    @invariant()
    def whatever_is_due_ends(self) -> None:
        """Four deadlines later nothing is pending, and nothing is released but what is free."""
        leaf = self.leaf
        for _ in range(4):
            if leaf.deadline_s is not None:
                leaf, _ = after(leaf, TimePassed(leaf.deadline_s), self.wanted)
        assert leaf.deadline_s is None
        assert (leaf.state is LeafState.RELEASED) == (leaf.free and not self.open)

    @invariant()
    def it_is_released_as_long_as_the_strike(self) -> None:
        """Where the leaf is closed, it says what the strike does."""
        if not self.open:
            assert (self.leaf.state is LeafState.RELEASED) == self.strike.energised


TestDoorway = Doorway.TestCase
TestDoorway.settings = settings(stateful_step_count=40)
