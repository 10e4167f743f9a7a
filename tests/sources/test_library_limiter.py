"""The library system's desk: whom it asks about, whom it spares, and what it tells of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.access.messages import LibraryAnswer
from doorctl.core.errors import LibrarySystemError
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.sources.library_limiter import AT_A_TIME, MOST_CARDS, LibraryLimiter
from tests.fakes.clock import FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.library import FakeLibrarySystem
from tests.fakes.waiting import LIMIT_S

YES, NO = LibraryAnswer.YES, LibraryAnswer.NO
WAITS, SILENT = LibraryAnswer.WAITS, LibraryAnswer.SILENT
PAUSE_S = 600.0
RIGHT, WRONG = Pin("4711"), Pin("4712")


def card(place: int) -> tuple[bytes, Identifier]:
    """Return a card's row key and what it says."""
    return place.to_bytes(16, "big"), Identifier(IdentifierKind.CARD, f"30{place:08d}")


@dataclass
class Office:
    """A desk and what stands around it; card 1 is known."""

    system: FakeLibrarySystem = field(
        default_factory=lambda: FakeLibrarySystem(pins={card(1)[1]: RIGHT})
    )
    clock: FakeClock = field(default_factory=FakeClock)
    log: FakeEventLog = field(default_factory=FakeEventLog)

    def __post_init__(self) -> None:
        self.desk = LibraryLimiter(self.system, self.clock, self.log, pause_s=PAUSE_S)

    def ask(self, pin: Pin = RIGHT, place: int = 1) -> LibraryAnswer:
        """Ask about a card."""
        key, identifier = card(place)
        return self.desk.ask(key, identifier, pin, row_wanted=False).answer

    def alarms(self) -> list[object]:
        """Return the kinds of all alarms, in order."""
        return self.log.alarms


@pytest.fixture
def office() -> Office:
    """A desk that has been asked nothing yet."""
    return Office()


def test_the_answer_is_passed_on(office: Office) -> None:
    """A yes brings the row where it is wanted, and the next question is asked like the first."""
    key, identifier = card(1)

    wanted = office.desk.ask(key, identifier, RIGHT, row_wanted=True)

    assert wanted.answer is YES
    assert wanted.patron is not None
    assert office.desk.ask(key, identifier, RIGHT, row_wanted=False).patron is None
    assert len(office.system.asked) == 2


def test_the_rest_begins_with_the_answer(office: Office) -> None:
    """A slow library system takes nothing off the rest."""
    office.system.meanwhile = lambda: office.clock.advance(2)
    office.ask(WRONG)
    office.clock.advance(PAUSE_S - 1)

    assert office.ask() is WAITS


def test_who_is_locked_out_rests(office: Office) -> None:
    """The library system's own pause is not poked at."""
    office.system.locked.add(card(1)[1])

    assert [office.ask(), office.ask()] == [WAITS, WAITS]
    assert len(office.system.asked) == 1


def test_a_silent_library_is_told_once_and_so_is_its_return(office: Office) -> None:
    """One alarm when it starts to fail, with its reason, and one when it is back."""
    office.system.failure = LibrarySystemError("no connection (refused)", spent=False)
    office.ask()
    office.ask(place=2)
    office.system.failure = None
    office.ask(WRONG, place=3)
    office.ask()

    assert office.log.lines == [
        {"event": "alarm", "kind": "library_silent", "why": "no connection (refused)"},
        {"event": "alarm", "kind": "library_answers"},
    ]


def test_what_was_not_asked_says_nothing_of_the_library(office: Office) -> None:
    """A card that rests is no sign that the library system is back."""
    office.ask(WRONG)
    office.system.failure = LibrarySystemError("no connection", spent=False)
    office.ask(place=2)
    office.ask()

    assert office.alarms() == ["library_silent"]


def test_a_bug_in_an_adapter_costs_a_rest_and_no_place(office: Office) -> None:
    """What nobody expected is raised, and the card rests: nobody knows what was sent."""

    def break_down() -> None:
        raise RuntimeError

    office.system.meanwhile = break_down
    for place in range(AT_A_TIME + 1):
        with pytest.raises(RuntimeError):
            office.ask(place=place + 1)
    office.system.meanwhile = None

    assert office.ask() is WAITS
    assert office.ask(WRONG, place=9) is NO


def test_no_more_than_two_are_asked_at_a_time(office: Office) -> None:
    """A third question is silent at once, without an alarm, and the next one is asked again."""
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        arrived.release()
        go_on.wait(LIMIT_S)

    office.system.meanwhile = hold
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        held = [threads.submit(office.ask, RIGHT, place) for place in (1, 2)]
        for _ in held:
            assert arrived.acquire(timeout=LIMIT_S)
        third, same = office.ask(place=3), office.ask(place=1)
        go_on.set()
        answers = [one.result(LIMIT_S) for one in held]

    assert (third, same) == (SILENT, WAITS)
    assert answers == [YES, NO]
    assert office.alarms() == []
    assert office.ask(WRONG, place=3) is NO


def test_a_card_is_not_asked_about_beside_itself(office: Office) -> None:
    """Two wrong PINs of one card at the same moment are one attempt, not two."""
    inner: list[LibraryAnswer] = []

    def ask_again() -> None:
        office.system.meanwhile = None
        inner.append(office.ask(WRONG))

    office.system.meanwhile = ask_again

    assert office.ask(WRONG) is NO
    assert inner == [WAITS]
    assert len(office.system.asked) == 1


def test_a_flood_of_wrong_pins_frees_no_card(office: Office) -> None:
    """Memory is bounded, and nobody is forgotten early: the flood itself has to wait."""
    office.ask(WRONG)
    for place in range(2, MOST_CARDS + 1):
        assert office.ask(WRONG, place=place) is NO

    assert office.ask(WRONG, place=MOST_CARDS + 1) is SILENT
    assert office.ask() is WAITS
    office.clock.advance(PAUSE_S)
    assert office.ask() is YES


def test_a_question_is_never_printed(office: Office) -> None:
    """Neither the desk nor its lines hold a card's number, a row key or a PIN."""
    office.system.failure = LibrarySystemError("no connection", spent=True)
    office.ask(WRONG)

    assert "30000" not in repr(office.log.lines) + repr(office.desk)


class Attempts(RuleBasedStateMachine):
    """Any questions in any order: the library system hears of a card's wrong PINs a pause apart."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office()
        self.spent_at: dict[int, float] = {}
        self.office.system.pins = {card(place)[1]: RIGHT for place in range(3)}

    @rule(
        place=st.integers(0, 2), right=st.booleans(), failing=st.sampled_from([None, True, False])
    )
    def ask(self, place: int, right: bool, failing: bool | None) -> None:
        """Ask about a card, with a library system that fails or not."""
        now = self.office.clock.monotonic_s()
        failure = None if failing is None else LibrarySystemError("silent", spent=failing)
        self.office.system.failure = failure
        before = len(self.office.system.asked)

        answer = self.office.ask(RIGHT if right else WRONG, place)

        asked = len(self.office.system.asked) > before
        rests = now - self.spent_at.get(place, -PAUSE_S) < PAUSE_S
        assert asked is not rests
        expected = (YES if right else NO) if failing is None else SILENT
        assert answer is (WAITS if rests else expected)
        if asked and (failing or (failing is None and not right)):
            self.spent_at[place] = now

    @rule(seconds=st.sampled_from([1.0, PAUSE_S / 2, PAUSE_S]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.office.clock.advance(seconds)

    @invariant()
    def alarms_alternate(self) -> None:
        """Silence and return are told in turn."""
        kinds = self.office.alarms()
        assert kinds[::2] == ["library_silent"] * len(kinds[::2])
        assert kinds[1::2] == ["library_answers"] * len(kinds[1::2])


TestAttempts = Attempts.TestCase
