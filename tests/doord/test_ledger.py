"""What an attempt costs, when it is charged, and whose card it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from doorctl.access.code_throttle import A_CODE, CODES_KEY
from doorctl.access.messages import Concluded
from doorctl.access.patron import BEFORE_PROOF, Reason, SealedRow, row_key
from doorctl.access.rights import Ban, Pass, PassKind
from doorctl.access.throttle import (
    READER_BURST,
    READER_DELAY_S,
    READER_REFILL_MS,
    STOP_AT_FAILURES,
    CardThrottle,
    ReaderThrottle,
)
from doorctl.core.errors import BranchStoreError, StoreError
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.doord.stores import EVENTS_AN_HOUR, KeptEvents
from doorctl.privacy.passages import ATTEMPT, HourCount
from doorctl.privacy.subject import Subject
from doorctl.store.branch import BranchRecords
from doorctl.store.erasure import erase_visits
from doorctl.sync.guard import unguarded
from tests.access.samples import UNJUDGED
from tests.doord.fake_door import (
    CARD,
    UNKNOWN_CARD,
    Books,
    identifier,
    key_of,
    resident,
)
from tests.fakes.clock import START, FakeClock
from tests.fakes.event_log import FakeEventLog
from tests.fakes.loop import FakeWorker
from tests.fakes.memory_store import FastSealer, MemoryBranch

CPR = Identifier(IdentifierKind.CPR, "0101701234")
TEN_DIGITS = (Identifier(IdentifierKind.CARD, "0101701234"), CPR)
CPR_KEY = row_key(FastSealer().stretch(CPR))
PLASTIC_KEY = row_key(FastSealer().stretch(TEN_DIGITS[0]))

CODE = Identifier(IdentifierKind.CODE, "483920")
CODE_KEY = row_key(FastSealer().stretch(CODE))
CLUB = Pass(
    0,
    PassKind.ASSOCIATION,
    START.date() - timedelta(days=9),
    START.date() + timedelta(days=9),
    needs_pin=False,
    label="club",
)

PROVED = [reason for reason in Reason if reason not in BEFORE_PROOF | UNJUDGED]


@pytest.mark.parametrize("reason", sorted(UNJUDGED, key=str))
def test_a_guess_that_was_never_judged_is_given_back(books: Books, reason: Reason) -> None:
    """As it was before, with the time of the last real failure."""
    books.attempt(Reason.WRONG_PIN)
    before = books.visits.card_throttle(key_of(CARD))
    books.clock.advance(100.0)
    books.attempt(reason)

    assert books.visits.card_throttle(key_of(CARD)) == before
    assert before.failures == 1


def test_a_wrong_pin_is_charged_once_from_the_moment_of_the_answer(books: Books) -> None:
    """The wait begins when the patron hears of it."""
    books.attempt(Reason.WRONG_PIN)

    assert books.visits.card_throttle(key_of(CARD)) == CardThrottle(1, books.clock.boot_time())


@pytest.mark.parametrize("reason", PROVED)
def test_a_proved_pin_ends_the_count(books: Books, reason: Reason) -> None:
    """Whether the patron is let in or not: who knows the PIN is nobody who guesses."""
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.WRONG_PIN)
    books.attempt(reason, proved=True)

    assert books.failures() == 0
    assert books.visits.reader_throttle().spent_ms == 2 * READER_REFILL_MS - 1000


@pytest.mark.parametrize(
    ("number", "reasons"),
    [(CARD, (Reason.WRONG_PIN, Reason.THROTTLED)), (UNKNOWN_CARD, (Reason.UNKNOWN_CARD,) * 2)],
)
def test_a_card_that_has_to_wait_pays_no_more_but_its_reader_does(
    books: Books, number: str, reasons: tuple[Reason, Reason]
) -> None:
    """Known or not: who tries during the wait doesn't prolong it, and a sweep is still slowed.

    Were an unknown card charged on, a patron who registers later would be told by it.
    """
    for _ in range(3):
        books.attempt(reasons[0], identifier(number))
    held = books.visits.card_throttle(key_of(number))
    books.attempt(reasons[1], identifier(number))

    assert books.prepared.throttled
    assert books.visits.card_throttle(key_of(number)) == held
    assert books.visits.reader_throttle().spent_ms == 4 * READER_REFILL_MS - 3000


def test_what_staff_reset_meanwhile_stays_reset(books: Books) -> None:
    """A card that was refused a try when it was swiped is free once staff say so."""
    for _ in range(3):
        books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.visits.reset_card(key_of(CARD))
    books.settle(number, Reason.PIN_TIMEOUT)

    assert books.failures() == 0


@pytest.mark.parametrize(
    ("unlocked", "reason", "failures"),
    [
        (CARD, Reason.PIN_TIMEOUT, 0),
        (CARD, Reason.WRONG_PIN, 1),
        (CARD, Reason.OK, 0),
        (UNKNOWN_CARD, Reason.PIN_TIMEOUT, 2),
    ],
)
def test_an_unlock_outlasts_the_attempt_that_was_open(
    books: Books, unlocked: str, reason: Reason, failures: int
) -> None:
    """What staff forget while the card is at the reader does not come back when it leaves.

    Bug (model of who may enter): a staff reset was undone by an attempt that was open.
    """
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.ledger.unlock(key_of(unlocked))
    books.settle(number, reason, proved=reason is Reason.OK)

    assert books.failures() == failures


def test_an_unlock_that_is_not_stored_forgets_nothing(books: Books) -> None:
    """Staff are told so and try again; the card is as it was."""
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    books.visits.broken = True
    with pytest.raises(StoreError):
        books.ledger.unlock(key_of(CARD))
    books.visits.broken = False
    books.settle(number, Reason.PIN_TIMEOUT)

    assert books.failures() == 1


@pytest.mark.parametrize("reason", [Reason.OK, Reason.WRONG_PIN, Reason.PIN_TIMEOUT])
@pytest.mark.parametrize("forgotten", [CARD, UNKNOWN_CARD])
def test_a_card_that_was_forgotten_does_not_come_back_with_its_attempt(
    books: Books, reason: Reason, forgotten: str
) -> None:
    """The attempt ends on record without it, and without a count; another's goes on as ever."""
    books.attempt(Reason.WRONG_PIN)
    number = books.open()
    erased = Subject(frozenset({key_of(forgotten)}))
    erase_visits(books.visits, erased)
    books.ledger.forget(frozenset({key_of(forgotten)}))
    books.settle(number, reason, proved=reason is Reason.OK)

    left = books.recorded[-1]
    counted = {Reason.OK: 0, Reason.WRONG_PIN: 2, Reason.PIN_TIMEOUT: 1}
    card = key_of(CARD).hex()[:8]
    assert (left.attempt, left.reason) == (number, reason.value)
    assert left.card == (None if forgotten == CARD else card)
    assert books.failures() == (0 if forgotten == CARD else counted[reason])


def test_each_failure_before_the_proof_is_the_readers_too(books: Books) -> None:
    """Ten on different cards, and every answer at this reader comes later."""
    for number in range(READER_BURST):
        assert books.prepared.delay_s == 0.0 if number else True
        books.attempt(Reason.UNKNOWN_CARD, identifier(f"31{number:08}"))

    for swiped in (identifier(CARD), CODE):
        books.open(swiped)
        assert books.prepared.delay_s == READER_DELAY_S
        assert not books.prepared.throttled


@pytest.mark.parametrize(
    ("known", "best"),
    [
        ((), PLASTIC_KEY),
        ((CPR_KEY,), CPR_KEY),
        ((PLASTIC_KEY,), PLASTIC_KEY),
        ((CPR_KEY, PLASTIC_KEY), PLASTIC_KEY),
    ],
)
def test_the_exact_card_number_wins(books: Books, known: tuple[bytes, ...], best: bytes) -> None:
    """Then the CPR number; an unknown card is charged as the first reading.

    All readings are stretched whichever is known: ten digits cost the same.

    Bug (model of who may enter): a card that had to wait was charged on, if it was unknown.
    """
    books.push(*(SealedRow(key, replace(resident(CARD), patron_ref=key.hex())) for key in known))
    books.open(*TEN_DIGITS)

    assert books.sealer.stretched == list(TEN_DIGITS)
    assert books.prepared.row_key == row_key(books.prepared.stretched) == best
    assert books.prepared.patron == (
        replace(resident(CARD), patron_ref=best.hex()) if known else None
    )
    assert books.visits.card_throttle(best).failures == 1


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


def test_an_unreadable_card_is_one_row_without_a_pseudonym(books: Books) -> None:
    """There was nothing to prepare; nobody is charged."""
    books.settle(7, Reason.CARD_UNREADABLE)

    assert [(visit.attempt, visit.reason, visit.card) for visit in books.recorded] == [
        (7, "card_unreadable", None)
    ]
    assert books.visits.reader_throttle() == ReaderThrottle()


def test_a_second_look_changes_the_row_alone(books: Books) -> None:
    """After a push the patron and the cache's age are new; throttle and delay stay as they were."""
    books.open()
    prepared = replace(books.prepared, throttled=True, delay_s=5.0)
    books.patrons.apply(
        (), full=True, applied_at=START.replace(hour=19), minimum_age=0, guard=unguarded
    )

    again = books.ledger.look_again(prepared)

    expected = replace(prepared, patron=None, cache_applied_at=START.replace(hour=19))
    assert again == expected
    assert books.failures() == 1


def test_settled_attempts_are_forgotten(books: Books) -> None:
    """Nothing is kept in memory of an attempt that is over; ending it twice is no second row."""
    books.attempt(Reason.OK)
    with pytest.raises(StoreError):
        books.settle(1, Reason.OK)

    assert [visit.reason for visit in books.recorded] == ["ok"]


def test_bans_and_the_pass_of_a_card_are_found_with_its_row(books: Books) -> None:
    """Those of the card and those of its patron; whether they hold is judged later."""
    by_card = books.ban(key=key_of(CARD))
    by_patron = books.ban(ref=resident(CARD).patron_ref)
    books.ban(key=key_of(UNKNOWN_CARD))
    older = books.issue(CLUB, key_of(CARD))
    held = books.issue(CLUB, key_of(CARD))
    books.open()

    assert books.prepared.bans == (by_card, by_patron)
    assert books.prepared.passes == (held, older)
    assert books.prepared.patron == resident(CARD)


@pytest.mark.parametrize("known", [(), (PLASTIC_KEY,), (CPR_KEY,)])
@pytest.mark.parametrize("with_pass", [None, PLASTIC_KEY, CPR_KEY])
def test_each_reading_is_looked_up_in_the_book_whichever_is_known(
    books: Books, known: tuple[bytes, ...], with_pass: bytes | None
) -> None:
    """The work does not tell; a row goes before a pass, a pass before nothing."""
    books.push(*(SealedRow(key, replace(resident(CARD), patron_ref=key.hex())) for key in known))
    if with_pass is not None:
        books.issue(CLUB, with_pass)
    books.ledger.branch = counting = CountingBook(books.branch)
    books.open(*TEN_DIGITS)

    assert counting.asked == [PLASTIC_KEY, PLASTIC_KEY, CPR_KEY, CPR_KEY]
    best = (*known, *([with_pass] if with_pass else []), PLASTIC_KEY)[0]
    assert books.prepared.row_key == best
    assert (books.prepared.held is not None) == (best == with_pass)


class CountingBook(MemoryBranch):
    """Remembers whose bans and passes were asked for."""

    def __init__(self, book: MemoryBranch) -> None:
        super().__init__()
        self.book: BranchRecords = book
        self.asked: list[bytes] = []

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans, and remember whose."""
        self.asked.append(row_key)
        return self.book.bans(row_key, patron_ref)

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes, and remember whose."""
        self.asked.append(row_key)
        return self.book.passes_of(row_key)


def test_a_book_that_fails_lets_nobody_be_judged(books: Books) -> None:
    """Who is banned is not known then; the attempt is on record as a fault of ours."""
    books.branch.broken = True
    with pytest.raises(BranchStoreError):
        books.open()
    books.settle(1, Reason.FAULT)

    assert books.failures() == 0
    assert [visit.reason for visit in books.recorded] == ["fault"]


def test_a_second_look_reads_the_book_again(books: Books) -> None:
    """A ban and a pass that came meanwhile count, and one that was taken back does not."""
    left = books.issue(CLUB, key_of(CARD))
    held = books.issue(CLUB, key_of(CARD))
    books.open()
    books.branch.revoke(held.number, books.clock.moment())
    ban = books.ban(key=key_of(CARD))

    again = books.ledger.look_again(books.prepared)

    assert again == replace(books.prepared, bans=(ban,), held=left, older=())


def test_a_second_look_finds_the_bans_of_whom_the_library_system_named(books: Books) -> None:
    """The card is new to us, the patron may be not."""
    ban = books.ban(ref="ref of a banned patron")
    books.open(identifier(UNKNOWN_CARD))
    lent = replace(resident(UNKNOWN_CARD), patron_ref="ref of a banned patron")

    again = books.ledger.look_again(replace(books.prepared, lent=lent, proved=True))

    assert books.prepared.bans == ()
    assert (again.bans, again.lent, again.patron) == ((ban,), lent, None)


def test_a_code_is_found_by_its_pass_and_never_by_a_row(books: Books) -> None:
    """Though a row stood under its key; the door log tells codes apart from cards alone."""
    books.push(SealedRow(CODE_KEY, resident(CARD)))
    held = books.issue(replace(CLUB, code_digits=6), CODE_KEY)
    books.open(CODE)

    assert (books.prepared.held, books.prepared.patron) == (held, None)
    assert books.ledger.look_again(books.prepared) == books.prepared
    assert [visit.card for visit in books.recorded] == [A_CODE]


@pytest.mark.parametrize("counts_guesses", [True, False])
def test_all_codes_share_one_count_and_no_card_feels_it(*, counts_guesses: bool) -> None:
    """Another code waits as well, where PINs are asked for or not; cards and the reader don't.

    Whoever types on doesn't prolong the wait for everybody.
    """
    books = Books(counts_guesses=counts_guesses)
    for at in range(3):
        books.attempt(Reason.UNKNOWN_CARD, Identifier(IdentifierKind.CODE, f"48392{at}"))
    held = books.visits.card_throttle(CODES_KEY)
    books.attempt(Reason.THROTTLED, CODE)
    assert books.visits.card_throttle(CODES_KEY) == held
    code = books.ledger.prepare(11, (CODE,))
    card = books.ledger.prepare(12, (identifier(CARD),))

    assert (code.throttled, card.throttled) == (True, False)
    assert books.visits.reader_throttle() == ReaderThrottle()
    assert card.delay_s == 0.0


@pytest.mark.parametrize("reason", [Reason.OK, Reason.NOT_PERMITTED, *sorted(UNJUDGED, key=str)])
def test_a_right_code_costs_nothing_and_forgives_nothing(books: Books, reason: Reason) -> None:
    """Attack: guess at others' codes and type one's own in between. The count goes on."""
    books.attempt(Reason.UNKNOWN_CARD, CODE)
    books.attempt(Reason.UNKNOWN_CARD, CODE)
    books.attempt(reason, CODE, proved=True)

    assert books.code_failures == 2


@pytest.mark.parametrize("needs_pin", [True, False])
@pytest.mark.parametrize(("proved", "failures"), [(True, 0), (False, 2)])
def test_a_pin_that_was_proved_forgives_and_a_pass_does_not(
    books: Books, *, needs_pin: bool, proved: bool, failures: int
) -> None:
    """Attack: swipe a found card when its pass opens, and guess at its PIN in between.

    Its holder has slips of a year forgiven by typing the right one once.

    Bug (attack review): a card with a pass that needs no PIN never had a slip forgiven, and its
    pass waited for them.
    """
    books.issue(replace(CLUB, needs_pin=needs_pin), key_of(CARD))
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.WRONG_PIN)
    books.attempt(Reason.OK, proved=proved)

    assert books.failures() == failures


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_CARD, Reason.PIN_UNKNOWN])
def test_a_pin_that_nobody_could_check_costs_the_card_nothing(books: Books, reason: Reason) -> None:
    """Ten right PINs while the library system is out don't stop a card; the reader still pays.

    Bug (attack review): ten right PINs while the library system was out stopped a card for
    good.
    """
    books.attempt(Reason.WRONG_PIN)
    before = books.visits.card_throttle(key_of(CARD))
    for _ in range(STOP_AT_FAILURES):
        books.attempt(reason, unchecked=True)

    assert books.visits.card_throttle(key_of(CARD)) == before
    assert books.visits.reader_throttle().spent_ms > READER_BURST * READER_REFILL_MS - 60_000
    books.attempt(reason)
    assert books.failures() == 2


class TestReadings:
    """A number may be read in two ways; what is held against one holds for the swipe.

    Bug (attack review): a ban by the stripe did not hold for the same person's barcode where
    the register lacked them.
    """

    @pytest.mark.parametrize("held_against", [PLASTIC_KEY, CPR_KEY])
    @pytest.mark.parametrize("known", [(), (PLASTIC_KEY,), (CPR_KEY,)])
    def test_a_ban_of_either_reading_holds(
        self, held_against: bytes, known: tuple[bytes, ...]
    ) -> None:
        """Banned by the stripe, back by the barcode. It holds on a second look, too."""
        books = Books()
        books.push(*(SealedRow(key, resident(CARD)) for key in known))
        ban = books.ban(key=held_against)
        books.open(*TEN_DIGITS)

        assert books.prepared.bans == (ban,)
        assert books.ledger.look_again(books.prepared) == books.prepared

    def test_a_ban_of_both_readings_is_one(self) -> None:
        """That of a patron is found under each card."""
        books = Books()
        books.push(*(SealedRow(key, resident(CARD)) for key in (PLASTIC_KEY, CPR_KEY)))
        ban = books.ban(ref=resident(CARD).patron_ref)
        books.open(*TEN_DIGITS)

        assert books.prepared.bans == (ban,)

    def test_a_reading_that_is_another_patrons_is_not_meant(self) -> None:
        """One patron's card number can be another's CPR number: nobody is banned for a stranger."""
        books = Books()
        books.push(
            SealedRow(PLASTIC_KEY, resident(CARD)),
            SealedRow(CPR_KEY, replace(resident(CARD), patron_ref="another")),
        )
        books.ban(key=CPR_KEY)
        books.branch.restrict_only("another")
        books.open(*TEN_DIGITS)

        assert (books.prepared.bans, books.prepared.other_keys) == ((), ())
        assert books.prepared.patron == resident(CARD)

    @pytest.mark.parametrize("restricted", [PLASTIC_KEY, CPR_KEY])
    @pytest.mark.parametrize("known", [(), (PLASTIC_KEY,), (CPR_KEY,)])
    def test_a_restriction_of_either_reading_holds(
        self, restricted: bytes, known: tuple[bytes, ...]
    ) -> None:
        """Neither row nor pass is used, on a second look as on the first."""
        books = Books()
        books.push(*(SealedRow(key, resident(CARD)) for key in known))
        books.issue(CLUB, PLASTIC_KEY)
        books.branch.restrict_only(restricted)
        books.open(*TEN_DIGITS)

        assert books.prepared.held is None
        assert books.prepared.patron == (
            replace(resident(CARD), restricted=True) if known else None
        )
        assert books.ledger.look_again(books.prepared) == books.prepared


class TestRestricted:
    """What is restricted at this branch is used for nothing."""

    @pytest.mark.parametrize("by", ["card", "patron", "others"])
    def test_a_patron_is_restricted_by_card_or_by_number(self, by: str) -> None:
        """Whatever the push says; bans are still looked up, so the steps are the same.

        A pass is not used either: it is held of the same person. One's restriction is no other's.
        """
        books = Books()
        ban = books.ban(key=key_of(CARD))
        held = books.issue(CLUB, key_of(CARD))
        patron = books.patrons.find(key_of(CARD))
        assert patron is not None
        whose: dict[str, tuple[bytes | str, ...]] = {
            "card": (key_of(CARD),),
            "patron": (patron.patron_ref,),
            "others": (key_of(UNKNOWN_CARD), "p-other"),
        }
        books.branch.restrict_only(*whose[by])
        books.open()

        assert books.prepared.patron == replace(patron, restricted=by != "others")
        assert (books.prepared.bans, books.prepared.held) == (
            (ban,), held if by == "others" else None,
        )  # fmt: skip

    def test_one_that_begins_or_ends_meanwhile_counts(self) -> None:
        """The door looks again after each commit."""
        books = Books()
        books.open()
        first = books.prepared
        books.branch.restrict_only(key_of(CARD))
        during = books.ledger.look_again(first)
        books.branch.restrict_only()
        after = books.ledger.look_again(during)

        found = [one.patron and one.patron.restricted for one in (first, during, after)]
        assert found == [False, True, False]

    def test_a_row_that_the_library_system_lent_is_restricted_too(self) -> None:
        """Else a restricted patron would come in where the register lacks the card."""
        books = Books()
        books.open(identifier(UNKNOWN_CARD))
        lent = replace(books.prepared, lent=resident(UNKNOWN_CARD))
        books.branch.restrict_only(resident(UNKNOWN_CARD).patron_ref)
        again = books.ledger.look_again(lent)

        assert again.lent == replace(resident(UNKNOWN_CARD), restricted=True)


def test_a_door_keeps_what_it_did_and_waits_for_no_disk() -> None:
    """One job writes all that has come; a cry for help in silence, and a flood, leave no more.

    A log that fails loses them and ends nothing.
    """
    clock, log, worker = FakeClock(), FakeEventLog(), FakeWorker(lambda _event: None)
    written: list[list[tuple[object, ...]]] = []
    kept = KeptEvents(log, clock, lambda events: written.append([*events]), worker.submit)

    kept.keep("started")
    kept.emit("relay", energised=True, monotonic_ns=1)
    kept.emit("mode", state="closed", cause="schedule", until=None)
    kept.emit("opened_by_staff", why="bud", by="lone")
    kept.emit("alarm", kind="duress")
    kept.emit("alarm", kind="door_forced")
    assert worker.backlog() == 1
    worker.work()

    assert [event[1:] for event in written.pop()] == [
        ("started", "", ""),
        ("mode", "closed", ""),
        ("opened_by_staff", "bud", "lone"),
        ("door_forced", "", ""),
    ]
    assert len(log.lines) == 5
    for _ in range(EVENTS_AN_HOUR + 5):
        kept.keep("reader", "lost")
    worker.work()
    assert len(written.pop()) == EVENTS_AN_HOUR
    clock.advance(3600)

    def failing(_events: object) -> None:
        raise StoreError("the disk is full")

    broken = KeptEvents(log, clock, failing, worker.submit)
    broken.keep("reader", "lost")
    worker.work()
    kept.keep("reader", "lost")
    worker.work()
    assert len(written) == 1


@pytest.mark.parametrize("reason", Reason)
def test_whose_data_are_restricted_is_not_counted(books: Books, reason: Reason) -> None:
    """However the attempt ends: the data are used for nothing (GDPR, article 18)."""
    books.push(SealedRow(key_of(CARD), replace(resident(CARD), restricted=True)))
    number = books.open()
    books.ledger.settle(Concluded(number, reason), "self_service")

    assert list(books.visits.hours(None, None)) == []
    assert books.recorded[0].reason == reason.value


def test_a_restriction_that_came_meanwhile_holds_too(books: Books) -> None:
    """The refusal itself says so; a card that can't be read has no row, and is counted."""
    books.ledger.settle(Concluded(books.open(), Reason.RESTRICTED), "self_service")
    books.ledger.settle(Concluded(2, Reason.CARD_UNREADABLE), "self_service")

    assert list(books.visits.hours(None, None)) == [
        HourCount(START, "self_service", ATTEMPT, "card_unreadable", 1)
    ]
