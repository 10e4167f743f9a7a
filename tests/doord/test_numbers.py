"""How numbers are sealed for the pages: by the door, over its socket, and never quickly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.core.errors import InputError, NotRunningError, StoreError
from doorctl.core.masked import InstallationKey, Pin
from doorctl.doord.answers import NUMBERS, OWN_PINS, DoorsSealing, Rate, Tokens
from doorctl.rpc.control import ControlServer, Question, ask
from doorctl.services.numbers import DoorsNumbers, OwnNumbers
from doorctl.store.keys import ArgonSealer
from tests.fakes.clock import FakeClock

CARD, CPR = "3000001234", "0101701234"
OWN = OwnNumbers(ArgonSealer(InstallationKey(bytes(32)), 8, 1))


@contextmanager
def door(directory: Path, clock: FakeClock) -> Iterator[DoorsNumbers]:
    """Let a door answer on a real socket; yield who asks it."""
    answers = {
        **DoorsSealing(OWN, clock.monotonic_s).answers(),
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
        code = numbers.new_code(7)

    assert len(code.digits) == 7
    assert code.digits not in repr(code)


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
            numbers.new_code(99)


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
        with pytest.raises(StoreError, match="too many numbers"):
            numbers.readings(CARD, None)
        clock.advance(1.0)
        for _ in range(3):
            numbers.readings(CARD, None)
        with pytest.raises(StoreError, match="too many numbers"):
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
    rate = Rate(2, 1.0)
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
