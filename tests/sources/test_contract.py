"""What every library system keeps to: FBS, SIP2, Koha, FOLIO and the fake of other tests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from doorctl.access.messages import LibraryAnswer, LibraryReply, LibrarySystem
from doorctl.core.errors import InputError
from tests.fakes.waiting import LIMIT_S
from tests.sources.stages import (
    BIRTHDAY,
    BRIEF_S,
    CARD,
    PIN,
    STAGES,
    Stage,
    fbs_library,
    folio_library,
    koha_library,
    row_of,
    sip2_library,
)

SetUp = Callable[..., Stage]


@pytest.fixture(params=STAGES)
def set_up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SetUp]:
    """Return a function that sets up one library system."""
    with ExitStack() as stack:
        yield lambda timeout_s=LIMIT_S: stack.enter_context(
            STAGES[request.param](tmp_path, timeout_s)
        )


@pytest.fixture
def stage(set_up: SetUp) -> Stage:
    """A library system that knows one resident."""
    made = set_up()
    made.know(CARD, PIN)
    return made


def test_the_right_pin_is_a_yes(stage: Stage) -> None:
    """Who types the right PIN is told apart from all others, without a row that nobody wanted."""
    reply = stage.ask()

    assert reply == LibraryReply(LibraryAnswer.YES)


def test_the_row_comes_where_it_is_wanted(stage: Stage) -> None:
    """A yes brings what the door may know, and the reference is none of the patron's numbers."""
    reply = stage.ask(row_wanted=True)
    row = row_of(reply)

    assert (row.resident, row.active, reply.birthday) == (True, True, BIRTHDAY)
    assert (row.blocks, row.valid_until, row.hold_from) == (frozenset(), None, None)
    assert row.patron_ref
    assert CARD not in row.patron_ref


def test_a_row_is_as_bad_as_it_is(stage: Stage) -> None:
    """Another town's patron with a lost card is a yes; the rest is the policy's affair."""
    stage.know("3000005678", "1234", resident=False, lost=True)

    row = row_of(stage.ask("3000005678", "1234", row_wanted=True))

    assert (row.resident, row.blocks) == (False, frozenset({stage.lost_card}))


@pytest.mark.parametrize(("number", "pin"), [(CARD, "4712"), (CARD, "47111"), ("3000009999", PIN)])
def test_a_wrong_pin_and_an_unknown_card_are_a_no(stage: Stage, number: str, pin: str) -> None:
    """Neither is told apart from the other, and neither brings a row."""
    reply = stage.ask(number, pin, row_wanted=True)

    assert reply == LibraryReply(LibraryAnswer.NO)


def test_an_empty_pin_is_never_sent(stage: Stage) -> None:
    """An empty PIN, which some servers call right, is a no, even for a patron who has it."""
    stage.know("3000005678", "")

    reply = stage.ask("3000005678", "", row_wanted=True)

    assert reply == LibraryReply(LibraryAnswer.NO)
    assert stage.asked() == 0


def test_one_question_is_one_attempt(stage: Stage) -> None:
    """Whatever the answer is, the library system is asked about the PIN once."""
    for count, pin in enumerate((PIN, "4712", PIN), 1):
        stage.ask(CARD, pin, row_wanted=True)
        assert stage.asked() == count


def test_a_hanging_one_is_an_error_that_may_have_cost_an_attempt(set_up: SetUp) -> None:
    """No answer in time ends the question, says that a PIN may have been counted, and no number."""
    stage = set_up(BRIEF_S)
    stage.know(CARD, PIN)
    stage.hang()

    error = stage.fails()

    assert str(error) == "it does not answer in time"
    assert error.spent


def test_many_ask_at_once(stage: Stage) -> None:
    """Questions of several threads get each its own answer."""
    numbers = [f"30000{place:05d}" for place in range(8)]
    for place, number in enumerate(numbers):
        stage.know(number, f"{place:04d}")

    def ask(place: int) -> tuple[LibraryAnswer, LibraryAnswer]:
        number = numbers[place]
        return stage.answer(number, f"{place:04d}"), stage.answer(number, f"{place + 1:04d}")

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))

    assert answers == [(LibraryAnswer.YES, LibraryAnswer.NO)] * 8


def test_nothing_personal_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """No library that is used writes a card number, a PIN or a password, at any level."""
    with caplog.at_level(logging.DEBUG):
        stage.ask(row_wanted=True)
        stage.ask(CARD, "4712", row_wanted=True)

    assert not [secret for secret in stage.secrets() if secret in caplog.text]


def test_an_answer_tells_nothing_where_it_is_printed(stage: Stage) -> None:
    """A reply in a log would hold no birthday, card number or PIN."""
    reply = stage.ask(row_wanted=True)

    assert "1970" not in repr(reply)
    assert CARD not in repr(reply)


@pytest.mark.parametrize(
    "made",
    [
        lambda: fbs_library("http://192.0.2.7/rest"),
        lambda: fbs_library("http://cms.example"),
        lambda: fbs_library("ftp://cms.example"),
        lambda: sip2_library(6001, url="sip2://192.0.2.7:6001"),
        lambda: koha_library("http://koha.example"),
        lambda: folio_library("http://192.0.2.7"),
    ],
)
def test_no_pin_travels_in_the_clear(made: Callable[[], LibrarySystem]) -> None:
    """Whatever the configuration let pass, another machine is asked over TLS only."""
    with pytest.raises(InputError, match="over TLS only"):
        made()
