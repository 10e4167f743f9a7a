"""Branches of one sender, each with an age limit of its own: each decides as if it were alone."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import Reason, SealedRow
from doorctl.access.policy import Case, Policy, decide
from doorctl.core.errors import FeedError
from doorctl.core.moments import ClockState, Moment
from doorctl.core.ports import Seal
from doorctl.sync.delivery import Result
from doorctl.sync.feed import WrongRow
from doorctl.sync.outbox import Terms
from doorctl.sync.sealing import seal_rows
from doorctl.sync.wire import decode, encode
from tests.fakes.branch import FakeBranch
from tests.sync.senders import TERMS, TODAY, ListSource, Town, patron, sealing

NAMES = ("oest", "syd", "langaa")
GROWN = Terms(TERMS.seal, 14)
ADULT, CHILD_OF_11, CHILD_OF_8 = date(1971, 1, 1), date(2015, 1, 9), date(2018, 1, 9)
LIMITS = st.sampled_from([0, 10, 14, 15])
BIRTHDAYS = st.one_of(
    st.none(),
    st.dates(date(2008, 1, 1), date(2020, 12, 31)),
    st.sampled_from([date(2012, 2, 29), date(2016, 2, 29), ADULT]),
)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Three branches, and an adult and two children who may enter at other ages."""
    town = Town(tmp_path, [FakeBranch(name) for name in NAMES])
    birthdays = [ADULT, CHILD_OF_11, CHILD_OF_8]
    town.source.patrons = [patron(n, birthday=day) for n, day in enumerate(birthdays, 1)]
    return town


def days(branch: FakeBranch) -> list[str | None]:
    """From when each patron may enter, in the order of their numbers."""
    return [row["enter_from"] for row in sorted(branch.rows.values(), key=lambda row: row["ref"])]


def test_each_branch_gets_the_days_for_its_own_limit(town: Town) -> None:
    """And its manifest says so; each card was sealed once, whatever the number of limits."""
    town.push(terms=GROWN, ages={"syd": 10, "langaa": 0})

    assert [days(branch) for branch in town.branches] == [
        [None, "2029-01-09", "2032-01-09"],
        [None, None, "2028-01-09"],
        [None, None, None],
    ]
    manifests = [branch.arrived[-1].manifest for branch in town.branches]
    assert [manifest["minimum_age"] for manifest in manifests] == [14, 10, 0]
    assert town.sealer.count == 3


def test_coming_of_age_somewhere_is_a_change_there(town: Town) -> None:
    """It goes as changes, with each branch's own day; the day that is over is kept nowhere."""
    ages = {"syd": 10}
    town.push(terms=GROWN, ages=ages)

    _, deliveries = town.push(terms=GROWN, ages=ages, on=date(2028, 1, 9))

    assert not any(delivery.snapshot for delivery in deliveries.values())
    assert days(town.branches[0])[2] == "2032-01-09"
    assert days(town.branches[1])[2] is None
    town.push(terms=GROWN, ages=ages, on=date(2029, 1, 9))
    assert days(town.branches[0]) == [None, None, "2032-01-09"]
    assert b"2028-01-09" not in town.outbox_path.read_bytes()


def test_another_limit_of_one_branch_sends_what_it_needs(town: Town) -> None:
    """All rows to that branch; only the children who wait for it are sealed, and told others."""
    town.push(terms=GROWN)
    refreshed, deliveries = town.push(terms=GROWN, ages={"syd": 10})

    assert (refreshed.changed, town.sealer.count) == (1, 4)
    assert [deliveries[name].snapshot for name in NAMES] == [False, True, False]
    assert [deliveries[name].volume.cards for name in NAMES] == [1, 3, 1]
    assert days(town.branches[1]) == [None, None, "2028-01-09"]
    again = town.push(terms=GROWN, ages={"syd": 10})[1]
    assert {delivery.result for delivery in again.values()} == {Result.UNCHANGED}


def test_two_branches_that_swap_their_limits_get_a_new_number(town: Town) -> None:
    """No row has changed in the outbox; the same number would stand for another register.

    Bug (outside look): a branch with another age limit than its sender's refused every push, or
    every child between the two limits.
    """
    town.push(terms=GROWN, ages={"syd": 10, "langaa": 12})
    before = town.branches[1].epoch

    refreshed, deliveries = town.push(terms=GROWN, ages={"syd": 12, "langaa": 10})

    assert refreshed.changed == 0
    assert [deliveries[name].snapshot for name in NAMES if name in deliveries][1:] == [True, True]
    assert days(town.branches[1])[1] == "2027-01-09"
    assert days(town.branches[2])[1] is None
    assert town.branches[1].epoch > before


def test_a_new_limit_needs_the_whole_register(town: Town) -> None:
    """Without their birthdays nobody can say when the others are old enough for it."""
    town.push(terms=GROWN)
    town.source.whole = False
    with pytest.raises(FeedError, match="or a minimum_age is another one"):
        town.push(terms=GROWN, ages={"syd": 10})

    town.source.whole = True
    town.source.patrons = [patron(1, birthday=ADULT)]
    town.push(terms=GROWN, ages={"syd": 10})
    town.source.whole = False
    assert town.push(terms=GROWN, ages={"syd": 10})[0].changed == 0


def test_a_limit_that_is_dropped_takes_nobody_out(town: Town) -> None:
    """What is held was sealed for the others too; changes alone will do after it.

    Bug (read by a stranger): another or a dropped age limit of one branch took whoever's row
    was set aside out of every branch.
    """
    town.push(terms=GROWN, ages={"syd": 10, "langaa": 12})
    everybody, town.source.patrons = town.source.patrons, town.source.patrons[:2]
    town.source.set_aside = [("list", WrongRow(3, ("why",), "3", True))]

    assert town.push(terms=GROWN, ages={"syd": 10})[0].removed == 0
    assert days(town.branches[1]) == [None, None, "2028-01-09"]
    town.source.whole, town.source.patrons, town.source.set_aside = False, everybody[2:], ()
    town.push(terms=GROWN)
    assert [days(branch)[2] for branch in town.branches] == ["2032-01-09"] * 3


def test_a_new_limit_shuts_out_who_stays_as_held_only_where_it_counts(town: Town) -> None:
    """Nobody knows when they are old enough for it; a right row says so, and ends it."""
    town.push(terms=GROWN, ages={"syd": 10})
    everybody, town.source.patrons = town.source.patrons, town.source.patrons[1:2]
    wrong = [WrongRow(1, ("why",), "1", True), WrongRow(3, ("why",), "3", True)]
    town.source.set_aside = [("list", row) for row in wrong]

    refreshed, _ = town.push(terms=GROWN, ages={"syd": 10, "langaa": 12})

    assert refreshed.removed == 0
    expected = [
        [None, "2029-01-09", "2032-01-09"],
        [None, None, "2028-01-09"],
        ["9999-12-31", "2027-01-09", "9999-12-31"],
    ]
    assert [days(branch) for branch in town.branches] == expected
    again = town.push(terms=GROWN, ages={"syd": 10, "langaa": 12})[1]
    assert {delivery.result for delivery in again.values()} == {Result.UNCHANGED}
    town.source.patrons, town.source.set_aside = everybody, ()
    town.push(terms=GROWN, ages={"syd": 10, "langaa": 12})
    expected[2] = [None, "2027-01-09", "2030-01-09"]
    assert [days(branch) for branch in town.branches] == expected


def test_limits_that_change_nobodys_row_are_remembered(town: Town) -> None:
    """So that changes alone are believed after them."""
    town.source.patrons = [patron(1, birthday=ADULT)]
    town.push(terms=GROWN)
    town.push(terms=GROWN, ages={"syd": 10})
    town.source.whole = False

    assert town.push(terms=GROWN, ages={"syd": 10})[0].changed == 0


def test_no_birthday_lies_in_the_outbox(town: Town) -> None:
    """Only the days on which somebody becomes old enough, and of adults not even these."""
    town.push(terms=GROWN, ages={"syd": 10, "langaa": 15})

    raw = b"".join(file.read_bytes() for file in town.directory.iterdir())
    assert b"2028-01-09" in raw
    for birthday in (ADULT, CHILD_OF_11, CHILD_OF_8):
        assert str(birthday).encode() not in raw
    for age in (10, 14, 15):
        assert str(ADULT.replace(year=ADULT.year + age)).encode() not in raw


@given(
    birthdays=st.lists(BIRTHDAYS, min_size=1, max_size=5),
    own=LIMITS,
    runs=st.lists(
        st.tuples(st.integers(0, 900), st.dictionaries(st.sampled_from(NAMES), LIMITS)),
        min_size=1,
        max_size=4,
    ),
    away=st.sets(st.integers(0, 2)),
)
def test_each_decides_as_if_alone(
    birthdays: list[date | None],
    own: int,
    runs: list[tuple[int, dict[str, int]]],
    away: set[int],
) -> None:
    """Whatever limits there were before, its rows are a lone branch's and its verdicts the law's.

    An age is counted here as people do it, by this year's birthday, not by the day to come.
    """
    terms = Terms(Seal("0badcafe", 64, 1), own)
    patrons = [patron(n, birthday=day) for n, day in enumerate(birthdays, 1)]
    today = TODAY
    with tempfile.TemporaryDirectory() as directory:
        town = Town(Path(directory), [FakeBranch(name) for name in NAMES], ListSource(patrons))
        for number, (later, ages) in enumerate(runs):
            today += timedelta(days=later)
            for place, branch in enumerate(town.branches):
                branch.away = place in away and number < len(runs) - 1
            town.push(terms=terms, on=today, ages=ages)
            for branch in (one for one in town.branches if not one.away):
                limit = ages.get(branch.name, own)
                assert branch.arrived[-1].manifest["minimum_age"] == limit
                assert _alone(patrons, limit, today) == branch.patrons()
                for row in branch.rows.values():
                    _judge(row, birthdays[int(row["ref"]) - 1], limit, today)


def _alone(patrons: list[Any], limit: int, today: date) -> dict[str, list[dict[str, Any]]]:
    lone, sealed = FakeBranch("oest"), seal_rows(patrons, sealing(limit, today))
    lone.rows = {row["key"]: row for row in map(json.loads, map(encode, sealed))}
    return lone.patrons()


def _judge(row: dict[str, Any], birthday: date | None, limit: int, today: date) -> None:
    line = decode(json.dumps(row).encode())
    assert isinstance(line, SealedRow)
    policy = Policy(require_pin=False, minimum_age=limit)
    for day in (today, today + timedelta(days=1), today + timedelta(days=366)):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        case = Case(line.patron, Moment(noon, noon, ClockState.TRUSTED), cache_minimum_age=limit)
        old = limit == 0 or (birthday is not None and _age(birthday, day) >= limit)
        assert decide(policy, case).reason is (Reason.OK if old else Reason.UNDER_AGE)


def _age(birthday: date, day: date) -> int:
    had_birthday = (day.month, day.day) >= (birthday.month, birthday.day)
    return day.year - birthday.year - (0 if had_birthday else 1)
