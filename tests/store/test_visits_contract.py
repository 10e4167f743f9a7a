"""What a door log does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from doorctl.access.code_throttle import A_CODE, CODES_KEY
from doorctl.access.messages import Closed, Opened
from doorctl.access.patron import Reason
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.errors import InputError, StoreError
from doorctl.core.moments import BootTime, CarriedTime, ClockState
from doorctl.privacy.holds import Hold
from doorctl.store.door_log import VISIT_COLUMNS, Visit
from doorctl.store.tables import ATTEMPTS
from doorctl.store.visits import MOST_HOLDS, RetriedVisits, VisitStore
from tests.store.samples import DAY, NOON, Log, key_of, stamped

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
SEEN = BootTime("boot-1", 61_000)
CANARY = bytes(range(16))


def hold_of(since: datetime, to: datetime, until: datetime = NOON + 30 * DAY) -> Hold:
    """Return a hold that has no number yet."""
    return Hold(since, to, "2026-117", "a broken window", until, "kirsten", added_at=NOON)


def failed(failures: int, at: BootTime = SEEN) -> CardThrottle:
    """Return the throttle of a card with so many failures."""
    return CardThrottle(failures, at)


def _retried(path: Path) -> RetriedVisits:
    visits = RetriedVisits(path)
    visits.last_attempt()
    return visits


def time_of(at: datetime) -> bytes:
    """Return a time as SQLite writes it."""
    return (int(at.timestamp()) * 1000).to_bytes(6, "big")


@pytest.fixture(params=[VisitStore, _retried])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """An empty door log."""
    with closing(Log(tmp_path / "visits.db", request.param)) as log:
        yield log


def test_every_column_of_an_attempt_is_shown_but_when_the_machine_started() -> None:
    """A new column is a field of `Visit`; log page, file, list and script show it from then on."""
    shown = {column.name for column in VISIT_COLUMNS.values()}

    assert shown | {"boot_id", "boot_ms"} == set(ATTEMPTS.names)
    assert list(VISIT_COLUMNS) == [field.name for field in fields(Visit)]


def test_a_new_log_is_empty(log: Log) -> None:
    """Nothing was seen, nobody has to wait, no time is known."""
    assert log.listed() == []
    assert log.store.last_attempt() == 0
    assert log.failures(1) == CardThrottle()
    assert log.store.reader_throttle() == ReaderThrottle()
    assert log.history.high_water() is None


def test_an_attempt_is_on_record_while_it_is_open_and_after_it(log: Log) -> None:
    """It shows at once without an outcome, later with one, and the card only as a pseudonym."""
    log.open(7, card=1)
    card = key_of(1).hex()[:8]
    assert log.listed() == [Visit(7, NOON, ClockState.TRUSTED, None, None, card)]

    log.store.close_attempt(Closed(7, Reason.OK))

    assert log.listed() == [Visit(7, NOON, ClockState.TRUSTED, "granted", "ok", card)]
    assert log.store.last_attempt() == 7


def test_who_has_no_pseudonym(log: Log) -> None:
    """An unreadable card, which is kept all the same, and codes: theirs would be one person's."""
    log.open(1)
    log.store.close_attempt(Closed(1, Reason.CARD_UNREADABLE))
    log.store.open_attempt(Opened(2, stamped(), CODES_KEY, None))

    unreadable, code = log.listed()
    assert unreadable == Visit(1, NOON, ClockState.TRUSTED, "refused", "card_unreadable", None)
    assert code.card == A_CODE


def test_an_attempt_begins_once_and_ends_once(log: Log) -> None:
    """A number that is taken, unknown or already ended is refused and nothing is written."""
    log.open(1, card=1)
    with pytest.raises(StoreError):
        log.open(1, NOON, 2, failed(1))
    with pytest.raises(StoreError):
        log.store.close_attempt(Closed(2, Reason.OK, key_of(2), failed(1)))
    log.store.close_attempt(Closed(1, Reason.WRONG_PIN))
    with pytest.raises(StoreError):
        log.store.close_attempt(Closed(1, Reason.OK))

    assert [visit.reason for visit in log.listed()] == ["wrong_pin"]
    assert log.failures(2) == CardThrottle()


def test_throttles_are_kept_with_the_attempt_and_survive_a_restart(log: Log) -> None:
    """What a guess costs is on disk before the answer is known, and after it as it then is."""
    log.open(1, NOON, 1, failed(3))
    log.restart()
    assert log.failures(1) == failed(3)

    log.open(2, NOON, 1, failed(4))
    reader = ReaderThrottle(60_000, SEEN)
    log.store.close_attempt(Closed(2, Reason.WRONG_PIN, key_of(1), failed(4), reader))
    log.restart()

    assert log.failures(1) == log.history.card_throttle(key_of(1)) == failed(4)
    assert log.failures(2) == CardThrottle()
    assert log.store.reader_throttle() == reader


def test_success_and_staff_forget_failures(log: Log) -> None:
    """A right PIN or a word from staff leaves no failure of that card, and others' alone."""
    for number in (1, 2, 3):
        log.open(number, NOON, number, failed(9))

    log.store.close_attempt(Closed(1, Reason.OK, key_of(1), CardThrottle()))
    log.store.reset_card(key_of(2))

    assert [log.failures(number).failures for number in (1, 2, 3)] == [0, 0, 9]


def test_a_power_cut_ends_open_attempts_as_faults_and_keeps_their_charge(log: Log) -> None:
    """Pulling the plug gives nobody a free guess and leaves no attempt open for ever."""
    log.open(1, NOON, 1, failed(1))
    log.store.close_attempt(Closed(1, Reason.WRONG_PIN, key_of(1), failed(1)))
    log.open(2, NOON, 1, failed(2))

    log.restart()

    outcomes = [(visit.verdict, visit.reason) for visit in log.listed()]
    assert outcomes == [("refused", "wrong_pin"), ("refused", "fault")]
    assert log.failures(1) == failed(2)


def test_listing_is_oldest_first_and_from_a_time_on(log: Log) -> None:
    """However many there are and however they were numbered, the order is that of time."""
    times = {n: NOON - timedelta(minutes=n % 700) for n in range(1, 1201)}
    for number, at in times.items():
        log.open(number, at)

    since = NOON - timedelta(minutes=600)
    listed = [(visit.at, visit.attempt) for visit in log.listed(since)]

    assert listed == sorted((at, number) for number, at in times.items() if at >= since)


def test_deleting_takes_what_is_older_and_nothing_else(log: Log) -> None:
    """The cutoff itself stays; more rows than one transaction holds all go."""
    for number in range(1, 1203):
        log.open(number, NOON - DAY, number)
    log.open(1203, NOON, 1)

    assert log.store.delete_before(NOON) == 1202
    assert log.numbers() == [1203]
    assert log.store.delete_before(NOON) == 0


def test_deleting_takes_throttles_that_nobody_touched_since(log: Log) -> None:
    """A card that stays away is forgotten altogether; one that came again is not."""
    log.open(1, NOON - DAY, 1, failed(1))
    log.open(2, NOON - DAY, 2, failed(1))
    log.open(3, NOON, 2, failed(2))

    log.store.delete_before(NOON)

    assert (log.failures(1), log.failures(2)) == (CardThrottle(), failed(2))


def test_numbers_go_on_after_everything_is_purged(log: Log) -> None:
    """An attempt's number in an old log line never comes to mean another attempt."""
    log.open(41)
    log.store.delete_before(NOON + DAY)
    log.store.compact()
    log.restart()

    assert log.listed() == []
    assert log.store.last_attempt() == 41


def test_the_high_water_mark_only_rises(log: Log) -> None:
    """A clock that is set back does not bring old visits back."""
    boot = BootTime("boot-1", HOUR_MS)
    log.store.keep_time(NOON, boot)
    log.store.keep_time(NOON - DAY, boot)
    assert log.history.high_water() == NOON

    log.store.keep_time(NOON + DAY, boot)
    log.restart()
    assert log.history.high_water() == NOON + DAY


EARLY, LATER, NOW = (BootTime("boot-2", hours * HOUR_MS) for hours in (1, 2, 3))
"""Hours of one boot, of which the third is noon."""
BEFORE = BootTime("boot-1", 9)
UNTRUSTED, HOLDOVER, TRUSTED = ClockState.UNTRUSTED, ClockState.HOLDOVER, ClockState.TRUSTED


def test_a_time_that_has_not_stood_leaves_no_mark(log: Log) -> None:
    """It dates what came before it all the same; and a false mark falls to a time that is right."""
    log.open(1, NOON - 40 * DAY, boot=EARLY, state=UNTRUSTED)

    log.store.keep_time(NOON, NOW, NOON - DAY)

    assert log.history.high_water() == NOON - DAY
    assert [visit.at for visit in log.listed()] == [NOON - 2 * HOUR]
    for right, mark in ((NOON, NOON - DAY), (NOON - 2 * DAY, NOON - 2 * DAY)):
        log.store.settle(right, NOW)
        assert log.history.high_water() == mark


def test_rows_of_this_boot_are_dated_once_the_time_is_known(log: Log) -> None:
    """A guess becomes the trusted time less the row's age; what was trusted stays."""
    log.open(1, NOON - 40 * DAY, 1, failed(1, EARLY), boot=EARLY, state=UNTRUSTED)
    log.open(2, NOON - DAY, boot=LATER)

    log.store.keep_time(NOON, NOW)

    assert log.dated() == {1: (NOON - 2 * HOUR, HOLDOVER), 2: (NOON - DAY, TRUSTED)}
    log.store.delete_before(NOON - DAY)
    assert log.failures(1).failures == 1


def test_a_guess_from_an_earlier_boot_cannot_lie_in_the_future(log: Log) -> None:
    """A clock that once jumped ahead does not keep a visit or a throttle for ever."""
    log.open(1, NOON + 365 * DAY, 1, failed(1, BEFORE), boot=BEFORE, state=UNTRUSTED)
    log.open(2, NOON - 3 * DAY, boot=BEFORE, state=UNTRUSTED)

    log.store.keep_time(NOON, EARLY)

    assert log.dated() == {1: (NOON - HOUR, UNTRUSTED), 2: (NOON - 3 * DAY, UNTRUSTED)}
    log.store.delete_before(NOON)
    assert log.failures(1) == CardThrottle()


def test_what_a_vouched_clock_dated_ahead_is_settled(log: Log) -> None:
    """Whoever vouched for it: in this boot by its age, in an earlier one no later than its end."""
    years = 4 * 365 * DAY
    for number, at, boot in ((1, NOON + years, BEFORE), (2, NOON + years, EARLY), (3, NOON, NOW)):
        log.open(number, at, number, boot=boot)
    log.store.plant(CANARY, NOON + years)
    assert log.store.ahead(NOON) == 2

    log.store.settle(NOON, NOW)

    assert log.store.ahead(NOON) == 0
    assert log.dated() == {
        1: (NOON - 3 * HOUR, UNTRUSTED),
        2: (NOON - 2 * HOUR, HOLDOVER),
        3: (NOON, TRUSTED),
    }
    log.store.delete_before(NOON + HOUR)
    assert log.store.canaries() == set()


def test_rows_that_no_believed_clock_dated_are_no_older_than_the_outage_allows(log: Log) -> None:
    """Once a time is believed, those of earlier boots are later by the time without power, once.

    So none of them goes before its time; no later than this boot began, and only where the outage
    is longer than a clock may err. What is older than the last believed time has a right time.

    Bug (second penetration test, S2, its property): a visit of a day ago, whose time without power
    before it nobody knew, was deleted when the clock was set.
    """
    for number, ago, state in ((1, 3, UNTRUSTED), (2, -1, UNTRUSTED), (3, -1, TRUSTED)):
        log.open(number, NOON - ago * DAY, boot=BEFORE, state=state)
    log.store.keep_carried(CarriedTime(NOON - 2 * DAY, NOON, EARLY))
    before = log.dated()

    log.store.keep_carried(CarriedTime(NOON + HOUR, NOON + HOUR, LATER))
    assert log.dated() == before

    log.store.keep_carried(CarriedTime(NOON - 2 * DAY, NOON, EARLY))
    log.store.keep_carried(CarriedTime(NOON + 40 * DAY, NOON + 40 * DAY, LATER))
    began = NOON + 40 * DAY - 2 * HOUR
    assert log.dated() == before | {2: (began, UNTRUSTED)}
    log.store.keep_carried(CarriedTime(NOON + 90 * DAY, NOON + 90 * DAY, NOW))
    assert log.dated()[2] == (began, UNTRUSTED)
    assert log.history.carried_time() == CarriedTime(NOON + 90 * DAY, NOON + 90 * DAY, NOW)


def test_a_carried_time_with_a_wrong_bit_is_none(log: Log) -> None:
    """It would delete too soon; the mark is believed then. A time that is right lowers a later."""
    log.store.keep_carried(CarriedTime(NOON, NOON + DAY, EARLY))
    log.store.settle(NOON + HOUR, EARLY)
    assert log.history.carried_time() == CarriedTime(NOON, NOON + HOUR, EARLY)

    with log.store.transaction() as connection:
        connection.execute("DROP TRIGGER carried_time_changed")
        connection.execute("UPDATE carried_time SET carried_ms = carried_ms + 1")
    assert log.history.carried_time() is None


def test_keeping_time_again_changes_nothing(log: Log) -> None:
    """A row is dated once; later readings of both clocks don't move it."""
    log.open(1, NOON, 1, boot=BootTime("boot-2", 0), state=UNTRUSTED)
    log.store.keep_time(NOON, EARLY)
    before = log.listed()

    log.store.keep_time(NOON + 5 * DAY, LATER)

    assert log.listed() == before


def test_a_hold_spares_what_is_in_its_window(log: Log) -> None:
    """Its beginning is inside and its end is not; throttles go all the same."""
    hours = [NOON + number * HOUR for number in range(4)]
    for number, hour in enumerate(hours, start=1):
        log.open(number, hour, number, failed(1))
    log.store.plant(CANARY, hours[1])
    log.store.add_hold(hold_of(hours[1], hours[2]))

    assert log.store.held() == 1
    assert [log.store.delete_before(NOON + DAY) for _ in range(2)] == [3, 0]
    assert log.numbers() == [2]
    assert log.store.canaries() == {CANARY}
    assert log.failures(2) == CardThrottle()


def test_the_oldest_is_one_that_no_hold_spares(log: Log) -> None:
    """By the time of its row; None where there is none, or none but held ones."""
    assert log.store.oldest() is None
    for number, hours in enumerate((2, 1, 3), start=1):
        log.open(number, NOON + hours * HOUR, 1)
    assert log.store.oldest() == NOON + HOUR

    for to, oldest in ((NOON + 2 * HOUR, NOON + 2 * HOUR), (NOON + DAY, None)):
        log.store.add_hold(hold_of(NOON, to))
        assert log.store.oldest() == oldest


def test_a_hold_ends_at_its_end_and_not_before(log: Log) -> None:
    """What it held goes with the purge after that, like anything that is too old."""
    log.open(1, NOON, 1)
    end = NOON + 90 * DAY
    added = log.store.add_hold(hold_of(NOON - DAY, NOON + DAY, end))
    log.restart()
    assert log.history.holds() == (added,)

    log.store.end_holds(end - timedelta(milliseconds=1))
    assert log.store.delete_before(NOON + 60 * DAY) == 0

    log.store.end_holds(end)
    assert log.history.holds() == ()
    assert log.store.delete_before(NOON + 60 * DAY) == 1


def test_a_hold_that_is_lifted_holds_no_more(log: Log) -> None:
    """It comes back as it was; its number is never given again, and another one is refused."""
    log.open(1, NOON, 1)
    asked = hold_of(NOON - DAY, NOON + DAY)
    first = log.store.add_hold(asked)
    assert first == replace(asked, number=1)

    assert log.store.lift_hold(1) == first
    with pytest.raises(InputError, match="no hold 1"):
        log.store.lift_hold(1)
    assert log.store.add_hold(hold_of(NOON - 2 * DAY, NOON - DAY)).number == 2
    assert log.store.delete_before(NOON + DAY) == 1


def test_there_are_no_more_holds_than_anybody_has_in_view(log: Log) -> None:
    """A script that runs wild does not turn the door log into an archive."""
    for _ in range(MOST_HOLDS):
        log.store.add_hold(hold_of(NOON - DAY, NOON))
    with pytest.raises(InputError):
        log.store.add_hold(hold_of(NOON - DAY, NOON))

    assert len(log.history.holds()) == MOST_HOLDS


def test_a_canary_is_no_visit_and_goes_as_one_does(log: Log) -> None:
    """It is not listed, has no number and is not counted; planting it again changes nothing."""
    log.store.plant(CANARY, NOON)
    log.store.plant(CANARY, NOON + DAY)
    log.restart()

    assert (log.listed(), log.store.last_attempt()) == ([], 0)
    for cutoff, left in ((NOON, {CANARY}), (NOON + timedelta(milliseconds=1), set[bytes]())):
        assert log.store.delete_before(cutoff) == 0
        assert log.store.canaries() == left


def test_traces_are_what_goes_and_nothing_that_stays(log: Log) -> None:
    """Keys and times of old visits, but not of whoever came again, is throttled or is held."""
    old = NOON - DAY
    log.open(1, old, 1)
    log.open(2, old, 2)
    log.open(3, NOON, 2)
    log.open(4, old - DAY, 4, failed(1))
    log.open(5, old - 3 * DAY, 5)
    log.open(6, old - 4 * DAY)
    log.store.plant(CANARY, old)
    log.store.add_hold(hold_of(old - 3 * DAY, old - 2 * DAY))

    traces = log.store.traces_before(NOON)

    times = {time_of(old), time_of(old - DAY), time_of(old - 4 * DAY)}
    assert traces == {key_of(1), key_of(4), CANARY} | times
    assert log.store.still_kept(traces) == traces
    log.store.delete_before(NOON)
    assert log.store.still_kept(traces) == set()
    stay = {key_of(2), key_of(5), time_of(NOON)}
    assert log.store.still_kept(stay) == stay


def test_a_pin_counts_as_wrong_from_its_charge_until_it_is_known_better(log: Log) -> None:
    """Before it is compared, through a power cut; no longer if it was right or never compared."""
    log.open(1, NOON, 1, None, "p-1")
    assert log.store.wrong_pins(key_of(9), "p-1") == 1
    log.store.close_attempt(Closed(1, Reason.WRONG_PIN, right=False))
    log.open(2, NOON, 1, None, "p-1")
    log.store.close_attempt(Closed(2, Reason.OK, right=True))
    log.open(3, NOON, 1, None, "p-1")
    log.store.close_attempt(Closed(3, Reason.PIN_TIMEOUT))
    log.open(4, NOON, 1, None, "p-1")
    log.restart()

    for read in (log.store, log.history):
        assert read.wrong_pins(key_of(9), "p-1") == 2
    assert log.store.wrong_pins(key_of(1), None) == 0


def test_wrong_pins_go_by_the_purge_where_no_time_was_ever_kept(log: Log) -> None:
    """What is too old by the time before which everything goes is too old in any case."""
    log.wrong_pin(1, "p-1")
    log.store.delete_before(NOON + 29 * DAY)
    assert log.store.wrong_pins(key_of(1), "p-1") == 1
    log.store.delete_before(NOON + 400 * DAY)
    assert log.store.wrong_pins(key_of(1), "p-1") == 0


def test_a_cards_wrong_pins_join_its_patrons_and_staff_forget_both(log: Log) -> None:
    """A card that the register learns of later brings its count along; others' stay."""
    log.wrong_pin(1, key_of(1))
    log.wrong_pin(2, "p-1")
    log.wrong_pin(3, "p-2")

    assert log.store.wrong_pins(key_of(1), "p-1") == 2
    log.store.reset_card(key_of(1), "p-1")
    assert log.store.wrong_pins(key_of(1), "p-1") == 0
    assert log.store.wrong_pins(key_of(2), "p-2") == 1


def test_patrons_with_many_wrong_pins_are_told_by_number(log: Log) -> None:
    """Those with most, and no card that is nobody's."""
    whose: list[str | bytes] = ["p-1", "p-2", "p-2", key_of(1), key_of(1), "p-3", "p-3", "p-3"]
    for number, one in enumerate(whose, start=1):
        log.wrong_pin(number, one)

    assert log.history.many_wrong_pins(2, 9) == {"p-3": 3, "p-2": 2}
    assert log.history.many_wrong_pins(2, 1) == {"p-3": 3}
    assert log.history.many_wrong_pins(4, 9) == {}


@pytest.mark.parametrize(("answered", "days"), [(True, 30), (False, 365)])
def test_a_patrons_wrong_pin_counts_so_many_whole_days(log: Log, answered: bool, days: int) -> None:
    """From the day after it; a year if no right one came, however soon its visit is purged."""
    log.wrong_pin(1, "p-1")
    if answered:
        log.open(2, NOON, 1, None, "p-1")
        log.store.close_attempt(Closed(2, Reason.OK, right=True))

    for later, left in ((days, 1), (days + 1, 0)):
        log.store.keep_time(NOON + later * DAY, BootTime("boot-1", 0))
        log.store.delete_before(NOON + (later - 7) * DAY)
        assert (log.listed(), log.store.wrong_pins(key_of(1), "p-1")) == ([], left)


def test_a_wrong_pin_counts_at_the_card_where_it_was_typed(log: Log) -> None:
    """And among all of the patron's; a right one at another card answers it not.

    Else a found card would get new guesses each month by its owner's own visits.
    """
    log.wrong_pin(1, "p-1")
    log.open(2, NOON, 2, None, "p-1")
    log.store.close_attempt(Closed(2, Reason.OK, right=True))
    log.wrong_pin(3, key_of(3))

    for read in (log.store, log.history):
        by = [read.wrong_pins_by(key_of(card), "p-1") for card in (1, 2, 3)]
        assert (by, read.wrong_pins(key_of(2), "p-1")) == ([1, 0, 1], 1)
        assert read.wrong_pins_by(key_of(1), None) == 0
    log.store.keep_time(NOON + 31 * DAY, BootTime("boot-1", 0))
    log.store.delete_before(NOON + 31 * DAY)
    assert log.store.wrong_pins_by(key_of(1), "p-1") == 1


def test_what_0_2_wrote_counts_at_each_of_a_patrons_cards(log: Log) -> None:
    """It did not keep at which, so no charge is lost by the upgrade; any right PIN answers it."""
    log.wrong_pin(1, "p-1")
    log.store.database.execute("UPDATE wrong_pins SET at_card = NULL")
    log.open(2, NOON, 2, None, "p-1")
    log.store.close_attempt(Closed(2, Reason.OK, right=True))

    assert [log.store.wrong_pins_by(key_of(card), "p-1") for card in (1, 2)] == [1, 1]
    log.store.keep_time(NOON + 31 * DAY, BootTime("boot-1", 0))
    log.store.delete_before(NOON + 31 * DAY)
    assert log.store.wrong_pins(key_of(9), "p-1") == 0


def test_a_wrong_pin_of_nobodys_card_goes_with_its_attempt(log: Log) -> None:
    """Who is no patron can't be guessed, and stands in the log no longer than the visit."""
    log.wrong_pin(1, key_of(1))
    for cutoff, left in ((NOON, 1), (NOON + DAY, 0)):
        log.store.delete_before(cutoff)
        assert log.store.wrong_pins(key_of(1), None) == left


def test_a_wrong_pin_gets_the_day_of_its_attempt_once_that_is_known(log: Log) -> None:
    """Typed while no clock was set, it would count for ever or not at all."""
    unset = BootTime("boot-2", 0)
    log.open(1, NOON + 900 * DAY, 1, None, "p-1", boot=unset, state=UNTRUSTED)
    log.store.close_attempt(Closed(1, Reason.WRONG_PIN, right=False))
    log.store.keep_time(NOON, EARLY)

    log.store.keep_time(NOON + 366 * DAY, BootTime("boot-3", 0))
    log.store.delete_before(NOON + 340 * DAY)
    assert log.store.wrong_pins(key_of(1), "p-1") == 0
