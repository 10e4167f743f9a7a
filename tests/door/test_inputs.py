from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.door.inputs import PROBE_S, SETTLE_S, Input, InputChanged, Inputs, Settling

QUIET = Settling(active=False, level=False, seen_s=0.0)
PRESS_S = 0.4
SPIKE_S = 0.005

Edges = list[tuple[float, bool]]


def chances() -> Random:
    """Return the same chances each time."""
    return Random(4711)  # noqa: S311 - repeatable, and no secret


def level_at(edges: Edges, now_s: float) -> bool:
    """Tell the wire's level at a time."""
    return next((level for at, level in reversed(edges) if at <= now_s), False)


def changes(edges: Edges, chance: Random | None = None, late_s: float = 0.0) -> list[bool]:
    """Wake at each edge and at each deadline, up to `late_s` late; return what counted."""
    chance = chance or chances()
    settling, counted = QUIET, list[bool]()
    wakes = [at for at, _ in edges]
    while True:
        pending = wakes[:1] if settling.deadline_s is None else [*wakes[:1], settling.deadline_s]
        if not pending:
            return counted
        now_s = min(pending) + chance.uniform(0, late_s)
        wakes = [at for at in wakes if at > now_s]
        settling = looked(settling, edges, now_s, counted)


def looked(settling: Settling, edges: Edges, now_s: float, counted: list[bool]) -> Settling:
    """Look at the wire at a time and note a change."""
    after = settling.sampled(level_at(edges, now_s), now_s)
    if after.active is not settling.active:
        counted.append(after.active)
    return after


def hum(hertz: float, duty: float, lasts_s: float) -> Edges:
    """Return the edges of a contact that follows the mains."""
    period_s = 1 / hertz
    starts = [turn * period_s for turn in range(1, round(lasts_s * hertz))]
    return [edge for at in starts for edge in ((at, True), (at + duty * period_s, False))]


def test_a_press_counts_once_it_was_seen_for_long_enough() -> None:
    """Two looks at a pressed button that are far enough apart make one change."""
    pressed = QUIET.sampled(level=True, now_s=10.0)

    assert not pressed.active
    assert pressed.deadline_s == 10.0 + PROBE_S
    assert not pressed.sampled(level=True, now_s=10.0 + SETTLE_S - 0.001).active
    settled = pressed.sampled(level=True, now_s=10.0 + SETTLE_S)
    assert settled.active
    assert settled.deadline_s is None
    assert QUIET.sampled(level=True, now_s=0.0).sampled(level=True, now_s=SETTLE_S).active


def test_a_quiet_input_asks_for_nothing() -> None:
    """The loop sleeps while nothing happens, however often it looks for other reasons."""
    assert QUIET.deadline_s is None
    assert QUIET.sampled(level=False, now_s=5.0).deadline_s is None


def test_a_look_in_the_past_adds_nothing() -> None:
    """Should time ever be told backwards, no press comes of it."""
    seen = QUIET.sampled(level=True, now_s=10.0).sampled(level=True, now_s=9.0)

    assert seen.gathered_s == 0.0
    assert seen.seen_s == 10.0


@pytest.mark.parametrize("spike_s", [0.0005, 0.001, 0.005])
@pytest.mark.parametrize("late_s", [0.0, 0.002, 0.03])
def test_a_spike_is_nothing(spike_s: float, late_s: float) -> None:
    """A welder next door opens no door, and a cable that is touched raises no alarm."""
    assert changes([(1.0, True), (1.0 + spike_s, False)], late_s=late_s) == []


@pytest.mark.parametrize("hertz", [50.0, 60.0, 100.0])
@pytest.mark.parametrize("duty", [0.1, 0.5, 0.7])
def test_hum_is_nothing(hertz: float, duty: float) -> None:
    """Seconds of mains on the wire settle on nothing."""
    assert changes(hum(hertz, duty, 5.0)) == []


@pytest.mark.parametrize("hertz", [50.0, 60.0, 100.0])
@pytest.mark.parametrize("duty", [0.1, 0.5])
def test_hum_is_nothing_even_if_no_edge_is_seen(hertz: float, duty: float) -> None:
    """Looking at the deadlines alone, wherever in a period they begin."""
    edges, counted = hum(hertz, duty, 2.0), list[bool]()
    for start_s in (1 + step / 1000 for step in range(20)):
        settling = QUIET
        for probe in range(60):
            settling = looked(settling, edges, start_s + probe * PROBE_S, counted)

    assert counted == []


@given(st.floats(PRESS_S, 5.0), st.floats(0, 0.1), st.randoms())
def test_no_press_of_400_ms_is_lost(lasts_s: float, late_s: float, chance: Random) -> None:
    """However late the loop looks, up to 100 ms, a press is one change and its end another."""
    edges = [(1.0, True), (1.0 + lasts_s, False)]

    assert changes(edges, chance, late_s) == [True, False]


@pytest.mark.parametrize("gap_s", [0.02, 0.04, 0.1])
def test_a_press_on_a_loose_wire_counts(gap_s: float) -> None:
    """Gaps of a millisecond within a press are spikes too: they hide no press of 400 ms."""
    gaps = [turn * gap_s for turn in range(1, round(PRESS_S / gap_s))]
    drops = [edge for at in gaps for edge in ((1 + at, False), (1.001 + at, True))]
    edges = [(1.0, True), *drops, (1.0 + PRESS_S, False)]

    assert changes(edges) == [True, False]


def test_bounce_at_both_ends_is_one_press() -> None:
    """A contact that bounces for 10 ms on its way down and up is pressed once."""
    bounce = [(at / 1000, at % 2 == 0) for at in range(9)]
    edges = [(1 + at, level) for at, level in bounce]
    edges += [(2 + at, not level) for at, level in bounce]

    assert changes(edges) == [True, False]


def trains(number: int, chance: Random) -> Iterator[tuple[Edges, int]]:
    """Return random trains of spikes and presses, and how many presses are in each."""
    for _ in range(number):
        edges, at_s, presses = Edges(), 1.0, 0
        for _ in range(chance.randrange(1, 12)):
            press = chance.random() < 0.3
            lasts_s = chance.uniform(PRESS_S, 2) if press else chance.uniform(1e-4, SPIKE_S)
            edges += [(at_s, True), (at_s + lasts_s, False)]
            # A release is a level too and wants its time; a spike may follow a spike closely.
            at_s += lasts_s + (chance.uniform(PRESS_S, 1) if press else chance.uniform(0.02, 0.3))
            presses += press
        yield edges, presses


def test_two_thousand_trains_of_edges() -> None:
    """Each press is heard once, no spike is, and nothing chatters, with a loop that is late."""
    chance = chances()
    for edges, presses in trains(2_000, chance):
        counted = changes(edges, chance, late_s=0.004)
        assert counted == [True, False] * presses, edges


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.2)), max_size=60))
def test_changes_take_turns_and_are_far_apart(looks: list[tuple[bool, float]]) -> None:
    """Whatever is seen, on follows off, no two changes are closer than it takes to settle."""
    settling, now_s, at = QUIET, 0.0, list[float]()
    for level, gap_s in looks:
        now_s += gap_s
        after = settling.sampled(level, now_s)
        if after.active is not settling.active:
            assert after.active is level
            at.append(now_s)
        settling = after

    assert all(second - first >= SETTLE_S - 1e-9 for first, second in pairwise(at))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.2)), max_size=60))
def test_a_level_that_stays_is_left_alone_soon(looks: list[tuple[bool, float]]) -> None:
    """After the last edge the loop is woken five times more at the most."""
    settling, now_s = QUIET, 0.0
    for level, gap_s in looks:
        now_s += gap_s
        settling = settling.sampled(level, now_s)
    for _ in range(5):
        if settling.deadline_s is not None:
            settling = settling.sampled(settling.level, settling.deadline_s)

    assert settling.deadline_s is None
    assert settling.active is settling.level


def test_the_start_is_no_change() -> None:
    """A leaf that is open, or a fire that burns, at the start is how things are."""
    inputs = Inputs.started({Input.CONTACT: True, Input.FIRE: False, Input.OTHER_DOOR: None}, 0.0)

    assert {name: one.active for name, one in inputs.wired.items()} == {
        Input.CONTACT: True,
        Input.FIRE: False,
    }
    assert inputs.deadline_s is None
    assert inputs.sampled({Input.CONTACT: True, Input.FIRE: False}, 9.0)[1] == ()


def test_each_input_settles_by_itself() -> None:
    """A change is told once, with its input and time, whatever the others do."""
    inputs = Inputs.started({Input.CONTACT: False, Input.EXIT_BUTTON: False}, 0.0)
    pressed = {Input.CONTACT: False, Input.EXIT_BUTTON: True}
    told = list[InputChanged]()
    for now_s in (1.0, 1.03, 1.05, 1.2):
        inputs, changed = inputs.sampled(pressed, now_s)
        told.extend(changed)

    assert told == [InputChanged(Input.EXIT_BUTTON, active=True, now_s=1.05)]
    assert not inputs.wired[Input.CONTACT].active


def test_the_nearest_deadline_is_the_inputs_own() -> None:
    """Two that are unsettled are looked at when the first of them wants it."""
    inputs = Inputs.started({Input.CONTACT: False, Input.FIRE: False}, 0.0)
    inputs, _ = inputs.sampled({Input.FIRE: True}, 1.0)
    inputs, _ = inputs.sampled({Input.CONTACT: True}, 1.005)

    assert inputs.deadline_s == 1.0 + PROBE_S


def test_what_is_not_wired_never_changes() -> None:
    """A level of an input that nobody configured is not taken, and none is invented."""
    inputs, changed = Inputs().sampled({Input.FIRE: True}, 1.0)

    assert changed == ()
    assert inputs.deadline_s is None


def test_an_input_that_cannot_be_read_stays_as_it_was() -> None:
    """A driver that fails for a moment closes no leaf and releases no button."""
    inputs = Inputs.started({Input.CONTACT: True}, 0.0)

    assert inputs.sampled({}, 5.0) == (inputs, ())
    assert inputs.sampled({Input.CONTACT: None}, 5.0) == (inputs, ())
