"""What an export would become, judged by the door's own checks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from doorctl.access.policy import Policy
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.sync.feed import FeedIdentifier, FeedPatron, Rows, WrongRow
from doorctl.sync.look import Look, in_words, look
from tests.sync.senders import TODAY, patron

POLICY = Policy(require_resident=True, minimum_age=15)
BORN = date(1970, 5, 17)


def looked(*patrons: FeedPatron, wrong: list[WrongRow] | None = None) -> Look:
    """Look at an export of these."""
    return look(Rows("export", list(patrons), wrong or []), on=TODAY, policy=POLICY)


def one(**changed: object) -> FeedPatron:
    """Return a patron whom the door would let in, but for what is changed in the row."""
    good = patron(1)
    row = replace(good.row, **changed)  # type: ignore[arg-type]
    return replace(good, row=row, birthday=BORN)


@pytest.mark.parametrize(
    ("changed", "keeps_out"),
    [
        ({}, ""),
        ({"blocks": frozenset({"E"})}, ""),
        ({"blocks": frozenset({"D"})}, "blocked"),
        ({"hold_from": TODAY - timedelta(days=9), "hold_until": TODAY - timedelta(days=1)}, ""),
        ({"hold_from": TODAY + timedelta(days=9)}, ""),
        ({"hold_from": TODAY - timedelta(days=1)}, "expired"),
    ],
)
def test_who_would_get_in_is_the_doors_own_answer(
    changed: dict[str, object], keeps_out: str
) -> None:
    """A debt keeps nobody out, nor a pause that is over or has not begun.

    Bug (a second reader): the look had rules of its own, by which each block and pause kept out.
    """
    assert [row.keeps_out for row in looked(one(**changed)).rows] == [keeps_out]


def test_who_has_a_cpr_number_has_a_birthday() -> None:
    """As the sender reads it for the door."""
    cpr = FeedIdentifier(
        Identifier(IdentifierKind.CPR, "0101701234"), active=True, valid_until=None
    )
    known = replace(one(), birthday=None, identifiers=(cpr,))
    unknown = replace(one(), birthday=None)

    assert [row.keeps_out for row in looked(known, unknown).rows] == ["", "age"]


def test_who_depends_on_a_pin_that_is_learnt_is_counted() -> None:
    """Who would get in and has no PIN here; neither who is kept out anyway, nor who has one."""
    bare = replace(one(), pin=None)
    barred = replace(one(blocks=frozenset({"D"})), pin=None)
    seen = looked(bare, bare, barred, one())

    assert (seen.counts["without_pin"], seen.counts["would_get_in"]) == (3, 3)
    assert seen.counts["pin_to_learn"] == 2
    (said,) = [line for line in in_words(seen) if "[lms]" in line]
    assert said.startswith("2 of the 3 who would get in have no PIN here")
    assert not any("[lms]" in line for line in in_words(looked(one())))


def test_where_no_pin_is_asked_for_none_is_learnt() -> None:
    """A library without PINs depends on no library system."""
    rows = Rows("export", [replace(one(), pin=None)], [])
    seen = look(rows, on=TODAY, policy=replace(POLICY, require_pin=False))

    assert seen.counts["pin_to_learn"] == 0


def test_a_patron_without_a_card_is_counted() -> None:
    """There is nothing to show the reader."""
    seen = looked(replace(one(), identifiers=()), one())

    assert (seen.counts["without_identifier"], seen.counts["would_get_in"]) == (1, 1)


def test_rows_that_are_wrong_for_one_reason_are_one_line() -> None:
    """However many lines they stand in, and wherever in a list."""
    wrong = [
        WrongRow(n, (f"identifiers[{n % 3}]: stands in line {n} too; give it to one patron",))
        for n in range(100)
    ]

    assert list(looked(wrong=wrong).set_aside.values()) == [100]


def test_one_birthday_of_many_is_suspicious_and_many_of_a_town_are_not() -> None:
    """A column of registrations has few days; a town has all, each of some patrons."""
    days = [BORN + timedelta(days=n) for n in range(400)]
    town = looked(*(replace(one(), line=n, birthday=days[n % 400]) for n in range(4000)))
    column = looked(*(replace(one(), line=n, birthday=days[n % 5]) for n in range(400)))

    assert not any("one birthday" in text for text in town.suspicions)
    assert any("one birthday" in text for text in column.suspicions)


def test_words_have_no_number_of_a_card() -> None:
    """A terminal is looked at by others."""
    numbers = [each.identifier.reveal().partition(":")[2] for each in one().identifiers]
    text = "\n".join(in_words(looked(one())))

    assert not any(number in text for number in numbers)
