from collections import Counter
from datetime import date, timedelta
from operator import mul
from pathlib import Path

import pytest

from doorctl.cards.identify import identify
from doorctl.cards.numbers import birth_date
from doorctl.core.masked import Identifier, IdentifierKind
from doorctl.core.readings import CardRead
from doorctl.demo.patrons import CAST, Role, stripe, synthetic_feed, write_feed
from doorctl.sync.feed import FeedPatron, read_feed

TODAY = date(2028, 2, 29)
WEIGHTS = (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
"""Of modulus 11, which real numbers pass."""


@pytest.fixture(scope="module")
def patrons(tmp_path_factory: pytest.TempPathFactory) -> list[FeedPatron]:
    """The cast and 300 more, as the feed's reader sees them."""
    path = tmp_path_factory.mktemp("feed") / "patrons.ndjson"
    assert write_feed(path, 300, 7, TODAY) == 305
    patrons = [*read_feed(path, pin_length=4)]
    assert len(patrons) == 305
    return patrons


def cpr_numbers(patrons: list[FeedPatron]) -> list[tuple[FeedPatron, str]]:
    """Every CPR number with its patron."""
    return [
        (patron, each.identifier.reveal().removeprefix("cpr:"))
        for patron in patrons
        for each in patron.identifiers
        if each.identifier.kind is IdentifierKind.CPR
    ]


def test_the_same_seed_gives_the_same_patrons() -> None:
    """A figure or a failure can be had again; another seed gives others."""
    first, again, other = (list(synthetic_feed(50, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_no_cpr_number_can_be_a_real_one(patrons: list[FeedPatron]) -> None:
    """All fail modulus 11, and none is a 1 January, where real numbers may fail it."""
    numbers = [number for _, number in cpr_numbers(patrons)]
    numbers += [role.number for role in CAST if role.kind == "CPR"]

    assert numbers
    assert [one for one in numbers if sum(map(mul, WEIGHTS, map(int, one))) % 11 == 0] == []
    assert [number for number in numbers if number.startswith("0101")] == []


def test_cpr_numbers_are_those_of_the_birthday(patrons: list[FeedPatron]) -> None:
    """The century rule leads from the number back to the birthday of the row."""
    pairs = [(p.birthday, birth_date(number)) for p, number in cpr_numbers(patrons) if p.birthday]

    assert len(pairs) > 200
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_the_mix_has_something_of_everything(patrons: list[FeedPatron]) -> None:
    """Residents and others, blocks and none, children with plastic cards, two cards in a hand."""
    kinds = Counter(tuple(i.identifier.kind.value for i in p.identifiers) for p in patrons)
    blocks = {code for patron in patrons for code in patron.row.blocks}

    assert set(kinds) == {("cpr",), ("card",), ("cpr", "card")}
    assert {"E", "O"} <= blocks
    assert {patron.row.resident for patron in patrons} == {True, False}
    assert sum(patron.row.resident and not patron.row.blocks for patron in patrons) > 250


def test_the_cast_is_in_the_feed_as_its_roles_say(patrons: list[FeedPatron]) -> None:
    """Residence, block, PIN and card of each role stand in the feed; the unknown one does not."""
    by_number = {
        each.identifier.reveal().split(":")[1]: patron
        for patron in patrons
        for each in patron.identifiers
    }
    for role in CAST:
        if not role.in_feed:
            assert role.number not in by_number
            continue
        patron = by_number[role.number]
        assert patron.pin is not None
        assert patron.pin.reveal() == role.pin
        assert patron.row.resident == role.resident
        assert patron.row.blocks == ({role.block} if role.block else frozenset())


@pytest.mark.parametrize("today", [TODAY, date(2026, 12, 31)])
def test_the_child_is_a_child_on_the_day_of_the_demo(tmp_path: Path, today: date) -> None:
    """Nine years old, whenever the demo is played, also on a 29th of February."""
    write_feed(tmp_path / "feed", 0, 1, today)
    patrons = read_feed(tmp_path / "feed", pin_length=4)
    child = max(patrons, key=lambda patron: patron.birthday or date.min)

    assert child.birthday is not None
    assert timedelta(days=9 * 365) < today - child.birthday < timedelta(days=10 * 365)


def test_a_stripe_is_the_synthetic_cards_own() -> None:
    """For the number of the synthetic card it gives that card, byte by byte, and CR."""
    vector = (
        rb"%DOE^JOHN JOHNNY                   ]L\KKE ALLE 7 3                   4615000?"
        rb";9208100401017023451041173083461010814?"
    )

    assert stripe("0101702345") == vector + b"\r"


@pytest.mark.parametrize("role", CAST, ids=[role.name for role in CAST])
def test_a_swipe_is_read_as_the_roles_card(role: Role) -> None:
    """What the reader sends is read as the kind of card and the number that the feed has."""
    kind = IdentifierKind[role.kind]
    reading = identify(role.swipe.removesuffix(b"\r"))

    assert isinstance(reading, CardRead)
    assert Identifier(kind, role.number) in reading.identifiers
