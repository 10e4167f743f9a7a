"""How numbers are sealed for the pages: by the door, over its socket, and never quickly.

Bug (stranger's review): a web process that somebody has taken could try PINs by asking the door for
a pass's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.core.errors import InputError, NotRunningError, StoreError
from doorctl.core.language import DANISH, languages
from doorctl.core.masked import InstallationKey, Pin
from doorctl.doord.answers import OPENINGS, UNLOCKS, UNLOCKS_OF_ONE
from doorctl.doord.sealing import NEW_CODES, NUMBERS, OWN_PINS, Rate, Rations, sealing_answers
from doorctl.lookup.numbers import DoorsNumbers, OwnNumbers, SealedCode
from doorctl.rpc.client import ask
from doorctl.rpc.messages import Line
from doorctl.rpc.question import NOT_READ
from doorctl.rpc.server import ControlServer
from doorctl.store.sealer import ArgonSealer
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.waiting import LIMIT_S

CARD, CPR = "3000001234", "0101701234"
OWN = OwnNumbers(ArgonSealer(InstallationKey(bytes(32)), 8, 1))


@contextmanager
def door(
    directory: Path, clock: FakeClock, log: FakeEventLog | None = None
) -> Iterator[DoorsNumbers]:
    """Let a door answer on a real socket; yield who asks it."""
    answers = sealing_answers(OWN, Rations(clock.monotonic_s), log or FakeEventLog())
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


def tried(ask: Callable[[], object]) -> int:
    """Ask until it is refused; return how often it was not."""
    for number in range(100):
        try:
            ask()
        except InputError:
            return number
    pytest.fail("nothing is refused")


def test_nothing_is_tried_quickly(tmp_path: Path) -> None:
    """Each question has its limit, however often the others were asked.

    A new code's digits are told once; each is a line, with whom the pages name.
    """
    clock, log, codes = FakeClock(), FakeEventLog(), list[SealedCode]()
    reading = OWN.readings(CARD, None)[0]
    with door(tmp_path, clock, log) as numbers:
        assert tried(lambda: numbers.readings(CARD, None)) == 10
        assert tried(lambda: numbers.pin_check(CARD, reading, Pin("4711"))) == 5
        assert tried(lambda: codes.append(numbers.new_code(7, "manager1"))) == 20
        clock.advance(1.0)
        assert tried(lambda: numbers.readings(CARD, None)) == 3

    assert log.lines == [{"event": "new_code", "by": "manager1"}] * 20
    assert {len(code.digits) for code in codes} == {7}
    assert codes[0].digits not in repr(codes[0])


@pytest.mark.parametrize(
    ("rate", "at_once", "after_s"),
    [
        (NUMBERS, 10, 1 / 3),
        (OWN_PINS, 5, 10 * 7 * 86_400 / 10_000),
        (NEW_CODES, 20, 180),
        (OPENINGS, 5, 12),
        (UNLOCKS, 24, 3600),
        (UNLOCKS_OF_ONE, 3, 7 * 86_400),
    ],
)
def test_so_many_at_once_and_then_one_in_a_time(rate: Rate, at_once: int, after_s: float) -> None:
    """For each card by itself; all PINs of a known one take more than ten weeks.

    Whoever is refused reads it in Danish. A limit that is full again takes no memory.
    """
    clock = FakeClock()
    rations = Rations(clock.monotonic_s)

    assert tried(lambda: rations.take(rate)) == at_once
    assert tried(lambda: rations.take(rate, b"other")) == at_once
    clock.advance(after_s - 0.01)
    assert tried(lambda: rations.take(rate)) == 0
    clock.advance(0.2 * after_s)
    assert tried(lambda: rations.take(rate)) == 1
    assert languages(DANISH).first.words.gettext(rate.refusal) != rate.refusal
    clock.advance(30 * 86_400)
    rations.take(rate, b"third")
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


def test_an_unknown_question_tells_nothing(tmp_path: Path) -> None:
    """What is asked stands in no answer."""
    about = {"typed": CARD, "key": "zz", "pin": "1"}
    socket = tmp_path / "door.sock"
    with door(tmp_path, FakeClock()), pytest.raises(StoreError) as refusal:
        ask(socket, Line("pin_check", about), timeout_s=LIMIT_S)

    assert str(refusal.value) == NOT_READ
