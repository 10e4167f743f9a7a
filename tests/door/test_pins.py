from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.door.pins import (
    ALARM_S,
    CLICK_S,
    CLOSING_WARNING_S,
    EXIT_S,
    GRANTED_S,
    HELD_WARNING_S,
    PATTERNS,
    PROBE_S,
    REFUSED_S,
    SETTLE_S,
    Indicator,
    Input,
    InputChanged,
    Inputs,
    Lamps,
    Settling,
    Signal,
)

OFF = Lamps()
RED = Lamps(red=True)
GREEN = Lamps(green=True)
BUZZING = Lamps(buzzer=True)

histories = st.lists(st.tuples(st.sampled_from(Signal), st.floats(0, 4)), max_size=12)


def after(history: list[tuple[Signal, float]]) -> tuple[Indicator, float]:
    """Show signals one after the other, each after a while in which time was told."""
    shown, now_s = Indicator(), 0.0
    for signal, gap_s in history:
        now_s += gap_s
        shown = shown.at(now_s).signalled(signal, now_s)
    return shown, now_s


def test_every_signal_has_a_pattern() -> None:
    """No signal is left without an answer."""
    assert set(PATTERNS) == set(Signal)


@pytest.mark.parametrize(
    ("signal", "lit", "lasts_s"),
    [
        (Signal.REFUSED, RED, REFUSED_S),
        (Signal.GRANTED, GREEN, GRANTED_S),
        (Signal.KEY, BUZZING, CLICK_S),
        (Signal.EXIT, BUZZING, EXIT_S),
        (Signal.HELD_WARNING, BUZZING, HELD_WARNING_S),
        (Signal.CLOSING_WARNING, BUZZING, CLOSING_WARNING_S),
        (Signal.ALARM, BUZZING, ALARM_S),
    ],
)
def test_a_signal_is_on_for_exactly_its_time(signal: Signal, lit: Lamps, lasts_s: float) -> None:
    """An answer lights one lamp and makes no sound of its own: the buzzer says no reason."""
    shown = Indicator().signalled(signal, 100.0)

    assert shown.lamps == lit
    assert shown.deadline_s == 100.0 + lasts_s
    assert shown.at(100.0 + lasts_s - 0.001).lamps == lit
    assert shown.at(100.0 + lasts_s) == Indicator()


def test_the_sounds_can_be_told_apart() -> None:
    """Each warning has its own length, longer than a click."""
    lengths = {PATTERNS[each].buzzer_s or 0.0 for each in SOUNDS}

    assert len(lengths) == len(SOUNDS)
    assert min(lengths) > CLICK_S


def test_a_click_and_a_lamp_end_each_in_its_own_time() -> None:
    """A click over the end of a red lamp sounds to its own end, and the lamp doesn't wait."""
    clicked = Indicator().signalled(Signal.REFUSED, 0.0).signalled(Signal.KEY, 1.98)

    assert clicked.lamps == Lamps(red=True, buzzer=True)
    assert clicked.at(2.0).lamps == BUZZING
    assert clicked.at(2.0).deadline_s == 1.98 + CLICK_S
    assert clicked.at(2.04) == Indicator()


@given(histories)
def test_a_click_is_the_same_in_every_state(history: list[tuple[Signal, float]]) -> None:
    """Whatever is lit, a key buzzes equally long and changes no lamp: it says nothing.

    Over an alarm no key is heard, whichever it was.
    """
    before, now_s = after(history)

    clicked = before.signalled(Signal.KEY, now_s)

    assert clicked.lamps == Lamps(before.lamps.green, before.lamps.red, buzzer=True)
    assert clicked.lamp_until_s == before.lamp_until_s
    assert clicked.buzzer_until_s == max(before.buzzer_until_s or 0.0, now_s + CLICK_S)


@given(histories)
def test_a_card_puts_out_the_answer_to_the_one_before(history: list[tuple[Signal, float]]) -> None:
    """The lamps of the last patron's answer are off as soon as the next card is read."""
    before, now_s = after(history)

    shown = before.signalled(Signal.CARD_READ, now_s)

    assert shown.lamps == BUZZING
    assert shown.deadline_s == max(before.buzzer_until_s or 0.0, now_s + CLICK_S)


@given(histories, st.sampled_from([(Signal.REFUSED, RED, 2.0), (Signal.GRANTED, GREEN, 3.0)]))
def test_the_latest_answer_wins(
    history: list[tuple[Signal, float]], answer: tuple[Signal, Lamps, float]
) -> None:
    """An answer shows its own lamp alone for its full time, whatever was shown before."""
    signal, lamps, lasts_s = answer
    before, now_s = after(history)

    shown = before.signalled(signal, now_s)

    assert (lamps.green, lamps.red) == (shown.lamps.green, shown.lamps.red)
    assert shown.lamps.buzzer == before.lamps.buzzer
    assert shown.lamp_until_s == now_s + lasts_s
    assert shown.at(now_s + lasts_s).lamp_until_s is None


@given(histories)
def test_idle_puts_out_the_lamps(history: list[tuple[Signal, float]]) -> None:
    """Idle shows no answer; a sound is let finish."""
    before, now_s = after(history)

    shown = before.signalled(Signal.IDLE, now_s)

    assert shown.lamps == Lamps(buzzer=before.lamps.buzzer)
    assert shown.deadline_s == before.buzzer_until_s


@given(histories)
def test_everything_is_off_after_the_last_deadline(history: list[tuple[Signal, float]]) -> None:
    """Following the deadlines one by one, three steps at the most lead into the dark."""
    shown, last_s = after(history)
    now_s = last_s
    for _ in range(3):
        if shown.deadline_s is None:
            break
        assert shown.deadline_s > now_s
        now_s = shown.deadline_s
        shown = shown.at(now_s)

    assert shown == Indicator()
    assert now_s <= last_s + max(GRANTED_S, REFUSED_S, ALARM_S)


@given(histories)
def test_nothing_is_lit_without_a_deadline(history: list[tuple[Signal, float]]) -> None:
    """What is on has an end, what is off has none, and red and green are never on together."""
    shown, _ = after(history)

    assert (shown.lamps.red or shown.lamps.green) == (shown.lamp_until_s is not None)
    assert shown.lamps.buzzer == (shown.buzzer_until_s is not None)
    assert not (shown.lamps.red and shown.lamps.green)


@given(histories, st.floats(0, 10))
def test_time_is_told_once_or_twice_with_the_same_result(
    history: list[tuple[Signal, float]], gap_s: float
) -> None:
    """Telling the time again changes nothing, and late is as good as in steps."""
    shown, now_s = after(history)
    late = shown.at(now_s + gap_s)

    assert late.at(now_s + gap_s) == late
    assert shown.at(now_s + gap_s / 2).at(now_s + gap_s) == late


SOUNDS = [Signal.EXIT, Signal.HELD_WARNING, Signal.CLOSING_WARNING, Signal.ALARM]


@given(histories, st.sampled_from([*SOUNDS, Signal.SILENCE]))
def test_what_is_said_about_the_door_leaves_the_lamps_alone(
    history: list[tuple[Signal, float]], signal: Signal
) -> None:
    """No warning and no alarm hides a refusal, or makes it last longer or shorter."""
    before, now_s = after(history)

    shown = before.signalled(signal, now_s)

    assert (shown.lamps.red, shown.lamps.green) == (before.lamps.red, before.lamps.green)
    assert shown.lamp_until_s == before.lamp_until_s


def test_a_shorter_sound_ends_no_longer_one() -> None:
    """A key or the exit button in the middle of an alarm does not silence it."""
    alarmed = Indicator().signalled(Signal.ALARM, 100.0)

    assert alarmed.signalled(Signal.KEY, 101.0).buzzer_until_s == 100.0 + ALARM_S
    assert alarmed.signalled(Signal.EXIT, 100.0 + ALARM_S).deadline_s == 100.0 + ALARM_S + EXIT_S


@given(histories)
def test_silence_ends_every_sound_at_once(history: list[tuple[Signal, float]]) -> None:
    """Nobody has to shout over the buzzer in a fire; the lamps stay as they are."""
    before, now_s = after(history)

    shown = before.signalled(Signal.SILENCE, now_s)

    assert not shown.lamps.buzzer
    assert shown.deadline_s == before.lamp_until_s


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
