from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.retention import (
    LONGEST,
    LONGEST_TEXT,
    Hold,
    accepted,
    chosen,
    readable_since,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)
RETENTION = 30 * DAY
ASKED = Hold(NOON - 2 * DAY, NOON - DAY, "2026-117", "a window", NOON + 90 * DAY, "kirsten")


def at(now: datetime, state: ClockState = ClockState.TRUSTED) -> Moment:
    """Return a moment by a clock that was never ahead."""
    return Moment(now, now, state)


def held() -> Hold:
    """Return a hold as it is stored."""
    return replace(accepted(ASKED, at(NOON), RETENTION), number=3)


def test_a_hold_is_what_was_asked_for() -> None:
    """In UTC, with the time at which it was added."""
    assert held() == replace(ASKED, number=3, added_at=NOON)


@pytest.mark.parametrize(
    "edge",
    [
        replace(ASKED, until=NOON + LONGEST),
        replace(ASKED, since=NOON - RETENTION),
        replace(ASKED, to=NOON),
        replace(ASKED, until=NOON + MOMENT),
        replace(ASKED, reason="abc" + "x" * (LONGEST_TEXT - 3)),
        replace(ASKED, case="0700-12345-00001-26"),
        replace(ASKED, case="0700-123456"),
        replace(ASKED, case="3213-700101"),
    ],
)
def test_a_limit_itself_is_allowed(edge: Hold) -> None:
    """The longest hold, the oldest visit, a window up to now."""
    accepted(edge, at(NOON), RETENTION)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, until=NOON + LONGEST + MOMENT), "at most 180 days"),
        (replace(ASKED, until=NOON), "ended already"),
        (replace(ASKED, to=ASKED.since), "before it begins"),
        (replace(ASKED, to=NOON + MOMENT), "in the future"),
        (replace(ASKED, since=NOON - RETENTION - MOMENT), "that is gone"),
        (replace(ASKED, case=" "), "case number"),
        (replace(ASKED, case="x" * (LONGEST_TEXT + 1)), "case number"),
        (replace(ASKED, reason=""), "reason"),
        (replace(ASKED, reason="two\nlines"), "reason"),
        (replace(ASKED, since=datetime(1, 1, 1, tzinfo=UTC)), "no time"),
        (replace(ASKED, until=datetime(2026, 9, 1)), "no time"),  # noqa: DTZ001 - as it is refused
    ],
)
def test_what_makes_no_sense_is_refused(asked: Hold, why: str) -> None:
    """A hold is bounded, has a reason, and is for what has happened and is still there."""
    with pytest.raises(InputError, match=why):
        accepted(asked, at(NOON), RETENTION)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, case="010170-1234"), "may be a CPR number"),
        (replace(ASKED, case="case 31/12/70 (1234)"), "may be a CPR number"),
        (replace(ASKED, reason="card 3000001234"), "8 or more digits in a row"),
    ],
)
def test_nobodys_number_stands_in_a_hold(asked: Hold, why: str) -> None:
    """Neither as the case nor in the reason, whichever way it comes; it is not repeated."""
    with pytest.raises(InputError, match=why) as caught:
        accepted(asked, at(NOON), RETENTION)
    assert "1234" not in str(caught.value)


def test_no_hold_begins_by_a_guess() -> None:
    """Nobody could say when it ends; and while the clock is not set nothing is purged."""
    with pytest.raises(InputError, match="clock"):
        accepted(ASKED, at(NOON, ClockState.UNTRUSTED), RETENTION)


def test_a_hold_cannot_be_handed_on() -> None:
    """What only one hold keeps is out of reach for the next: there is no hold without an end."""
    later = NOON + 80 * DAY
    again = replace(ASKED, until=later + 90 * DAY)

    with pytest.raises(InputError, match="that is gone"):
        accepted(again, at(later), RETENTION)


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (at(ASKED.until - MOMENT), ASKED.since),
        (at(ASKED.until), ASKED.until - RETENTION),
        (at(NOON + 40 * DAY, ClockState.UNTRUSTED), NOON + 10 * DAY),
        (Moment(NOON, ASKED.until, ClockState.TRUSTED), ASKED.until - RETENTION),
        (at(NOON, ClockState.UNTRUSTED), ASKED.since),
    ],
    ids=["its last moment", "its end", "in doubt", "once said to be over", "young and in doubt"],
)
def test_a_hold_shows_its_visits_while_it_certainly_holds(now: Moment, since: datetime) -> None:
    """After it, or where nobody knows how long the branch was off, no more than any list does."""
    assert readable_since(held(), now, RETENTION) == since
    assert held().in_force(now) is (now == at(ASKED.until - MOMENT))


def test_one_is_chosen_by_its_number() -> None:
    """A number that no hold has is told."""
    assert chosen([held()], 3) == held()
    with pytest.raises(InputError, match="no hold 4"):
        chosen([held()], 4)
