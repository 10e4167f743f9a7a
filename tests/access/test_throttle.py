"""How many guesses cards, codes and readers get, by the clock of the boot."""

from __future__ import annotations

from itertools import accumulate
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorctl.access.code_throttle import (
    CODES_KEY,
    FORGIVEN_MS,
    MOST_FAILURES,
    codes_charged,
    codes_hold,
    codes_left,
)
from doorctl.access.patron import ROW_KEY_BYTES, Reason
from doorctl.access.refusals import AGAIN_S, LAST, WATCHED, WINDOW_S, Refusals, Unusual
from doorctl.access.throttle import (
    MOST_OF_ITS_OWN,
    MOST_WRONG_PINS,
    READER_REFILL_MS,
    SHARED_WAIT_S,
    STOP_AT_FAILURES,
    WAIT_AFTER_S,
    CardThrottle,
    ReaderThrottle,
    WrongPins,
    waits,
)
from doorctl.core.moments import BootTime

WAITS_S = [0, 0, 0, 30, 120, 600, 3600, 3600, 3600, 3600]
"""Seconds to wait after so many failures, as the issue and NIST SP 800-63B have them."""

FOREVER_MS = 10 * 365 * 24 * 3600 * 1000


def at(ms: int, boot: int = 1) -> BootTime:
    """Return a time of a boot."""
    return BootTime(f"boot-{boot}", ms)


def failed(times: int, ms: int = 0) -> CardThrottle:
    """Return the throttle of a card that failed so many times in a row at one time."""
    throttle = CardThrottle()
    for _ in range(times):
        throttle = throttle.charged(at(ms))
    return throttle


@pytest.mark.parametrize(("failures", "wait_s"), list(enumerate(WAITS_S)))
def test_waits_grow_with_the_failures(failures: int, wait_s: int) -> None:
    """Three failures are free, then each has its wait, which ends to the millisecond."""
    throttle = failed(failures, ms=5000)

    assert not throttle.holds(at(5000 + wait_s * 1000))
    if wait_s:
        assert throttle.holds(at(5000))
        assert throttle.holds(at(5000 + wait_s * 1000 - 1))


@pytest.mark.parametrize("later", [at(0), at(FOREVER_MS), at(FOREVER_MS, boot=2)])
def test_ten_failures_stop_a_card_for_good(later: BootTime) -> None:
    """No time and no reboot lets a card try again after ten failures; staff do."""
    assert failed(10).holds(later)
    assert failed(11).holds(later)
    assert failed(11).failures == 10
    assert not CardThrottle().holds(later)


def test_a_stopped_card_on_record_without_a_time_is_stopped() -> None:
    """The count alone stops a card, even where the time of the failure is lost."""
    assert CardThrottle(10, None).holds(at(FOREVER_MS))


class CardMachine(RuleBasedStateMachine):
    """Someone tries PINs at one card, pulls the plug at will and turns the clock back.

    Real time is kept beside what the machine's own clock shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.throttle = CardThrottle()
        self.boot, self.ms = 1, 0
        self.real_ms = 0
        self.failed_at_ms = 0
        self.certain_ms = 0
        self.first_ms: int | None = None
        self.failures = 0

    @property
    def now(self) -> BootTime:
        """What CLOCK_BOOTTIME shows."""
        return at(self.ms, self.boot)

    @rule(
        ms=st.integers(0, 4_000_000)
        | st.sampled_from([29_999, 30_000, 120_000, 600_000, 3_600_000])
    )
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.ms += ms
        self.real_ms += ms
        self.certain_ms += ms

    @rule(dark_ms=st.integers(0, 10_000_000))
    def pull_the_plug(self, dark_ms: int) -> None:
        """Boot again after a while in the dark, of which nobody knows how long it was."""
        self.boot += 1
        self.ms = 0
        self.real_ms += dark_ms
        self.certain_ms = 0

    @precondition(lambda self: not self.throttle.holds(self.now))
    @rule()
    def try_a_wrong_pin(self) -> None:
        """Guess; the guess is charged before it is known to be wrong."""
        if self.first_ms is None:
            self.first_ms = self.real_ms
        self.throttle = self.throttle.charged(self.now)
        self.failed_at_ms = self.real_ms
        self.certain_ms = 0
        self.failures += 1

    @rule()
    def go_on_as_fast_as_allowed(self) -> None:
        """Wait out exactly what has to be waited, and guess."""
        if self.failures < 10:
            self.wait(max(0, WAITS_S[self.failures] * 1000 - self.certain_ms))
            assert not self.throttle.holds(self.now)
            self.try_a_wrong_pin()

    @rule(back_ms=st.integers(1, 10_000_000))
    def look_with_a_clock_gone_back(self, back_ms: int) -> None:
        """A clock that goes backwards within a boot ends no wait."""
        if self.throttle.holds(self.now):
            assert self.throttle.holds(at(max(0, self.ms - back_ms), self.boot))

    @invariant()
    def holds_as_long_as_the_table_says(self) -> None:
        """It holds exactly while less than the wait has certainly passed, and never too short."""
        assert self.throttle.failures == self.failures <= 10
        if self.failures == 10:
            assert self.throttle.holds(self.now)
            return
        wait_ms = WAITS_S[self.failures] * 1000
        assert self.throttle.holds(self.now) == (self.certain_ms < wait_ms)
        if not self.throttle.holds(self.now):
            assert self.real_ms - self.failed_at_ms >= wait_ms

    @invariant()
    def ten_guesses_take_over_four_hours(self) -> None:
        """Ten guesses take at least 4.2 hours, whatever is done between them."""
        if self.failures == 10 and self.first_ms is not None:
            assert self.failed_at_ms - self.first_ms >= 4.2 * 3600 * 1000


TestCard = CardMachine.TestCase
TestCard.settings = settings(stateful_step_count=40)


def test_a_sweep_stays_slow_for_good() -> None:
    """A failure every 6 s, which is as fast as the wait allows, is slowed for ever."""
    reader = ReaderThrottle()
    delays = []
    for guess in range(600):
        now = at(guess * 6_000)
        delays.append(reader.delay_s(now))
        reader = reader.charged(now)

    first = delays.index(5.0)
    assert first < 13
    assert sum(delays[first:]) >= 5.0 * (600 - first) * 0.85


class ReaderMachine(RuleBasedStateMachine):
    """Failures, time and power cuts at one reader, against a debt kept in real time."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = ReaderThrottle()
        self.boot, self.ms = 1, 0
        self.debt_ms = 0
        self.least_ms = 0

    @property
    def now(self) -> BootTime:
        """What CLOCK_BOOTTIME shows."""
        return at(self.ms, self.boot)

    @rule(ms=st.integers(0, 700_000) | st.just(60_000))
    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.ms += ms
        self.debt_ms = max(0, self.debt_ms - ms)
        self.least_ms = max(0, self.least_ms - ms)

    @rule(dark_ms=st.integers(0, 700_000))
    def pull_the_plug(self, dark_ms: int) -> None:
        """Boot again; the debt is as it was when it was last written down."""
        self.boot += 1
        self.ms = 0
        self.debt_ms = self.reader.spent_ms
        self.least_ms = max(0, self.least_ms - dark_ms)

    @rule()
    def fail(self) -> None:
        """A wrong PIN, whoever's."""
        self.reader = self.reader.charged(self.now)
        self.debt_ms = min(self.debt_ms + 60_000, 600_000)
        self.least_ms = min(self.least_ms + 60_000, 600_000)

    @rule()
    def write_down(self) -> None:
        """Store the debt as it stands; nothing changes by it."""
        self.reader = self.reader.left(self.now)

    @rule(back_ms=st.integers(0, 10_000_000))
    def look_with_a_clock_gone_back(self, back_ms: int) -> None:
        """A clock that goes backwards within a boot forgives nothing."""
        earlier = at(max(0, self.ms - back_ms), self.boot)
        assert self.reader.left(earlier).spent_ms >= self.reader.left(self.now).spent_ms

    @invariant()
    def owes_what_it_should(self) -> None:
        """The debt is the model's, bounded, and a power cut never forgives more than time did."""
        left = self.reader.left(self.now)
        assert left.spent_ms == self.debt_ms
        assert self.least_ms <= left.spent_ms <= 600_000
        assert self.reader.delay_s(self.now) == (5.0 if self.debt_ms > 540_000 else 0.0)


TestReader = ReaderMachine.TestCase
TestReader.settings = settings(stateful_step_count=30)


MANY = [0, 1, 9, 10, 15, 16, 17, 18, 99]


@pytest.mark.parametrize("elsewhere", MANY)
@pytest.mark.parametrize("own", range(MOST_WRONG_PINS + 2))
def test_which_wrong_pins_stop_a_card(own: int, elsewhere: int) -> None:
    """Its own 20; or its own 10 beside others, 20 in all; of other branches' 17 count, or fewer.

    So nothing that others type stops a card that has two wrong ones or fewer.
    """
    for others in range(MOST_WRONG_PINS + 15):
        wrong = WrongPins(own, own + others, elsewhere)
        told = min(elsewhere, 17)
        assert wrong.all == own + others + told
        assert wrong.stop == (own + told >= 20 or (own >= 10 and own + others + told >= 20))
        if own <= 2:
            assert not wrong.stop
        if others == elsewhere == 0:
            assert wrong.stop == (own >= 20)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_no_more_wrong_pins_free_a_card(own: int, others: int, elsewhere: int) -> None:
    """Neither its own, nor its patron's others, nor those of other branches."""
    if WrongPins(own, own + others, elsewhere).stop:
        assert WrongPins(own + 1, own + 1 + others, elsewhere).stop
        assert WrongPins(own, own + others + 1, elsewhere).stop
        assert WrongPins(own, own + others, elsewhere + 1).stop


@given(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=80, max_size=120))
def test_whoever_has_all_cards_of_a_patron_guesses_so_often(cards: int, order: list[int]) -> None:
    """In whatever order: 20, and 10 for each further card; and at 20 at one, the others go on."""
    counts = [0] * cards
    for choice in order:
        card = choice % cards
        if not WrongPins(counts[card], sum(counts)).stop:
            counts[card] += 1

    assert sum(counts) <= MOST_WRONG_PINS + MOST_OF_ITS_OWN * (cards - 1)
    assert max(counts) <= MOST_WRONG_PINS


@pytest.mark.parametrize(
    ("own", "others", "after_ms", "held"),
    [
        (0, (), 0, False),
        (2, (), 0, False),
        (1, (1,), 0, False),
        (0, (2,), 0, False),
        (0, (3,), 0, True),
        (1, (2,), 0, True),
        (1, (1, 1), 29_999, True),
        (1, (1, 1), 30_000, False),
        (0, (10,), 29_999, True),
        (0, (10,), 30_000, False),
        (0, (9, 10), 30_000, False),
        (4, (10,), 30_000, True),
        (4, (10,), 120_000, False),
        (10, (), FOREVER_MS, True),
    ],
)
def test_a_patrons_cards_wait_for_each_other_half_a_minute(
    own: int, others: tuple[int, ...], after_ms: int, held: bool
) -> None:
    """Once three in all have failed; the longer waits are each card's own."""
    every = [failed(count) for count in others]

    assert waits(failed(own), every, at(after_ms)) == held


@given(st.integers(0, 9), st.lists(st.integers(0, 10), max_size=3), st.integers(0, 4_000_000))
def test_other_cards_never_shorten_a_wait_nor_add_more_than_half_a_minute(
    own: int, others: list[int], after_ms: int
) -> None:
    """Whatever failed at them, just now."""
    throttle, now = failed(own), at(after_ms)
    every = [CardThrottle(count, at(0)) for count in others]

    assert waits(throttle, [], now) == throttle.holds(now)
    assert waits(throttle, every, now) >= throttle.holds(now)
    if after_ms >= SHARED_WAIT_S * 1000:
        assert waits(throttle, every, now) == throttle.holds(now)


@pytest.mark.parametrize(
    ("later_ms", "still_count"),
    [(0, 3), (FORGIVEN_MS - 1, 3), (FORGIVEN_MS, 2), (3 * FORGIVEN_MS, 0), (9 * FORGIVEN_MS, 0)],
)
def test_each_hour_forgives_one_wrong_code(later_ms: int, still_count: int) -> None:
    """To the millisecond, and never more than there were."""
    throttle = CardThrottle(3, at(0))

    assert codes_left(throttle, at(later_ms)) == still_count


def test_what_a_reader_owes_since_nobody_knows_when_is_owed_whole() -> None:
    """Time that is on no record forgives nothing."""
    now = at(5_000)

    assert ReaderThrottle(READER_REFILL_MS).left(now) == ReaderThrottle(READER_REFILL_MS, now)


HOUR_MS = 3_600_000


def guess_for(ms: int, *, pause_ms: int = 0) -> int:
    """Guess wrongly whenever codes need not wait; return how often in so long."""
    throttle, guesses, now_ms = CardThrottle(), 0, 0
    while now_ms < ms:
        if codes_hold(throttle, at(now_ms)):
            now_ms += 1000
        else:
            throttle, guesses = codes_charged(throttle, at(now_ms)), guesses + 1
            now_ms += 1000 + pause_ms
    return guesses


def test_the_waits_grow_to_an_hour() -> None:
    """Three slips are free, the next ones cost what they cost a card."""
    throttle, waits = CardThrottle(), []
    now_ms = 0
    for _ in range(9):
        throttle = codes_charged(throttle, at(now_ms))
        begun_ms = now_ms
        while codes_hold(throttle, at(now_ms)):
            now_ms += 1000
        waits.append((now_ms - begun_ms) // 1000)

    assert waits == [0, 0, 30, 120, 600, 3600, 3600, 3600, 3600]


def test_a_guesser_gets_six_tries_at_once_and_one_an_hour() -> None:
    """So a million codes with ten in force last: 30 for the first day, 24 for each further one."""
    assert guess_for(HOUR_MS // 2) == 6
    assert guess_for(24 * HOUR_MS) <= 30
    assert guess_for(10 * 24 * HOUR_MS) <= 6 + 240


@pytest.mark.parametrize("pause_h", [1, 2, 5])
def test_waiting_longer_gains_nothing(pause_h: int) -> None:
    """Whoever saves forgiven failures up guesses no more often in the long run."""
    assert guess_for(10 * 24 * HOUR_MS, pause_ms=pause_h * HOUR_MS) <= 6 + 240


@given(st.integers(0, 20), st.integers(0, 10**9))
def test_codes_never_stop_for_good(failures: int, later_ms: int) -> None:
    """However many failures are on record, an hour later a code may be typed."""
    throttle = CardThrottle(min(failures, MOST_FAILURES), at(0))

    assert not codes_hold(throttle, at(later_ms + HOUR_MS))
    assert codes_left(codes_charged(throttle, at(later_ms)), at(later_ms)) <= MOST_FAILURES


def test_a_reboot_gives_nothing_away() -> None:
    """How long the power was off is not known, so the wait begins anew."""
    throttle = CardThrottle(MOST_FAILURES, at(50 * HOUR_MS))

    assert codes_hold(throttle, at(HOUR_MS - 1, boot=2))
    assert not codes_hold(throttle, at(HOUR_MS, boot=2))


def test_the_key_is_as_long_as_any_other() -> None:
    """The door log takes it like a row key."""
    assert len(CODES_KEY) == ROW_KEY_BYTES


# Unusual refusals are told once, and one patron's are not unusual.


VISIT_S = 360.0
"""50 visits in an evening of five hours."""

LONG_UP_S = 90 * 86_400.0
"""When the first decision comes: the clock counts from a start that may be long ago."""

DECISIONS = st.lists(
    st.tuples(st.sampled_from(Reason), st.floats(0.0, WINDOW_S / 8)), min_size=1, max_size=80
)
"""Reasons with the seconds since the one before."""


def tell(
    decisions: list[Reason], every_s: float = VISIT_S, start: Refusals | None = None
) -> tuple[Refusals, list[Unusual]]:
    """Tell decisions at even distances; return what is remembered and every alarm."""
    refusals = start or Refusals()
    alarms: list[Unusual] = []
    begins_s = refusals.decisions[-1][1] + every_s if refusals.decisions else LONG_UP_S
    for number, reason in enumerate(decisions):
        refusals, new = refusals.after(reason, begins_s + number * every_s)
        alarms += new
    return refusals, alarms


def evening(*, wrong: Reason, one_in: int, visits: int = 50) -> list[Reason]:
    """Return an evening on which one visit in so many is refused."""
    return [wrong if number % one_in == 0 else Reason.OK for number in range(visits)]


@pytest.mark.parametrize("reason", WATCHED)
def test_a_reason_that_everybody_meets_is_told_soon_and_once(reason: Reason) -> None:
    """A broken feed, a dead keypad, an old cache: after as many patrons as the table says."""
    watch = WATCHED[reason]
    _, early = tell([reason] * (watch.at_least - 1))
    _, alarms = tell([reason] * 50)

    assert early == []
    assert alarms == [Unusual(reason, watch.at_least, watch.at_least)]


@pytest.mark.parametrize(
    ("reason", "one_in"),
    [
        (Reason.WRONG_PIN, 4),
        (Reason.CARD_UNREADABLE, 3),
        (Reason.PIN_TIMEOUT, 5),
        (Reason.NOT_RESIDENT, 5),
        (Reason.UNDER_AGE, 5),
        (Reason.NOT_INTRODUCED, 5),
    ],
)
def test_a_usual_evening_is_not_told(reason: Reason, one_in: int) -> None:
    """Patrons slip, neighbours try, children come."""
    _, alarms = tell(evening(wrong=reason, one_in=one_in))

    assert alarms == []


def test_one_patron_who_types_wrong_ten_times_is_not_told() -> None:
    """With the waits that wrong PINs cost, in an otherwise empty house."""
    waits_s = [max(8, WAIT_AFTER_S.get(failures, 8)) for failures in range(1, STOP_AT_FAILURES)]
    refusals = Refusals()
    alarms: list[Unusual] = []
    for at_s in accumulate(waits_s, initial=0):
        refusals, new = refusals.after(Reason.WRONG_PIN, float(at_s))
        alarms += new

    assert alarms == []
    assert len(refusals.decisions) == 7


def test_a_queue_is_not_one_patron() -> None:
    """Refusals without a pause still count every two minutes: ten minutes' queue is told."""
    watch = WATCHED[Reason.NOT_RESIDENT]
    _, alarms = tell([Reason.NOT_RESIDENT] * 100, every_s=10.0)

    assert [alarm.count for alarm in alarms] == [watch.at_least]
    assert (watch.at_least - 1) * AGAIN_S == 600.0


def test_whoever_comes_two_minutes_later_is_somebody_else() -> None:
    """To the second: a moment earlier it is still the same patron."""
    for every_s, counted in ((AGAIN_S, 2), (AGAIN_S - 1.0, 1)):
        refusals, _ = tell([Reason.CARD_UNREADABLE] * 2, every_s=every_s)
        assert len(refusals.decisions) == counted


@pytest.mark.parametrize("reason", WATCHED)
def test_a_share_is_told_when_it_is_reached_and_no_refusal_earlier(reason: Reason) -> None:
    """Among grants the least count is not enough: it has to be the watched part of them."""
    watch = WATCHED[reason]
    least = max(watch.at_least, ceil(watch.share * LAST))
    granted, refused = [Reason.OK] * LAST, [reason] * least
    _, fewer = tell([*granted, *refused[1:]])
    _, alarms = tell([*granted, *refused])

    assert fewer == []
    assert alarms == [Unusual(reason, least, LAST)]


@pytest.mark.parametrize(("left", "told_again"), [(5, 0), (4, 1)])
def test_an_alarm_is_over_below_half_of_its_share(left: int, told_again: int) -> None:
    """A quarter of all is still the same fault where half of all was one; less is not."""
    half = [Reason.NOT_RESIDENT] * (LAST // 2)
    refusals, first = tell(half)
    refusals, _ = tell([Reason.OK] * (LAST - left), start=refusals)
    _, second = tell(half, start=refusals)

    assert (len(first), len(second)) == (1, told_again)


def test_yesterdays_refusals_are_forgotten() -> None:
    """What was refused more than 24 h ago counts for nothing."""
    watch = WATCHED[Reason.EXPIRED]
    refusals, _ = tell([Reason.EXPIRED] * (watch.at_least - 1))
    _, new = refusals.after(Reason.EXPIRED, refusals.decisions[0][1] + WINDOW_S)

    assert new == ()


def test_two_reasons_may_be_unusual_at_once() -> None:
    """Each is told under its own name, with what to do."""
    both = [Reason.CLOCK_UNTRUSTED, Reason.NOT_RESIDENT] * 10
    _, alarms = tell(both)

    assert {alarm.reason for alarm in alarms} == {Reason.CLOCK_UNTRUSTED, Reason.NOT_RESIDENT}
    assert alarms[0].why.startswith("2 of the last 3 decisions were clock_untrusted. Give")


def test_every_reason_is_either_watched_or_left_out_on_purpose() -> None:
    """A new reason has to be thought about."""
    assert set(Reason) - set(WATCHED) == {Reason.OK, Reason.THROTTLED, Reason.BANNED}
    assert all(watch.act.endswith(".") for watch in WATCHED.values())


@given(DECISIONS)
def test_memory_is_bounded_and_holds_reasons_and_times_only(
    decisions: list[tuple[Reason, float]],
) -> None:
    """Whatever comes, at most `LAST` entries, none too old, and an alarm only for what is there."""
    refusals, now_s = Refusals(), 0.0
    for reason, pause_s in decisions:
        now_s += pause_s
        before = refusals.alarmed
        refusals, new = refusals.after(reason, now_s)

        assert len(refusals.decisions) <= LAST
        assert all(now_s - at_s < WINDOW_S for _, at_s in refusals.decisions)
        for alarm in new:
            told = [reason for reason, _ in refusals.decisions]
            watch = WATCHED[alarm.reason]
            assert alarm.reason not in before
            assert (alarm.count, alarm.of) == (told.count(alarm.reason), len(told))
            assert alarm.count >= watch.at_least
            assert alarm.count / alarm.of >= watch.share
        assert {alarm.reason for alarm in new} <= refusals.alarmed <= set(WATCHED)


@given(DECISIONS)
def test_grants_alone_never_alarm_and_end_every_alarm(
    decisions: list[tuple[Reason, float]],
) -> None:
    """After a window of grants nothing stands."""
    refusals, now_s = Refusals(), 0.0
    for reason, pause_s in decisions:
        now_s += pause_s
        refusals, _ = refusals.after(reason, now_s)
    raised: list[Unusual] = []
    for _ in range(LAST):
        refusals, new = refusals.after(Reason.OK, now_s)
        raised += new

    assert raised == []
    assert refusals.alarmed == frozenset()
