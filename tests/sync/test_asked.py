from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from doorctl.access.patron import Patron, pin_check
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.sync.feed import NEVER, FeedIdentifier, FeedPatron, Sealing, lent_patron, seal_rows
from tests.fakes.memory_store import FastSealer

CPR = Identifier(IdentifierKind.CPR, "0101701234")
CARD = Identifier(IdentifierKind.CARD, "3000001234")
PIN, AGE, TODAY = Pin("4711"), 15, date(2026, 3, 2)
BORN = date(1970, 1, 1)
ANSWER = Patron(
    "1001",
    resident=True,
    blocks=frozenset({"E"}),
    valid_until=date(2027, 1, 1),
    hold_from=date(2026, 1, 1),
    hold_until=date(2026, 1, 2),
    tags=frozenset({"ung"}),
)


def lent(
    answer: Patron = ANSWER,
    identifier: Identifier = CARD,
    *,
    birthday: date | None = BORN,
    minimum_age: int = AGE,
    on: date | None = TODAY,
    pin: Pin = PIN,
    flags_weak: bool = False,
) -> Patron:
    """Return the row that is lent for an answer."""
    stretched = FastSealer().stretch(identifier)
    more = {"minimum_age": minimum_age, "flags_weak": flags_weak}
    return lent_patron(answer, birthday, identifier, stretched, pin, on=on, **more)


@pytest.mark.parametrize("identifier", [CARD, CPR], ids=["card", "cpr"])
@pytest.mark.parametrize("birthday", [date(1970, 1, 1), date(2015, 5, 5), None])
@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("on", [TODAY, None])
def test_it_is_the_row_that_a_push_would_bring(
    identifier: Identifier, birthday: date | None, *, active: bool, on: date | None
) -> None:
    """To the last field, so that the next push changes nothing."""
    pushed = FeedPatron(
        line=1,
        row=replace(ANSWER, valid_until=None),
        identifiers=(FeedIdentifier(identifier, active, ANSWER.valid_until),),
        left_out=0,
        pin=PIN,
        birthday=birthday,
    )
    [row] = seal_rows(
        [pushed],
        Sealing(
            sealer=FastSealer(),
            minimum_age=AGE,
            on=on,
            workers=1,
            on_progress=lambda _done, _total: None,
        ),
    )

    answer = replace(ANSWER, active=active)
    assert lent(answer, identifier, birthday=birthday, on=on) == replace(row.patron, pushed=False)


def test_the_pin_that_was_proved_opens_next_time() -> None:
    """That one and no other, for that number alone."""
    patron = lent()

    assert patron.pin_check == pin_check(FastSealer().stretch(CARD), PIN)
    assert patron.pin_check != pin_check(FastSealer().stretch(CPR), PIN)


@pytest.mark.parametrize(("pin", "is_weak"), [("0101", True), ("1970", True), ("4711", False)])
def test_a_weak_pin_is_called_so_where_the_policy_asks(pin: str, *, is_weak: bool) -> None:
    """By the birthday that the library system tells, even for a plastic card; else never."""
    assert lent(pin=Pin(pin), flags_weak=True).weak_pin is is_weak
    assert not lent(pin=Pin(pin)).weak_pin


def test_nobody_knows_the_age_of_a_card() -> None:
    """Without a birthday a plastic card never is old enough, and a CPR number tells it itself."""
    assert lent(birthday=None).enter_from == NEVER
    assert lent(identifier=CPR, birthday=None).enter_from is None
    assert lent(birthday=None, minimum_age=0).enter_from is None


def test_somebody_too_young_is_told_from_when_on() -> None:
    """On the birthday itself."""
    assert lent(birthday=date(2015, 5, 5)).enter_from == date(2030, 5, 5)


def test_no_number_and_no_pin_is_in_the_row() -> None:
    """Not even where it is printed."""
    shown = repr(lent(ANSWER, CPR))

    assert "0101701234" not in shown
    assert "4711" not in shown


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1849, 12, 31), date(9999, 12, 31)])
def test_what_is_no_birthday_is_an_unknown_one(day: date) -> None:
    """A sentinel of the library system makes nobody old enough, and ends nothing.

    Bug (attack review): a birthday of year 1 or 9999 from the library system let a child in, or
    ended the door process.
    """
    assert lent(birthday=day).enter_from == lent(birthday=None).enter_from


def test_a_hold_without_a_beginning_has_begun() -> None:
    """Where only the end of a hold is told, it stands until then."""
    row = lent(replace(ANSWER, hold_from=None, hold_until=date(2030, 1, 1)))

    assert row.hold_from == date.min
