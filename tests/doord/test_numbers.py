"""How numbers are sealed for the pages: by the door, over its socket, and never quickly.

Bug (stranger's review): a web process that somebody has taken could try PINs by asking the door for
a pass's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.core.errors import InputError, NotRunningError
from doorctl.core.language import DANISH, languages
from doorctl.core.masked import InstallationKey, Pin
from doorctl.doord.answers import (
    NEW_CODES,
    NUMBERS,
    OPENINGS,
    OWN_PINS,
    UNLOCKS,
    UNLOCKS_OF_ONE,
    DoorsSealing,
    Rate,
    Rations,
    Tokens,
)
from doorctl.rpc.control import ControlServer, Question, ask
from doorctl.services.numbers import DoorsNumbers, OwnNumbers
from doorctl.store.keys import ArgonSealer
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog

CARD, CPR = "3000001234", "0101701234"
OWN = OwnNumbers(ArgonSealer(InstallationKey(bytes(32)), 8, 1))


@contextmanager
def door(
    directory: Path, clock: FakeClock, log: FakeEventLog | None = None
) -> Iterator[DoorsNumbers]:
    """Let a door answer on a real socket; yield who asks it."""
    answers = {
        **DoorsSealing(OWN, Rations(clock.monotonic_s), log or FakeEventLog()).answers(),
        "seal": lambda _question: {
            "key_id": OWN.seal().key_id, "memory_kib": 8, "iterations": 1,
        },
    }  # fmt: skip
    server = ControlServer(directory / "door.sock", answers)
    server.start()
    try:
        yield DoorsNumbers(directory / "door.sock")
    finally:
        server.stop()


def test_the_door_seals_as_the_key_does(tmp_path: Path) -> None:
    """Each reading, a PIN of its own and the seal are the same on either way."""
    with door(tmp_path, FakeClock()) as numbers:
        for typed in (CARD, CPR):
            assert numbers.readings(typed, None) == OWN.readings(typed, None)
        assert numbers.readings(CPR, "cpr") == OWN.readings(CPR, "cpr")
        reading = OWN.readings(CARD, None)[0]
        pin = Pin("4711")
        assert numbers.pin_check(CARD, reading, pin) == OWN.pin_check(CARD, reading, pin)
        assert numbers.seal() == OWN.seal()


def test_a_new_code_is_known_by_its_key(tmp_path: Path) -> None:
    """Its digits are told once, and seal to the key that was told with them."""
    with door(tmp_path, FakeClock()) as numbers:
        code = numbers.new_code(7, "manager1")

    assert len(code.digits) == 7
    assert code.digits not in repr(code)


def test_codes_are_made_at_a_rate_of_their_own_and_told(tmp_path: Path) -> None:
    """However many cards were sealed meanwhile; each is a line, with whom the pages name."""
    clock, log = FakeClock(), FakeEventLog()
    with door(tmp_path, clock, log) as numbers:
        for _ in range(NUMBERS.burst):
            numbers.readings(CARD, None)
        made = [numbers.new_code(7, "manager1") for _ in range(NEW_CODES.burst)]
        with pytest.raises(InputError, match="too many codes"):
            numbers.new_code(7, "manager1")
        clock.advance(3600 / 20 + 1)
        made.append(numbers.new_code(7, "manager1"))

    assert log.lines == [{"event": "new_code", "by": "manager1"}] * len(made)


def test_a_busy_evening_of_unlocking_and_what_is_too_much() -> None:
    """Twenty-four cards at once, then one an hour; one card three times, then once a week."""
    clock = FakeClock()
    rations = Rations(clock.monotonic_s)

    assert taken(rations, UNLOCKS) == 24
    clock.advance(3601)
    assert taken(rations, UNLOCKS) == 1
    assert taken(rations, UNLOCKS_OF_ONE, b"one") == 3
    assert taken(rations, UNLOCKS_OF_ONE, b"other") == 3
    clock.advance(7 * 86_400 + 1)
    assert taken(rations, UNLOCKS_OF_ONE, b"one") == 1


def taken(rations: Rations, rate: Rate, what: bytes = b"") -> int:
    """Ask until it is refused; return how often it was taken."""
    for number in range(100):
        try:
            rations.take(rate, what)
        except InputError:
            return number
    pytest.fail("nothing is refused")


@pytest.mark.parametrize("rate", [NEW_CODES, NUMBERS, OPENINGS, OWN_PINS, UNLOCKS, UNLOCKS_OF_ONE])
def test_whoever_is_refused_reads_it_in_danish(rate: Rate) -> None:
    """The sentence comes from the door, and the page knows it."""
    assert languages(DANISH).first.words.gettext(rate.refusal) != rate.refusal


def test_rations_of_long_ago_take_no_memory() -> None:
    """A limit that is full again is forgotten, so that years of cards cost nothing."""
    clock = FakeClock()
    rations = Rations(clock.monotonic_s)
    for number in range(100):
        rations.take(UNLOCKS_OF_ONE, bytes([number]))
    clock.advance(22 * 86_400)
    rations.take(UNLOCKS)

    assert len(rations.left) == 1


@pytest.mark.parametrize("typed", ["", "x", "12", "0101701234 0101701234"])
def test_what_is_no_number_is_refused_here(tmp_path: Path, typed: str) -> None:
    """The door is not asked, and the line does not repeat what was typed."""
    with pytest.raises(InputError, match="that is no card number"):
        DoorsNumbers(tmp_path / "nobody").readings(typed, None)


def test_a_reading_of_something_else_has_no_pin(tmp_path: Path) -> None:
    """The key must be one of what was typed; a PIN has digits only; a code a length."""
    with door(tmp_path, FakeClock()) as numbers:
        other = OWN.readings(CARD, None)[0]
        with pytest.raises(InputError, match="not of what was typed"):
            numbers.pin_check(CPR, other, Pin("4711"))
        with pytest.raises(InputError, match="digits only"):
            numbers.pin_check(CARD, other, Pin("47x1"))
        with pytest.raises(InputError, match="a code has"):
            numbers.new_code(99, "manager1")


def test_a_door_that_is_away_is_named(tmp_path: Path) -> None:
    """Nothing is sealed, and whoever asks is told who does not answer."""
    with pytest.raises(NotRunningError, match="the door process does not answer"):
        DoorsNumbers(tmp_path / "door.sock").readings(CARD, None)


def test_numbers_are_not_tried_quickly(tmp_path: Path) -> None:
    """After a burst it is three a second, however many ask."""
    clock = FakeClock()
    with door(tmp_path, clock) as numbers:
        for _ in range(NUMBERS.burst):
            numbers.readings(CARD, None)
        with pytest.raises(InputError, match="too many numbers"):
            numbers.readings(CARD, None)
        clock.advance(1.0)
        for _ in range(3):
            numbers.readings(CARD, None)
        with pytest.raises(InputError, match="too many numbers"):
            numbers.readings(CARD, None)


def test_pins_are_hardly_tried_at_all() -> None:
    """All PINs of a known card take more than ten weeks of asking."""
    tokens: Tokens | None = Tokens(OWN_PINS, OWN_PINS.burst, 0.0)
    asked, now_s = 0, 0.0
    while asked < 100:
        assert tokens is not None
        after = tokens.taken(now_s)
        if after is None:
            now_s += 60
        else:
            tokens, asked = after, asked + 1

    assert now_s / asked * 10_000 > 10 * 7 * 24 * 3600 * 0.9


def test_a_clock_that_falls_gives_nothing() -> None:
    """Tokens come by time that passes, and never beyond the burst."""
    rate = Rate(2, 1.0, "")
    full = Tokens(rate, 2.0, 100.0)

    assert full.taken(1e9) == Tokens(rate, 1.0, 1e9)
    assert full.taken(50.0) == Tokens(rate, 1.0, 50.0)
    assert Tokens(rate, 0.5, 100.0).taken(100.4) is None


def test_an_unknown_question_tells_nothing(tmp_path: Path) -> None:
    """What is asked stands in no answer."""
    about = {"typed": CARD, "key": "zz", "pin": "1"}
    socket = tmp_path / "door.sock"
    with door(tmp_path, FakeClock()), pytest.raises(InputError) as refusal:
        ask(socket, Question("pin_check", about), timeout_s=5.0)

    assert str(refusal.value) == "that is no key"
