from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.masked import Identifier, IdentifierKind, Pin
from doorctl.sync.feed import FeedIdentifier, FeedPatron
from doorctl.sync.rows import old_enough_from
from doorctl.sync.sealing import IN_FLIGHT_PER_WORKER, NEVER, lent_patron, seal_rows
from tests.fakes.memory_store import FastSealer
from tests.sync.senders import TODAY, CountingSealer, sealing


def card(number: int) -> FeedIdentifier:
    """A plastic card in force."""
    return FeedIdentifier(Identifier(IdentifierKind.CARD, str(number)), True, None)


def cpr(number: str) -> FeedIdentifier:
    """A CPR number in force."""
    return FeedIdentifier(Identifier(IdentifierKind.CPR, number), True, None)


PLAIN = FeedPatron(
    line=1,
    row=Patron("1001", resident=True),
    identifiers=(card(3000001234),),
    left_out=0,
    pin=Pin("4711"),
    birthday=None,
)


def sealed(*patrons: FeedPatron, **changed: Any) -> list[SealedRow]:
    """All rows of these patrons."""
    return list(seal_rows(patrons, sealing(**{"minimum_age": 14, **changed})))


def test_a_row_keeps_what_decides_and_nothing_else() -> None:
    """The sealed row has every field that the policy reads, under the identifier's own key."""
    identifier = FeedIdentifier(
        Identifier(IdentifierKind.CPR, "0101701234"), False, date(2027, 5, 31)
    )
    row = Patron(
        "1001",
        resident=True,
        blocks=frozenset({"E", "Ny"}),
        hold_from=date.min,
        hold_until=date(2026, 4, 1),
        tags=frozenset({"open"}),
    )
    patron = replace(PLAIN, identifiers=(identifier,), row=row)
    stretched = FastSealer().stretch(identifier.identifier)

    assert sealed(patron) == [
        SealedRow(
            row_key(stretched),
            replace(
                row,
                pin_check=pin_check(stretched, Pin("4711")),
                active=False,
                valid_until=date(2027, 5, 31),
            ),
        )
    ]


def test_each_identifier_proves_the_pin_by_its_own_key() -> None:
    """Two cards of a patron give two rows whose PIN checks differ, and both prove the PIN."""
    patron = replace(PLAIN, identifiers=(card(3000000001), card(3000000002)))
    rows = sealed(patron)
    keys = [FastSealer().stretch(each.identifier) for each in patron.identifiers]

    assert rows[0].patron.pin_check != rows[1].patron.pin_check
    assert [row.patron.pin_check for row in rows] == [pin_check(key, Pin("4711")) for key in keys]


def test_no_pin_gives_no_check() -> None:
    """A PIN that is not known yet can't be proved by any."""
    assert sealed(replace(PLAIN, pin=None))[0].patron.pin_check is None


def test_the_day_of_a_new_pin_goes_with_every_row() -> None:
    """Each of a patron's cards had a PIN check of its own, so each is told."""
    day = date(2026, 2, 28)
    patron = replace(PLAIN, identifiers=(card(30001), card(30002)), pin=None, pin_changed=day)

    assert [row.pin_changed for row in sealed(patron)] == [day, day]
    assert [row.pin_changed for row in sealed(PLAIN)] == [None]


def test_a_patron_without_cards_gives_no_row() -> None:
    """One row an identifier, so none for none."""
    assert sealed(replace(PLAIN, identifiers=()), PLAIN) == sealed(PLAIN)


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 3))
def test_order_and_count_are_the_feeds(cards_each: list[int], workers: int) -> None:
    """However many threads seal, rows come in the order of the feed, one an identifier."""
    patrons = [
        replace(
            PLAIN,
            row=Patron(str(number)),
            identifiers=tuple(card(10_000 + 10 * number + each) for each in range(cards)),
        )
        for number, cards in enumerate(cards_each)
    ]
    every = [each.identifier for patron in patrons for each in patron.identifiers]
    expected = [row_key(FastSealer().stretch(each)) for each in every]

    assert [row.row_key for row in sealed(*patrons, workers=workers)] == expected


def test_progress_is_told_row_by_row() -> None:
    """Whoever waits sees how many rows are done, counted from one, and of how many."""
    told: list[tuple[int, int]] = []
    patrons = [replace(PLAIN, identifiers=(card(10_000 + n),)) for n in range(20)]
    rows = sealed(*patrons, on_progress=lambda done, total: told.append((done, total)))

    assert len(rows) == 20
    assert told == [(done, 20) for done in range(1, 21)]


def test_only_a_few_rows_are_sealed_ahead() -> None:
    """A consumer that stops leaves the rest unsealed: memory is bounded by the window."""
    sealer = CountingSealer()
    patrons = [replace(PLAIN, identifiers=(card(10_000 + n),)) for n in range(1000)]
    rows: Iterator[SealedRow] = seal_rows(patrons, sealing(sealer=sealer, workers=2))
    next(rows)
    del rows

    assert 0 < sealer.count <= 2 * IN_FLIGHT_PER_WORKER


def born(year: int, month: int, day: int, *numbers: str) -> FeedPatron:
    """A patron of that birthday, with CPR numbers or else a card."""
    own = tuple(map(cpr, numbers)) or PLAIN.identifiers
    return replace(PLAIN, birthday=date(year, month, day), identifiers=own)


def unknown(*numbers: str) -> FeedPatron:
    """A patron whose birthday the register does not know."""
    return replace(PLAIN, identifiers=(*map(cpr, numbers), card(30000)))


@pytest.mark.parametrize(
    ("patron", "changed", "kept"),
    [
        (born(2012, 3, 1), {}, None),
        (born(2012, 3, 2), {}, date(2026, 3, 2)),
        (born(2012, 2, 29), {}, None),
        (born(2012, 2, 29), {"on": date(2026, 2, 28)}, date(2026, 3, 1)),
        (born(2015, 7, 8), {}, date(2029, 7, 8)),
        (born(1970, 1, 1), {}, None),
        (born(2020, 5, 17), {"minimum_age": 0}, None),
        (born(2015, 5, 18, "1705701234"), {}, date(2029, 5, 18)),
        (unknown(), {}, date.max),
        (unknown("1705154321"), {}, date(2029, 5, 17)),
        (unknown("7705154321"), {}, date(2029, 5, 17)),
        (unknown("1705701234"), {}, None),
        (unknown("1705701234", "1705154321"), {}, date(2029, 5, 17)),
    ],
)
def test_an_age_is_kept_for_those_who_may_still_be_too_young(
    patron: FeedPatron, changed: dict[str, Any], kept: date | None
) -> None:
    """In each row of theirs, until the day has come; where there is a limit, and a known day.

    The register's birthday counts, or else the latest one in a CPR number, a replacement number
    too; without any there is doubt, and any doubt refuses.
    """
    assert {row.patron.enter_from for row in sealed(patron, **changed)} == {kept}


WEAK = ["1234", "0101", "1970", "1237", "3400"]
"""A run, the birthday twice, the end of the CPR number, the end of the card's number."""


@pytest.mark.parametrize("flags_weak", [True, False])
@pytest.mark.parametrize("pin", WEAK)
def test_a_weak_pin_is_flagged_in_every_row_of_the_patron(pin: str, *, flags_weak: bool) -> None:
    """Where the policy asks: what one card gives away opens by the others too."""
    patron = replace(PLAIN, identifiers=(card(3000003400), cpr("0101701237")), pin=Pin(pin))

    rows = sealed(patron, flags_weak=flags_weak)

    assert [row.patron.weak_pin for row in rows] == [flags_weak] * 2


@pytest.mark.parametrize("pin", [None, Pin("4711")])
def test_no_other_pin_is_flagged(pin: Pin | None) -> None:
    """One that is not known is not weak: it is judged once it is proved."""
    (row,) = sealed(replace(PLAIN, pin=pin), flags_weak=True)

    assert not row.patron.weak_pin


@pytest.mark.parametrize(
    ("birthday", "minimum_age", "day"),
    [
        (date(2012, 5, 17), 14, date(2026, 5, 17)),
        (date(2012, 2, 29), 14, date(2026, 3, 1)),
        (date(2012, 2, 29), 16, date(2028, 2, 29)),
        (date(2012, 12, 31), 0, date(2012, 12, 31)),
        (date(2199, 12, 31), 120, date(2319, 12, 31)),
    ],
)
def test_the_day_on_which_somebody_is_old_enough(
    birthday: date, minimum_age: int, day: date
) -> None:
    """It is the birthday; for the 29th of February the 1st of March where there is no 29th."""
    assert old_enough_from(birthday, minimum_age) == day


@given(st.dates(date(1850, 1, 1), date(2199, 12, 31)), st.integers(0, 120))
def test_nobody_is_old_enough_a_day_early(birthday: date, minimum_age: int) -> None:
    """On the day itself, and not before it, the years of age are complete."""
    day = old_enough_from(birthday, minimum_age)
    years = day.year - birthday.year

    assert years == minimum_age
    assert (day.month, day.day) >= (birthday.month, birthday.day)


# The row of a patron whom no push has brought yet, by the library system's answer.

CPR = Identifier(IdentifierKind.CPR, "0101701234")
CARD = Identifier(IdentifierKind.CARD, "3000001234")
PIN, AGE = Pin("4711"), 15
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
    pin: Pin = PIN,
    birthday: date | None = BORN,
    **more: Any,
) -> Patron:
    """Return the row that is lent for an answer."""
    usual = {"minimum_age": AGE, "on": TODAY, **more}
    return lent_patron(answer, birthday, identifier, FastSealer().stretch(identifier), pin, **usual)


@pytest.mark.parametrize("identifier", [CARD, CPR], ids=["card", "cpr"])
@pytest.mark.parametrize("birthday", [date(1970, 1, 1), date(2015, 5, 5), None])
@pytest.mark.parametrize("active", [True, False])
def test_it_is_the_row_that_a_push_would_bring(
    identifier: Identifier, birthday: date | None, *, active: bool
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
    [row] = sealed(pushed, minimum_age=AGE)

    answer = replace(ANSWER, active=active)
    assert lent(answer, identifier, birthday=birthday) == replace(row.patron, pushed=False)


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
