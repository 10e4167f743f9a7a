from collections.abc import Iterator
from dataclasses import replace
from datetime import date

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
    patron_ref="1001",
    identifiers=(card(3000001234),),
    left_out=0,
    pin=Pin("4711"),
    resident=True,
    birthday=None,
    blocks=frozenset(),
    hold_from=None,
    hold_until=None,
    tags=frozenset(),
)


def sealed(
    *patrons: FeedPatron, minimum_age: int = 14, on: date | None = TODAY, workers: int = 2
) -> list[SealedRow]:
    """All rows of these patrons."""
    return list(
        seal_rows(
            patrons,
            Sealing(
                sealer=FastSealer(),
                minimum_age=minimum_age,
                on=on,
                workers=workers,
                on_progress=lambda _done, _total: None,
            ),
        )
    )


def enter_from(
    patron: FeedPatron, *, minimum_age: int = 14, on: date | None = TODAY
) -> date | None:
    """What is kept of the patron's age."""
    return sealed(patron, minimum_age=minimum_age, on=on)[0].patron.enter_from


def test_a_row_keeps_what_decides_and_nothing_else() -> None:
    """The sealed row has every field that the policy reads, under the identifier's own key."""
    identifier = FeedIdentifier(
        Identifier(IdentifierKind.CPR, "0101701234"), False, date(2027, 5, 31)
    )
    patron = replace(
        PLAIN,
        identifiers=(identifier,),
        blocks=frozenset({"E", "Ny"}),
        hold_from=date.min,
        hold_until=date(2026, 4, 1),
        tags=frozenset({"open"}),
    )
    stretched = FastSealer().stretch(identifier.identifier)

    assert sealed(patron) == [
        SealedRow(
            row_key(stretched),
            Patron(
                patron_ref="1001",
                pin_check=pin_check(stretched, Pin("4711")),
                resident=True,
                active=False,
                blocks=frozenset({"E", "Ny"}),
                restricted=False,
                enter_from=None,
                valid_until=date(2027, 5, 31),
                hold_from=date.min,
                hold_until=date(2026, 4, 1),
                tags=frozenset({"open"}),
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
            patron_ref=str(number),
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
    rows = seal_rows(
        patrons,
        Sealing(
            sealer=FastSealer(),
            minimum_age=0,
            on=None,
            workers=2,
            on_progress=lambda done, total: told.append((done, total)),
        ),
    )

    assert len(list(rows)) == 20
    assert told == [(done, 20) for done in range(1, 21)]


def test_only_a_few_rows_are_sealed_ahead() -> None:
    """A consumer that stops leaves the rest unsealed: memory is bounded by the window."""
    sealer = CountingSealer()
    patrons = [replace(PLAIN, identifiers=(card(10_000 + n),)) for n in range(1000)]
    rows: Iterator[SealedRow] = seal_rows(
        patrons,
        Sealing(
            sealer=sealer, minimum_age=0, on=None, workers=2, on_progress=lambda _done, _total: None
        ),
    )
    next(rows)
    del rows

    assert 0 < len(sealer.stretched) <= 2 * IN_FLIGHT_PER_WORKER


@pytest.mark.parametrize(
    ("birthday", "kept"),
    [
        (date(2012, 3, 1), None),
        (date(2012, 3, 2), date(2026, 3, 2)),
        (date(2012, 2, 29), None),
        (date(2015, 7, 8), date(2029, 7, 8)),
        (date(1970, 1, 1), None),
    ],
)
def test_an_age_is_kept_for_those_still_too_young(birthday: date, kept: date | None) -> None:
    """Who turns old enough today is old enough, and then no date of theirs is stored."""
    assert enter_from(replace(PLAIN, birthday=birthday)) == kept


def test_someone_born_on_29_february_waits_for_1_march() -> None:
    """On the 28th of February the years of age are not complete."""
    leapling = replace(PLAIN, birthday=date(2012, 2, 29))

    assert enter_from(leapling, on=date(2026, 2, 28)) == date(2026, 3, 1)


def test_without_a_known_day_every_age_is_kept() -> None:
    """While nobody knows what day it is, nobody is taken to be old enough."""
    assert enter_from(replace(PLAIN, birthday=date(1970, 5, 17)), on=None) == date(1984, 5, 17)


def test_without_an_age_limit_no_age_is_kept() -> None:
    """A birthday that nothing is decided by is not stored, on whatever day."""
    assert enter_from(replace(PLAIN, birthday=date(2020, 5, 17)), minimum_age=0, on=None) is None


def test_somebody_of_unknown_age_is_never_old_enough() -> None:
    """Without a birthday and a CPR number there is doubt, and any doubt refuses."""
    assert enter_from(PLAIN, on=None) == date.max


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("1705154321", date(2029, 5, 17)),
        ("7705154321", date(2029, 5, 17)),
        ("1705701234", None),
    ],
)
def test_a_missing_birthday_is_read_from_the_cpr_number(number: str, kept: date | None) -> None:
    """The century rule tells a child from a centenarian, also by a replacement number."""
    assert enter_from(replace(PLAIN, identifiers=(cpr(number),))) == kept


def test_the_youngest_cpr_number_counts() -> None:
    """Two numbers that disagree do not let a child in; every card of the patron gets the date."""
    patron = replace(PLAIN, identifiers=(cpr("1705701234"), cpr("1705154321"), card(30000)))

    assert {row.patron.enter_from for row in sealed(patron)} == {date(2029, 5, 17)}


def test_the_registers_birthday_goes_before_the_cpr_number() -> None:
    """A CPR number may be older than what the register knows today."""
    patron = replace(PLAIN, identifiers=(cpr("1705701234"),), birthday=date(2015, 5, 18))

    assert enter_from(patron) == date(2029, 5, 18)


WEAK = ["1234", "0101", "1970", "1237", "3400"]
"""A run, the birthday twice, the end of the CPR number, the end of the card's number."""


def flagged(patron: FeedPatron, *, flags_weak: bool = True) -> list[bool]:
    """Whether each row of a patron says that the PIN is weak."""
    rows = seal_rows(
        [patron],
        Sealing(
            sealer=FastSealer(),
            minimum_age=0,
            on=TODAY,
            workers=1,
            on_progress=lambda _done, _total: None,
            flags_weak=flags_weak,
        ),
    )
    return [row.patron.weak_pin for row in rows]


@pytest.mark.parametrize("pin", WEAK)
def test_a_weak_pin_is_flagged_in_every_row_of_the_patron(pin: str) -> None:
    """What one of the patron's cards gives away opens by the others too."""
    both = (card(3000003400), cpr("0101701237"))

    assert flagged(replace(PLAIN, identifiers=both, pin=Pin(pin))) == [True, True]


@pytest.mark.parametrize("pin", WEAK)
def test_nothing_is_flagged_unless_the_policy_asks(pin: str) -> None:
    """A bit that nobody uses would only help a thief."""
    both = (card(3000003400), cpr("0101701237"))

    assert flagged(replace(PLAIN, identifiers=both, pin=Pin(pin)), flags_weak=False) == [False] * 2


@pytest.mark.parametrize("pin", [None, Pin("4711")])
def test_no_other_pin_is_flagged(pin: Pin | None) -> None:
    """One that is not known is not weak: it is judged once it is proved."""
    assert flagged(replace(PLAIN, pin=pin)) == [False]
