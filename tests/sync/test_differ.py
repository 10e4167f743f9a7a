from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from doorctl.core.masked import InstallationKey, Pin
from doorctl.core.ports import Seal
from doorctl.sync.difference import Fingerprints, differ
from doorctl.sync.exports import Export
from doorctl.sync.feed import FeedPatron, WrongRow
from doorctl.sync.outbox import Terms
from tests.sync.senders import KEY, TERMS, TODAY, card, patron

GROWN = Terms(TERMS.seal, 14)
Changed = Callable[[FeedPatron], FeedPatron]


def of(row: FeedPatron, *, key: InstallationKey = KEY, terms: Terms = TERMS) -> bytes:
    """The fingerprint of a row."""
    return Fingerprints(key, terms, TODAY).of(row)


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, row=replace(row.row, patron_ref="2")),
        lambda row: replace(row, identifiers=(card(1),)),
        lambda row: replace(row, identifiers=(replace(card(1), active=False), card(2))),
        lambda row: replace(row, identifiers=(replace(card(1), valid_until=TODAY), card(2))),
        lambda row: replace(row, pin=Pin("0815")),
        lambda row: replace(row, pin=None),
        lambda row: replace(row, row=replace(row.row, resident=False)),
        lambda row: replace(row, row=replace(row.row, blocks=frozenset("E"))),
        lambda row: replace(row, row=replace(row.row, hold_from=TODAY)),
        lambda row: replace(row, row=replace(row.row, hold_from=TODAY, hold_until=TODAY)),
        lambda row: replace(row, row=replace(row.row, tags=frozenset({"staff"}))),
        lambda row: replace(row, pin_changed=TODAY),
    ],
)
def test_whatever_is_sealed_counts(change: Changed) -> None:
    """A change of any part of a sealed row is a change of its fingerprint."""
    row = patron(1, 1, 2)

    assert of(change(row)) != of(row)


def test_a_fingerprint_from_before_pin_changed_still_holds() -> None:
    """A row that says nothing of it is not sealed again: that would take a town's night."""
    written_before = "20bc21e76463cef6c1d4dd0eec205eedc6ba14dd2c35c9aa475f0eefa857f7c2"

    assert of(patron(1)).hex() == written_before


@pytest.mark.parametrize(("pin", "changes"), [("1234", True), ("4711", False), (None, False)])
def test_flagging_weak_pins_changes_the_rows_that_have_one(
    pin: str | None, *, changes: bool
) -> None:
    """Once the policy is switched on or off, those are sealed again and nobody else."""
    row = patron(1, pin=pin)
    flagging = Fingerprints(KEY, TERMS, TODAY, flags_weak=True)

    assert (flagging.of(row) != of(row)) is changes


@pytest.mark.parametrize(
    "terms",
    [
        Terms(Seal("deadbeef", 64, 1), 0),
        Terms(Seal("0badcafe", 65, 1), 0),
        Terms(Seal("0badcafe", 64, 2), 0),
        GROWN,
    ],
)
def test_whatever_it_is_sealed_for_counts(terms: Terms) -> None:
    """Rows of other terms are sealed again."""
    assert of(patron(1), terms=terms) != of(patron(1))


def test_without_the_key_it_can_not_be_computed() -> None:
    """Another installation key gives another fingerprint."""
    assert of(patron(1), key=InstallationKey(bytes(32))) != of(patron(1))


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, line=77),
        lambda row: replace(row, left_out=3),
        lambda row: replace(row, identifiers=row.identifiers[::-1]),
        lambda row: replace(row, birthday=date(1971, 1, 1)),
    ],
)
def test_what_is_not_sealed_does_not_count(change: Changed) -> None:
    """Order, place and the birthday of a grown-up patron change no row."""
    row = patron(1, 1, 2, birthday=date(1970, 1, 1))

    assert of(change(row), terms=GROWN) == of(row, terms=GROWN)


def test_the_birthday_of_a_child_counts() -> None:
    """The day on which the child may enter is sealed."""
    young, younger = (patron(1, birthday=date(2015, 1, day)) for day in (1, 2))

    assert of(young, terms=GROWN) != of(younger, terms=GROWN)


@pytest.mark.parametrize(("whole", "removed"), [(True, ["2", "3"]), (False, ["3"])])
def test_who_is_gone(whole: bool, removed: list[str]) -> None:
    """Whoever is missing in the whole register, and in any export who has no card left."""
    known = {ref: bytes(32) for ref in ("1", "2", "3")}
    bare = [replace(patron(number), identifiers=()) for number in (3, 4)]
    export = Export("list", [patron(1), *bare], whole)

    found = differ(export, known, Fingerprints(KEY, TERMS, TODAY))

    assert [*found.changed] == [(patron(1), of(patron(1)))]
    assert found.removed == removed


@pytest.mark.parametrize(
    ("wrong", "same_terms", "removed"),
    [
        ([WrongRow(2, ("why",), "2", True)], True, ["3"]),
        ([WrongRow(2, ("why",), "2", False)], True, ["2", "3"]),
        ([WrongRow(2, ("why",), "2", True), WrongRow(4, (), "2", False)], True, ["2", "3"]),
        ([WrongRow(2, ("why",), "9", True)], True, ["2", "3"]),
        ([WrongRow(2, ("why",))], True, []),
        ([WrongRow(2, ("why",)), WrongRow(3, ("why",), "3", False)], True, ["3"]),
        ([WrongRow(2, ("why",), "2", True)], False, ["2", "3"]),
        ([WrongRow(2, ("why",))], False, ["2", "3"]),
    ],
)
def test_whose_row_was_set_aside_stays_where_that_is_the_safe_side(
    wrong: list[WrongRow], removed: list[str], *, same_terms: bool
) -> None:
    """Not where the row speaks against them, nor where what is held is sealed for other terms.

    While nobody knows whose a row is, nobody is taken out for missing.
    """
    known = {ref: bytes(32) for ref in ("1", "2", "3")}
    export = Export("list", [patron(1)], True, [("list", row) for row in wrong])
    fingerprints = Fingerprints(KEY, TERMS, TODAY)

    found = differ(export, known, fingerprints, same_terms=same_terms)

    assert found.removed == removed
    assert found.kept == known.keys() - {"1", *removed}


def test_of_changes_only_those_stay_as_held_whose_row_was_set_aside() -> None:
    """All the others were not looked at."""
    known = {ref: bytes(32) for ref in ("1", "2", "3")}
    wrong = [("list", WrongRow(2, ("why",), "2", True)), ("list", WrongRow(3, ("why",)))]
    export = Export("list", [patron(1)], False, wrong)

    found = differ(export, known, Fingerprints(KEY, TERMS, TODAY))

    assert found.removed == []
    assert found.kept == {"2"}
