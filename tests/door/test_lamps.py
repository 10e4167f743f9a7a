from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.door.lamps import (
    ALARM_S,
    CLICK_S,
    CLOSING_WARNING_S,
    EXIT_S,
    GRANTED_S,
    HELD_WARNING_S,
    PATTERNS,
    REFUSED_S,
    Indicator,
    Lamps,
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
