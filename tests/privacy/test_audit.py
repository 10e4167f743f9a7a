"""What an audit entry may hold, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState, Moment
from doorctl.privacy.audit import KEPT, NOT_A_NAME, Action, Deed, account, erased_before
from doorctl.privacy.audit import KEY as KEY_NAME

ZONE = ZoneInfo("Europe/Copenhagen")
KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("why", "details"),
    [
        ("asked by 010170-1234", {}),
        ("x" * 201, {}),
        ("a\x1b[2J", {}),
        ("", {"identifier": "0101701234"}),
        ("", {"card": "3000001234"}),
    ],
)
def test_a_person_number_has_no_place_in_an_entry(why: str, details: dict[str, int | str]) -> None:
    """Nor has what can't be printed; the line does not repeat it."""
    with pytest.raises(InputError) as refusal:
        Deed(Action.PATRON_EXPLAINED, why=why, details=details)

    assert "0101701234" not in str(refusal.value)


@pytest.mark.parametrize("number", [9_999_999, 10_000_000, 20261126, 2**63 - 1])
def test_a_number_that_we_gave_ourselves_is_no_persons_number(number: int) -> None:
    """A push is numbered as high as its sender likes, and must not stay off the record for it."""
    deed = Deed(Action.PUSH_APPLIED, details={"epoch": number})

    assert deed.details["epoch"] == number


def test_a_keys_name_is_no_persons_number() -> None:
    """Eight hex digits that happen to be decimal ones, or the rotation would fail at its end.

    Bug (end-to-end test, on a busy machine): a key whose name is decimal digits alone (1 of 43)
    could not be put on the audit log: `keys adopt` ended in a refusal after all was done.
    """
    assert Deed(Action.KEY_ADOPTED, details={KEY_NAME: "30000012"}).details[KEY_NAME] == "30000012"


def test_no_deed_shows_at_whom_it_was() -> None:
    """A traceback may quote a deed."""
    shown = repr(Deed(Action.PATRON_EXPLAINED, (KEY,), "patron-1001"))

    assert "patron-1001" not in shown
    assert repr(KEY) not in shown


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("grethe", "grethe"),
        ("Karen\u00a0Testesen\n", "Karen?Testesen?"),
        ("", NOT_A_NAME),
        ("0101701234", NOT_A_NAME),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_strange_name_keeps_nothing_off_the_record(name: str, kept: str) -> None:
    """It is made fit to be printed, and a number of a person is left out."""
    assert account(name) == kept


@given(st.text())
def test_an_account_is_always_printable(name: str) -> None:
    """Whatever stands in a push's `approved_by`."""
    assert account(name).isprintable()


@given(st.integers(0, 366 * 24 * 60), st.timedeltas(timedelta(0), timedelta(400)))
def test_an_entry_lives_at_least_184_and_at_most_185_days(minutes: int, age: timedelta) -> None:
    """Half a year has 184 days at the most; by one day more every record is due."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    cutoff = erased_before(Moment(now.astimezone(ZONE), now, ClockState.TRUSTED))

    assert cutoff is not None
    if now - age < cutoff:
        assert age > KEPT - timedelta(days=1)
    if age >= KEPT:
        assert now - age < cutoff


def test_a_day_has_one_time_of_erasure() -> None:
    """So that the file is rewritten once a day, not at each push."""
    of_a_day = {
        erased_before(Moment(at, at, ClockState.HOLDOVER))
        for at in (datetime(2026, 5, 4, hour, 59, tzinfo=UTC) for hour in range(24))
    }

    assert len(of_a_day) == 1


def test_an_unset_clock_erases_nothing() -> None:
    """A wrong one would erase too much, for good."""
    now = datetime(2031, 1, 1, tzinfo=UTC)

    assert erased_before(Moment(now, now, ClockState.UNTRUSTED)) is None
    assert erased_before(Moment(now, now, ClockState.TRUSTED, stepped=True)) is None
