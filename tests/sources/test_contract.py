"""What every library system keeps to: FBS, SIP2 and the fake that other tests use."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from doorctl.access.messages import LibraryAnswer, LibraryPatron, LibraryReply
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Pin
from tests.sources.stages import BIRTHDAY, BRIEF_S, PATIENT_S, STAGES, Stage, card

CARD, PIN = "3000001234", "4711"

SetUp = Callable[..., Stage]


@pytest.fixture(params=STAGES)
def set_up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SetUp]:
    """Return a function that sets up one library system."""
    with ExitStack() as stack:
        yield lambda timeout_s=PATIENT_S: stack.enter_context(
            STAGES[request.param](tmp_path, timeout_s)
        )


@pytest.fixture
def stage(set_up: SetUp) -> Stage:
    """A library system that knows one resident."""
    made = set_up()
    made.know(CARD, PIN)
    return made


def row_of(reply: LibraryReply) -> LibraryPatron:
    """Return the row of a yes."""
    assert reply.answer is LibraryAnswer.YES
    assert reply.patron is not None
    return reply.patron


def test_the_right_pin_is_a_yes(stage: Stage) -> None:
    """Who types the right PIN is told apart from all others, without a row that nobody wanted."""
    reply = stage.system.ask(card(CARD), Pin(PIN), row_wanted=False)

    assert reply == LibraryReply(LibraryAnswer.YES)


def test_the_row_comes_where_it_is_wanted(stage: Stage) -> None:
    """A yes brings what the door may know, and the reference is none of the patron's numbers."""
    row = row_of(stage.system.ask(card(CARD), Pin(PIN), row_wanted=True))

    assert (row.resident, row.active, row.birthday) == (True, True, BIRTHDAY)
    assert (row.blocks, row.valid_until, row.hold_from) == (frozenset(), None, None)
    assert row.patron_ref
    assert CARD not in row.patron_ref


def test_a_row_is_as_bad_as_it_is(stage: Stage) -> None:
    """Another town's patron with a lost card is a yes; the rest is the policy's affair."""
    stage.know("3000005678", "1234", resident=False, lost=True)

    row = row_of(stage.system.ask(card("3000005678"), Pin("1234"), row_wanted=True))

    assert (row.resident, row.blocks) == (False, frozenset({"O"}))


@pytest.mark.parametrize(("number", "pin"), [(CARD, "4712"), (CARD, "47111"), ("3000009999", PIN)])
def test_a_wrong_pin_and_an_unknown_card_are_a_no(stage: Stage, number: str, pin: str) -> None:
    """Neither is told apart from the other, and neither brings a row."""
    reply = stage.system.ask(card(number), Pin(pin), row_wanted=True)

    assert reply == LibraryReply(LibraryAnswer.NO)


def test_an_empty_pin_is_never_sent(stage: Stage) -> None:
    """An empty PIN, which some servers call right, is a no, even for a patron who has it."""
    stage.know("3000005678", "")

    reply = stage.system.ask(card("3000005678"), Pin(""), row_wanted=True)

    assert reply == LibraryReply(LibraryAnswer.NO)
    assert stage.asked() == 0


def test_one_question_is_one_attempt(stage: Stage) -> None:
    """Whatever the answer is, the library system is asked about the PIN once."""
    for count, pin in enumerate((PIN, "4712", PIN), 1):
        stage.system.ask(card(CARD), Pin(pin), row_wanted=True)
        assert stage.asked() == count


def test_a_hanging_one_is_an_error_that_may_have_cost_an_attempt(set_up: SetUp) -> None:
    """No answer in time ends the question, says that a PIN may have been counted, and no number."""
    stage = set_up(BRIEF_S)
    stage.know(CARD, PIN)
    stage.hang()

    with pytest.raises(LibrarySystemError, match="does not answer in time") as caught:
        stage.system.ask(card(CARD), Pin(PIN), row_wanted=True)

    assert caught.value.spent
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    told = "".join(traceback.format_exception(caught.value))
    assert CARD not in told
    assert PIN not in told


def test_many_ask_at_once(stage: Stage) -> None:
    """Questions of several threads get each its own answer."""
    numbers = [f"30000{place:05d}" for place in range(8)]
    for place, number in enumerate(numbers):
        stage.know(number, f"{place:04d}")

    def ask(place: int) -> tuple[LibraryAnswer, LibraryAnswer]:
        right, wrong = Pin(f"{place:04d}"), Pin(f"{place + 1:04d}")
        one = stage.system.ask(card(numbers[place]), right, row_wanted=True)
        other = stage.system.ask(card(numbers[place]), wrong, row_wanted=True)
        return one.answer, other.answer

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))

    assert answers == [(LibraryAnswer.YES, LibraryAnswer.NO)] * 8


def test_nothing_personal_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No library that is used writes a card number or a PIN, at any level."""
    with caplog.at_level(logging.DEBUG):
        stage.system.ask(card(CARD), Pin(PIN), row_wanted=True)
        stage.system.ask(card(CARD), Pin("4712"), row_wanted=True)

    for secret in (CARD, PIN, "4712"):
        assert secret not in "".join(caplog.messages)


def test_an_answer_tells_nothing_where_it_is_printed(stage: Stage) -> None:
    """A reply in a log would hold no birthday, card number or PIN."""
    reply = stage.system.ask(card(CARD), Pin(PIN), row_wanted=True)

    assert "1970" not in repr(reply)
    assert CARD not in repr(reply)
