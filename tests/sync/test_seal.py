from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.access.patron import Patron, SealedRow, pin_check, row_key
from doorctl.core.masked import Identifier, IdentifierKind, Pin, StretchedKey
from doorctl.sync.feed import IN_FLIGHT_PER_WORKER, FeedIdentifier, FeedPatron, Sealing, seal_rows
from tests.fakes.memory_store import FastSealer


class CountingSealer(FastSealer):
    """Notes each identifier that it stretches."""

    def __init__(self) -> None:
        self.stretched: list[Identifier] = []

    def stretch(self, identifier: Identifier) -> StretchedKey:
        """Note it, then hash it."""
        self.stretched.append(identifier)
        return super().stretch(identifier)


TODAY = date(2026, 3, 1)


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


def sealing(**changed: Any) -> Sealing:
    """How rows are sealed, unless a test says otherwise."""
    usual: dict[str, Any] = {
        "sealer": FastSealer(),
        "minimum_age": 14,
        "on": TODAY,
        "workers": 2,
        "on_progress": lambda _done, _total: None,
    }
    return Sealing(**{**usual, **changed})


def sealed(*patrons: FeedPatron, **changed: Any) -> list[SealedRow]:
    """All rows of these patrons."""
    return list(seal_rows(patrons, sealing(**changed)))


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
    rows: Iterator[SealedRow] = seal_rows(patrons, sealing(sealer=sealer))
    next(rows)
    del rows

    assert 0 < len(sealer.stretched) <= 2 * IN_FLIGHT_PER_WORKER


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
        (born(1970, 5, 17), {"on": None}, date(1984, 5, 17)),
        (born(2020, 5, 17), {"on": None, "minimum_age": 0}, None),
        (born(2015, 5, 18, "1705701234"), {}, date(2029, 5, 18)),
        (unknown(), {"on": None}, date.max),
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
