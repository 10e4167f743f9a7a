"""Unusual refusals are told once, and one patron's are not unusual."""

from __future__ import annotations

from itertools import accumulate
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import Reason
from doorctl.access.throttle import (
    AGAIN_S,
    LAST,
    STOP_AT_FAILURES,
    WAIT_AFTER_S,
    WATCHED,
    WINDOW_S,
    Refusals,
    Unusual,
)

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
