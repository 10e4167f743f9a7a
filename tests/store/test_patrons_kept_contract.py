"""What a patron cache does with what the library system said.

The cards have the numbers of `tests.store.samples`; patrons are called by letters.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from doorctl.access.patron import Applied, CacheStamp, Patron, SealedRow
from doorctl.core.errors import PushGuardedError, RowsClashError, StoreError
from doorctl.sync.receive import Changes, Push
from tests.store.patron_caches import Cache
from tests.store.samples import DAY, NOON, key_of, sealed

TODAY = NOON.date()
ROW_UNTIL = TODAY + 3 * DAY
PIN_UNTIL = TODAY + 30 * DAY


def bare(number: int, patron_ref: str, *, pin_changed: date | None = None) -> SealedRow:
    """A row as a push brings it that knows no PIN."""
    return SealedRow(key_of(number), Patron(patron_ref, resident=True), pin_changed)


def keep(cache: Cache, row: SealedRow, *, learnt_on: date = TODAY) -> None:
    """Keep what was said today."""
    cache.writer.keep(row, row_until=ROW_UNTIL, pin_until=PIN_UNTIL, learnt_on=learnt_on)


def asked(number: int, patron_ref: str) -> Patron:
    """What is found of a kept row that no push has brought."""
    return replace(sealed(number, patron_ref).patron, pin_until=ROW_UNTIL, pushed=False)


def learnt(number: int, patron_ref: str) -> Patron:
    """What is found of a pushed row with a kept PIN check."""
    return replace(sealed(number, patron_ref).patron, pin_until=PIN_UNTIL)


@pytest.mark.parametrize("is_weak", [True, False])
def test_a_kept_check_says_whether_its_pin_is_weak(cache: Cache, *, is_weak: bool) -> None:
    """Of a pushed row as of a whole one, and also where a push brings the row later."""
    weak = [
        replace(row, patron=replace(row.patron, weak_pin=is_weak))
        for row in (sealed(1, "a"), sealed(2, "b"))
    ]
    cache.push(bare(1, "a"))
    for row in weak:
        keep(cache, row)
    pushed, whole = (cache.lookup.find(key_of(number)) for number in (1, 2))
    cache.push(bare(2, "b"))
    later = cache.lookup.find(key_of(2))

    assert [patron and patron.weak_pin for patron in (pushed, whole, later)] == [is_weak] * 3


def test_a_row_that_no_push_brought_is_kept_whole(cache: Cache) -> None:
    """Every field comes back, and the last day on which the row counts."""
    row = SealedRow(
        key_of(1),
        Patron(
            patron_ref="a",
            pin_check=bytes(range(32)),
            resident=True,
            active=False,
            blocks=frozenset({"E", "two words"}),
            restricted=True,
            enter_from=date(2027, 2, 28),
            valid_until=date(9999, 12, 31),
            hold_from=date(2026, 1, 1),
            hold_until=date(2026, 12, 31),
            tags=frozenset({"self service"}),
        ),
    )

    keep(cache, row)

    assert cache.lookup.find(key_of(1)) == replace(row.patron, pin_until=ROW_UNTIL, pushed=False)
    assert cache.lookup.find(key_of(2)) is None


def test_keeping_is_no_push(cache: Cache) -> None:
    """Number, digest and age stay, also where there was no push yet; the row is not counted."""
    keep(cache, sealed(1, "a"))
    assert cache.writer.held() == Push(0)
    assert cache.lookup.stamp() == CacheStamp(0, None, 0, 0)

    cache.push(bare(2, "b"), push=Push(7, "ab" * 32))
    keep(cache, sealed(3, "c"))
    keep(cache, sealed(2, "b"))

    assert cache.writer.held() == Push(7, "ab" * 32)
    assert cache.lookup.stamp() == CacheStamp(7, NOON, 15, 1)


def test_a_decision_that_was_prepared_before_is_seen_to_be_outdated(cache: Cache) -> None:
    """The version changes as it does with a push."""
    cache.push(bare(1, "a"))
    versions = [cache.lookup.version()]
    for number in (1, 2):
        keep(cache, sealed(number, "a"))
        versions.append(cache.lookup.version())

    assert len(set(versions)) == 3


def test_of_a_pushed_row_only_the_pin_check_is_kept(cache: Cache) -> None:
    """Whatever else the library system said, the row is the push's."""
    cache.push(bare(1, "a"))

    keep(cache, sealed(1, "other", resident=False))

    assert cache.lookup.find(key_of(1)) == learnt(1, "a")


def test_a_pushed_pin_check_stays(cache: Cache) -> None:
    """The register knows best, and there is no last day."""
    cache.push(sealed(1, "a"))
    row = sealed(1, "a")

    keep(cache, replace(row, patron=replace(row.patron, pin_check=bytes(32))))

    assert cache.lookup.find(key_of(1)) == row.patron


@pytest.mark.parametrize("pushed", [True, False])
def test_a_row_without_a_pin_check_is_not_kept(cache: Cache, pushed: bool) -> None:
    """There is nothing in it that was proved."""
    cache.push(*[bare(1, "a")] * pushed)
    before = cache.lookup.find(key_of(1))

    with pytest.raises(StoreError):
        keep(cache, bare(1, "a"))
    assert cache.lookup.find(key_of(1)) == before


@pytest.mark.parametrize("full", [True, False])
def test_a_learnt_check_survives_pushes(cache: Cache, full: bool) -> None:
    """The nightly snapshot knows no PIN: nobody has to learn it again."""
    cache.push(bare(1, "a"))
    keep(cache, sealed(1, "a"))

    cache.push(bare(1, "a"), full=full)
    cache.push(bare(2, "b"))

    assert cache.lookup.find(key_of(1)) == learnt(1, "a")


@pytest.mark.parametrize("full", [True, False])
def test_a_pushed_check_wins_for_good(cache: Cache, full: bool) -> None:
    """The learnt one is gone; a later push without a PIN does not bring it back."""
    pushed = Patron("a", bytes(32), resident=True)
    cache.push(bare(1, "a"))
    keep(cache, sealed(1, "a"))

    cache.push(SealedRow(key_of(1), pushed), full=full)
    assert cache.lookup.find(key_of(1)) == pushed
    cache.push(bare(1, "a"), full=full)

    assert cache.lookup.find(key_of(1)) == bare(1, "a").patron


@pytest.mark.parametrize("full", [True, False])
def test_a_card_that_changes_hands_takes_no_pin_with_it(cache: Cache, full: bool) -> None:
    """The former owner's PIN opens nothing for the new one."""
    cache.push(bare(1, "a"), bare(2, "b"))
    keep(cache, sealed(1, "a"))

    cache.push(bare(1, "b"), bare(2, "a"), full=full)

    assert cache.lookup.find(key_of(1)) == bare(1, "b").patron


@pytest.mark.parametrize(
    ("learnt_on", "stays"), [(TODAY - DAY, False), (TODAY, False), (TODAY + DAY, True)]
)
@pytest.mark.parametrize("pushed", [True, False])
def test_a_check_counts_until_a_push_says_that_the_pin_changed(
    cache: Cache, pushed: bool, learnt_on: date, stays: bool
) -> None:
    """One that was learnt on that day may be the old one, so it goes too."""
    cache.push(*[bare(1, "a")] * pushed)
    keep(cache, sealed(1, "a"), learnt_on=learnt_on)

    cache.push(bare(1, "a", pin_changed=TODAY), bare(2, "b", pin_changed=TODAY))

    assert cache.lookup.find(key_of(1)) == (learnt(1, "a") if stays else bare(1, "a").patron)


def test_a_check_of_an_unknown_day_goes_with_any_change(cache: Cache) -> None:
    """Any doubt refuses."""
    cache.push(bare(1, "a"))
    cache.writer.keep(sealed(1, "a"), row_until=ROW_UNTIL, pin_until=PIN_UNTIL)
    assert cache.lookup.find(key_of(1)) == learnt(1, "a")

    cache.push(bare(1, "a", pin_changed=date(1999, 12, 31)))

    assert cache.lookup.find(key_of(1)) == bare(1, "a").patron


def test_an_asked_row_goes_with_the_snapshot_that_lacks_it(cache: Cache) -> None:
    """It was never pushed, so it is not removed by the push either, nor held before."""
    seen: list[Changes] = []
    cache.push(sealed(1, "a"))
    keep(cache, sealed(2, "b"))

    applied = cache.push(sealed(1, "a"), full=True, guard=seen.append)

    assert cache.lookup.find(key_of(2)) is None
    assert applied == Applied(epoch=2, rows=1, removed=0)
    assert seen == [Changes(held=1)]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("patron_ref", ["asked", "b"])
def test_an_asked_row_is_replaced_by_the_push_that_has_it(
    cache: Cache, patron_ref: str, full: bool
) -> None:
    """Whatever the push says of it is new and shuts nobody out; its check stays as learnt."""
    seen: list[Changes] = []
    cache.push(sealed(1, "a"))
    keep(cache, sealed(2, "asked"))
    row = SealedRow(key_of(2), Patron(patron_ref, resident=False, blocks=frozenset("U")))

    applied = cache.push(sealed(1, "a"), row, full=full, guard=seen.append)

    check = sealed(2, "asked").patron.pin_check
    assert cache.lookup.find(key_of(2)) == replace(row.patron, pin_check=check, pin_until=PIN_UNTIL)
    assert applied == Applied(epoch=2, rows=2, removed=0)
    assert seen == [Changes(held=1)]


def test_an_asked_row_is_replaced_by_a_pushed_check_too(cache: Cache) -> None:
    """Then nothing of what was asked is left."""
    keep(cache, sealed(1, "asked"))
    pushed = Patron("a", bytes(32))

    cache.push(SealedRow(key_of(1), pushed))
    assert cache.lookup.find(key_of(1)) == pushed
    cache.push(SealedRow(key_of(1), replace(pushed, pin_check=None)))

    assert cache.lookup.find(key_of(1)) == Patron("a")


@pytest.mark.parametrize(
    ("rows", "removals"),
    [([sealed(1, "b")], []), ([], ["b"]), ([sealed(2, "c")], ["c"])],
    ids=["other card", "removal", "card of a removed patron"],
)
def test_an_asked_row_goes_with_changes_of_its_patron(
    cache: Cache, rows: list[SealedRow], removals: list[str]
) -> None:
    """A push names all cards of a patron: one that it does not name is not theirs any more."""
    cache.push(sealed(3, "other"))
    keep(cache, sealed(2, "b"))

    applied = cache.push(*rows, removals=removals)

    assert cache.lookup.find(key_of(2)) is None
    assert applied.rows == 1 + len(rows) - len(rows) * len(removals)


@pytest.mark.parametrize(
    ("at", "row_stays", "check_stays"),
    [
        (NOON + 3 * DAY, True, True),
        (NOON + 4 * DAY, False, True),
        (NOON + 30 * DAY, False, True),
        (NOON + 31 * DAY, False, False),
        (None, True, True),
    ],
)
def test_any_push_after_the_last_day_clears_up(
    cache: Cache, at: datetime | None, row_stays: bool, check_stays: bool
) -> None:
    """What counts no more is not stored; without a clock nothing goes by its date."""
    cache.push(bare(1, "a"))
    keep(cache, sealed(1, "a"))
    keep(cache, sealed(2, "b"))

    cache.push(sealed(3, "c"), at=at)

    assert cache.lookup.find(key_of(2)) == (asked(2, "b") if row_stays else None)
    expected = learnt(1, "a") if check_stays else bare(1, "a").patron
    assert cache.lookup.find(key_of(1)) == expected


def test_every_removal_of_many_takes_the_asked_row(cache: Cache) -> None:
    """The first one and the last one, wherever between others they stand."""
    for number in range(4):
        keep(cache, sealed(number, f"r{number}"))
    nobodies = [f"nobody-{number}" for number in range(250)]

    cache.push(sealed(9, "other"), removals=["r0", *nobodies, "r1", *nobodies, "r2"])

    assert [n for n in range(4) if cache.lookup.find(key_of(n))] == [3]


@pytest.mark.parametrize("full", [True, False])
def test_a_refused_push_leaves_what_was_kept(cache: Cache, full: bool) -> None:
    """Refused by the guard or for its rows, it deletes nothing."""

    def refuse(_changes: Changes) -> None:
        raise PushGuardedError("too many")

    cache.push(bare(1, "a"))
    keep(cache, sealed(1, "a"))
    keep(cache, sealed(2, "b"))
    late = NOON + timedelta(days=99)

    with pytest.raises(PushGuardedError):
        cache.push(sealed(1, "a"), sealed(2, "b"), full=full, at=late, guard=refuse)
    with pytest.raises(RowsClashError):
        cache.push(sealed(2, "b"), sealed(2, "b"), full=full, at=late)

    assert cache.lookup.find(key_of(1)) == learnt(1, "a")
    assert cache.lookup.find(key_of(2)) == asked(2, "b")


def test_a_pin_learnt_for_a_row_that_a_push_has_removed_is_not_kept(cache: Cache) -> None:
    """What was only a PIN check brings no removed patron back.

    Bug (end-to-end test): a PIN learnt while a push removed the patron kept the whole old row.
    """
    cache.push()

    cache.writer.keep(sealed(1, "a"), row_until=None, pin_until=PIN_UNTIL, learnt_on=TODAY)

    assert cache.lookup.find(key_of(1)) is None
