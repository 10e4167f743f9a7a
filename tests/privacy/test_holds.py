"""What staff are told of a hold that they ask for, word for word, and what is stored of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.holds import FIRST_DAY, LONGEST, LONGEST_TEXT, Hold, accepted, chosen

HERE = ZoneInfo("Europe/Copenhagen")
NOW = datetime(2026, 5, 4, 14, tzinfo=HERE)
DAY, MOMENT = timedelta(days=1), timedelta(milliseconds=1)
RETENTION = 30 * DAY
ASKED = Hold(NOW - 2 * DAY, NOW - DAY, "2026-117", "a window", NOW + 90 * DAY, "kirsten")
NO_TIME = "--{} is no time that a door log can know"
TRUSTED = Moment(NOW, NOW, ClockState.TRUSTED)


@pytest.mark.usefixtures("far_east")
def test_each_time_of_a_hold_is_stored_in_utc() -> None:
    """Its own time, not another's, wherever the machine believes to be."""
    hold = accepted(ASKED, TRUSTED, RETENTION)

    assert hold == replace(ASKED, added_at=NOW)
    assert {at.tzinfo for at in (hold.since, hold.to, hold.until, hold.added_at)} == {UTC}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (replace(ASKED, to=ASKED.since), "the window ends before it begins"),
        (
            replace(ASKED, to=NOW + MOMENT),
            "the window ends in the future; a hold is for what has happened",
        ),
        (
            replace(ASKED, since=NOW - RETENTION - MOMENT),
            "the window begins before {time}, and that is gone",
        ),
        (replace(ASKED, since=FIRST_DAY), "the window begins before {time}, and that is gone"),
        (replace(ASKED, until=NOW), "the hold would have ended already"),
        (
            replace(ASKED, until=NOW + LONGEST + MOMENT),
            "a hold ends at most 180 days from now",
        ),
        (replace(ASKED, case=""), f"give a case number of 1 to {LONGEST_TEXT} characters"),
        (replace(ASKED, reason=""), f"give a reason of 1 to {LONGEST_TEXT} characters"),
        (
            replace(ASKED, case="010170-1234"),
            "the case number may be a CPR number; give the case's own",
        ),
        (replace(ASKED, since=FIRST_DAY - MOMENT), NO_TIME.format("from")),
        (replace(ASKED, to=FIRST_DAY - MOMENT), NO_TIME.format("to")),
        (replace(ASKED, until=FIRST_DAY - MOMENT), NO_TIME.format("until")),
    ],
)
def test_a_refusal_says_what_to_mend(asked: Hold, text: str) -> None:
    """With the time, in the branch's own, before which nothing can be held."""
    with pytest.raises(InputError) as caught:
        accepted(asked, TRUSTED, RETENTION)

    assert caught.value.text == text
    if "{time}" in text:
        (oldest,) = caught.value.values.values()
        assert oldest == NOW - RETENTION
        assert isinstance(oldest, datetime)
        assert oldest.tzinfo is HERE


def test_a_reason_is_named_as_such() -> None:
    """The text that may name a person is the reason's."""
    with pytest.raises(InputError) as caught:
        accepted(replace(ASKED, reason="card 3000001234"), TRUSTED, RETENTION)

    assert str(caught.value).startswith("the reason holds 8 or more")


def test_without_a_clock_it_is_said_why_and_when_to_come_again() -> None:
    """The whole sentence: nothing is lost meanwhile."""
    with pytest.raises(InputError) as caught:
        accepted(ASKED, Moment(NOW, NOW, ClockState.UNTRUSTED), RETENTION)

    assert str(caught.value) == (
        "the clock is not set, so nobody can say when the hold would end; nothing is purged "
        "until it is set, so add the hold then"
    )


def test_a_number_that_no_hold_has_is_said_with_where_to_look() -> None:
    """The whole sentence."""
    with pytest.raises(InputError) as caught:
        chosen([], 4)

    assert str(caught.value) == "there is no hold 4; list them with `doorctl hold list`"
