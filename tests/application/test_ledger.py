"""What an attempt costs, when it is charged, and whose card it was."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from doorctl.access.patron import row_key
from doorctl.access.reasons import BEFORE_PROOF, UNJUDGED, Reason
from doorctl.access.throttle import (
    READER_BURST,
    READER_DELAY_S,
    READER_REFILL_MS,
    CardThrottle,
    ReaderThrottle,
)
from doorctl.errors import StoreError
from doorctl.ledger import Ledger
from doorctl.masked import Identifier, IdentifierKind, StretchedKey
from doorctl.ports import SealedRow, Visit
from doorctl.sync.guard import unguarded
from tests.application.fake_door import CARD, UNKNOWN_CARD, identifier, key_of, resident
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_store import FastSealer, MemoryPatrons, MemoryVisits

CPR = Identifier(IdentifierKind.CPR, "0101701234")
TEN_DIGITS = (Identifier(IdentifierKind.CARD, "0101701234"), CPR)
CPR_KEY = row_key(FastSealer().stretch(CPR))
PLASTIC_KEY = row_key(FastSealer().stretch(TEN_DIGITS[0]))

PROVED = [reason for reason in Reason if reason not in BEFORE_PROOF | UNJUDGED]


class CountingSealer(FastSealer):
    """Remembers what it stretched."""

    def __init__(self) -> None:
        self.stretched: list[Identifier] = []

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Return the key, and remember for what."""
        self.stretched.append(identifier)
        return super().stretch(identifier)


@dataclass
class Books:
    """A ledger and what it writes to."""

    counts_guesses: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    sealer: CountingSealer = field(default_factory=CountingSealer)
    patrons: MemoryPatrons = field(default_factory=MemoryPatrons)
    visits: MemoryVisits = field(default_factory=MemoryVisits)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(
            sealer=self.sealer,
            patrons=self.patrons,
            visits=self.visits,
            clock=self.clock,
            counts_guesses=self.counts_guesses,
        )
        self.push(SealedRow(key_of(CARD), resident(CARD)))

    def push(self, *rows: SealedRow) -> None:
        """Replace the register."""
        self.patrons.apply(rows, full=True, applied_at=START, minimum_age=0, guard=unguarded)

    def open(self, *identifiers: Identifier) -> int:
        """Prepare an attempt and return its number."""
        self.attempts += 1
        self.prepared = self.ledger.prepare(self.attempts, identifiers or (identifier(CARD),))
        return self.attempts

    def attempt(self, reason: Reason, *identifiers: Identifier) -> None:
        """Prepare an attempt and settle it a second later."""
        number = self.open(*identifiers)
        self.clock.advance(1.0)
        self.ledger.settle(number, reason)

    def failures(self, number: str = CARD) -> int:
        """Return a card's failures in a row."""
        return self.visits.card_throttle(key_of(number)).failures

    @property
    def recorded(self) -> list[Visit]:
        """The door log."""
        return list(self.visits.visits(START.replace(year=2000)))


def test_a_guess_is_charged_and_on_record_before_it_is_made() -> None:
    """When `prepare` returns, a power cut costs the card a failure."""
    books = Books()
    books.open()

    assert books.visits.card_throttle(key_of(CARD)) == CardThrottle(1, books.clock.boot_time())
    assert books.recorded == [
        Visit(1, START, books.clock.moment().state, None, None, key_of(CARD).hex()[:8])
    ]


@pytest.mark.parametrize("reason", sorted(UNJUDGED, key=str))
def test_a_guess_that_was_never_judged_is_given_back(reason: Reason) -> None:
    """As it was before, with the time of the last real failure."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)
    before = books.visits.card_throttle(key_of(CARD))
    books.clock.advance(100.0)
    books.attempt(reason)

    assert books.visits.card_throttle(key_of(CARD)) == before
    assert before.failures == 1


def test_a_wrong_pin_is_charged_once_from_the_moment_of_the_answer() -> None:
    """The wait begins when the patron hears of it."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)

    assert books.visits.card_throttle(key_of(CARD)) == CardThrottle(1, books.clock.boot_time())


@pytest.mark.parametrize("reason", PROVED)
def test_a_proved_pin_ends_the_count(reason: Reason) -> None:
    """Whether the patron is let in or not: who knows the PIN is nobody who guesses."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.WRONG_PIN)
    books.attempt(reason)

    assert books.failures() == 0
    assert books.visits.reader_throttle().spent_ms == 2 * READER_REFILL_MS - 1000


@pytest.mark.parametrize(
    ("number", "reasons"),
    [(CARD, (Reason.WRONG_PIN, Reason.THROTTLED)), (UNKNOWN_CARD, (Reason.UNKNOWN_CARD,) * 2)],
)
def test_a_card_that_has_to_wait_pays_no_more_but_its_reader_does(
    number: str, reasons: tuple[Reason, Reason]
) -> None:
    """Known or not: who tries during the wait doesn't prolong it, and a sweep is still slowed.

    Were an unknown card charged on, a patron who registers later would be told by it.
    """
    books = Books()
    for _ in range(3):
        books.attempt(reasons[0], identifier(number))
    held = books.visits.card_throttle(key_of(number))
    books.attempt(reasons[1], identifier(number))

    assert books.prepared.throttled
    assert books.visits.card_throttle(key_of(number)) == held
    assert books.visits.reader_throttle().spent_ms == 4 * READER_REFILL_MS - 3000


def test_what_staff_reset_meanwhile_stays_reset() -> None:
    """A card that was refused a try when it was swiped is free once staff say so."""
    books = Books()
    for _ in range(3):
        books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.visits.reset_card(key_of(CARD))
    books.ledger.settle(number, Reason.PIN_TIMEOUT)

    assert books.failures() == 0


@pytest.mark.parametrize(
    ("reason", "failures"), [(Reason.PIN_TIMEOUT, 0), (Reason.WRONG_PIN, 1), (Reason.OK, 0)]
)
def test_an_unlock_outlasts_the_attempt_that_was_open(reason: Reason, failures: int) -> None:
    """What staff forget while the card is at the reader does not come back when it leaves."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.ledger.unlock(key_of(CARD))
    books.ledger.settle(number, reason)

    assert books.failures() == failures


def test_an_unlock_is_of_one_card() -> None:
    """Another card that is at the reader meanwhile keeps its failures."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.ledger.unlock(key_of(UNKNOWN_CARD))
    books.ledger.settle(number, Reason.PIN_TIMEOUT)

    assert books.failures() == 1


def test_an_unlock_that_is_not_stored_forgets_nothing() -> None:
    """Staff are told so and try again; the card is as it was."""
    books = Books()
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.visits.broken = True
    with pytest.raises(StoreError):
        books.ledger.unlock(key_of(CARD))
    books.visits.broken = False
    books.ledger.settle(number, Reason.PIN_TIMEOUT)

    assert books.failures() == 1


def test_each_failure_before_the_proof_is_the_readers_too() -> None:
    """Ten on different cards, and every answer at this reader comes later."""
    books = Books()
    for number in range(READER_BURST):
        assert books.prepared.delay_s == 0.0 if number else True
        books.attempt(Reason.UNKNOWN_CARD, identifier(f"31{number:08}"))
    books.open()

    assert books.prepared.delay_s == READER_DELAY_S
    assert not books.prepared.throttled


def test_two_readings_are_both_stretched_whichever_is_known() -> None:
    """Ten digits cost the same, known as a card, as a CPR number or not at all."""
    for rows in ((), (CPR_KEY,), (PLASTIC_KEY,), (CPR_KEY, PLASTIC_KEY)):
        books = Books()
        books.push(*(SealedRow(key, replace(resident(CARD), patron_ref=key.hex())) for key in rows))
        books.open(*TEN_DIGITS)

        assert books.sealer.stretched == list(TEN_DIGITS)


@pytest.mark.parametrize(
    ("known", "best"),
    [
        ((), PLASTIC_KEY),
        ((CPR_KEY,), CPR_KEY),
        ((PLASTIC_KEY,), PLASTIC_KEY),
        ((CPR_KEY, PLASTIC_KEY), PLASTIC_KEY),
    ],
)
def test_the_exact_card_number_wins(known: tuple[bytes, ...], best: bytes) -> None:
    """Then the CPR number; an unknown card is charged as the first reading."""
    books = Books()
    books.push(*(SealedRow(key, replace(resident(CARD), patron_ref=key.hex())) for key in known))
    books.open(*TEN_DIGITS)

    assert books.prepared.row_key == best
    assert books.prepared.patron == (
        replace(resident(CARD), patron_ref=best.hex()) if known else None
    )
    assert books.visits.card_throttle(best).failures == 1
    assert row_key(books.prepared.stretched) == best


def test_an_unknown_card_takes_the_same_steps() -> None:
    """It is put on record, charged and answered like a known one."""
    books = Books()
    books.attempt(Reason.UNKNOWN_CARD, identifier(UNKNOWN_CARD))

    assert books.failures(UNKNOWN_CARD) == 1
    assert [visit.card for visit in books.recorded] == [key_of(UNKNOWN_CARD).hex()[:8]]


@pytest.mark.parametrize("reason", [Reason.OK, Reason.UNKNOWN_CARD, Reason.WRONG_PIN])
def test_where_no_pin_is_asked_for_nothing_is_counted(reason: Reason) -> None:
    """No card waits, no reader slows down, the attempt is on record."""
    books = Books(counts_guesses=False)
    for _ in range(READER_BURST + 1):
        books.attempt(reason)

    assert books.failures() == 0
    assert books.visits.reader_throttle() == ReaderThrottle()
    assert not books.prepared.throttled
    assert books.prepared.delay_s == 0.0
    assert {visit.reason for visit in books.recorded} == {reason.value}


def test_an_unreadable_card_is_one_row_without_a_pseudonym() -> None:
    """There was nothing to prepare; nobody is charged."""
    books = Books()
    books.ledger.settle(7, Reason.CARD_UNREADABLE)

    assert [(visit.attempt, visit.reason, visit.card) for visit in books.recorded] == [
        (7, "card_unreadable", None)
    ]
    assert books.visits.reader_throttle() == ReaderThrottle()


def test_a_cache_that_fails_charges_nobody() -> None:
    """The attempt is on record as a fault of ours, without a card."""
    books = Books()
    books.patrons.broken = True
    with pytest.raises(StoreError):
        books.open()
    books.ledger.settle(1, Reason.FAULT)

    assert books.failures() == 0
    assert [(visit.reason, visit.card) for visit in books.recorded] == [("fault", None)]


def test_a_second_look_changes_the_row_alone() -> None:
    """After a push the patron and the cache's age are new; throttle and delay stay as they were."""
    books = Books()
    books.open()
    prepared = replace(books.prepared, throttled=True, delay_s=5.0)
    books.patrons.apply(
        (), full=True, applied_at=START.replace(hour=19), minimum_age=0, guard=unguarded
    )

    again = books.ledger.look_again(prepared)

    expected = replace(prepared, patron=None, cache_applied_at=START.replace(hour=19))
    assert again == expected
    assert books.failures() == 1


def test_settled_attempts_are_forgotten() -> None:
    """Nothing is kept in memory of an attempt that is over; ending it twice is no second row."""
    books = Books()
    books.attempt(Reason.OK)
    with pytest.raises(StoreError):
        books.ledger.settle(1, Reason.OK)

    assert [visit.reason for visit in books.recorded] == ["ok"]
