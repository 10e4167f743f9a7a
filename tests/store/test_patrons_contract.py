"""What every patron cache does: the SQLite one and the one in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from doorctl.access.patron import Patron
from doorctl.errors import FeedError, Problem, PushGuardedError, StoreError
from doorctl.ports import (
    Applied,
    CacheStamp,
    Changes,
    Guard,
    PatronLookup,
    PatronWriter,
    Push,
    SealedRow,
)
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.guard import unguarded
from tests.fakes.memory_store import MemoryPatrons
from tests.store.samples import NOON, SEAL, key_of, sealed


@dataclass
class Cache:
    """A cache's two sides."""

    lookup: PatronLookup
    writer: PatronWriter


@pytest.fixture(params=["sqlite", "memory"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    """An empty cache."""
    if request.param == "memory":
        both = MemoryPatrons()
        yield Cache(both, both)
        return
    path = tmp_path / "patrons.db"
    create_patrons(path, SEAL)
    with (
        closing(PatronCache(path, SEAL)) as lookup,
        closing(PatronCacheWriter(path, SEAL)) as writer,
    ):
        yield Cache(lookup, writer)


def _push(
    cache: Cache,
    *listed: SealedRow,
    rows: Iterable[SealedRow] | None = None,
    full: bool = False,
    guard: Guard = unguarded,
    removals: Iterable[str] = (),
    push: Push | None = None,
) -> Applied:
    return cache.writer.apply(
        listed if rows is None else rows,
        full=full,
        applied_at=NOON,
        minimum_age=15,
        guard=guard,
        removals=removals,
        push=push,
    )


def test_a_new_cache_holds_nobody(cache: Cache) -> None:
    """Before the first push every card is unknown and the epoch is 0."""
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.stamp() == CacheStamp(0, None, 0, 0)


def test_every_field_of_a_patron_comes_back(cache: Cache) -> None:
    """A stored row is the very value that was pushed, whatever its codes are made of."""
    patron = Patron(
        patron_ref="p-1001",
        pin_check=bytes(range(32)),
        resident=True,
        active=False,
        blocks=frozenset({"E", "", "two words", "æ"}),
        restricted=True,
        enter_from=date(2027, 2, 28),
        valid_until=date(9999, 12, 31),
        hold_from=date(2026, 1, 1),
        hold_until=date(2026, 12, 31),
        tags=frozenset({"self service", 'quo"te'}),
    )
    bare = Patron(patron_ref="p-1002")

    _push(cache, SealedRow(key_of(1), patron), SealedRow(key_of(2), bare))

    assert cache.lookup.find(key_of(1)) == patron
    assert cache.lookup.find(key_of(2)) == bare
    assert cache.lookup.find(key_of(3)) is None


def test_a_full_push_is_the_whole_register(cache: Cache) -> None:
    """Whoever is not in it is gone after it; the answer counts them."""
    _push(cache, sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = _push(cache, sealed(1, "a"), sealed(4, "c"), full=True)

    assert applied == Applied(epoch=2, rows=2, removed=2)
    assert cache.lookup.find(key_of(2)) is None
    assert cache.lookup.find(key_of(3)) is None


def test_an_empty_full_push_removes_everybody(cache: Cache) -> None:
    """Refusing that is the guard's work; the store does as it is told."""
    _push(cache, sealed(1, "a"))

    assert _push(cache, full=True) == Applied(epoch=2, rows=0, removed=1)
    assert cache.lookup.find(key_of(1)) is None


def test_changes_replace_a_patron_with_all_identifiers(cache: Cache) -> None:
    """A lost card stops working with the push that no longer names it; others stay."""
    _push(cache, sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = _push(cache, sealed(2, "a", resident=False), sealed(5, "a"))

    assert applied == Applied(epoch=2, rows=3, removed=1)
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.find(key_of(2)) == sealed(2, "a", resident=False).patron
    assert cache.lookup.find(key_of(3)) == sealed(3, "b").patron


def test_an_identifier_may_change_hands_only_with_its_owner(cache: Cache) -> None:
    """A card moves to another patron if the former owner is pushed too, else nothing changes."""
    _push(cache, sealed(1, "a"), sealed(2, "a"))
    with pytest.raises(StoreError, match="takes an identifier from a patron"):
        _push(cache, sealed(9, "b"), sealed(1, "b"))
    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.find(key_of(9)) is None
    assert cache.lookup.stamp().epoch == 1

    applied = _push(cache, sealed(1, "b"), sealed(2, "a"))

    assert applied == Applied(epoch=2, rows=2, removed=0)
    assert cache.lookup.find(key_of(1)) == sealed(1, "b").patron


@pytest.mark.parametrize("full", [True, False])
def test_two_rows_of_one_identifier_are_refused(cache: Cache, full: bool) -> None:
    """Which of them is right nobody knows, so neither is used, however far apart they stand."""
    _push(cache, sealed(1, "a"))
    many = [sealed(number, "b") for number in range(100, 2600)]

    with pytest.raises(StoreError, match="same identifier"):
        _push(cache, *many, sealed(101, "c"), full=full)

    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)


@pytest.mark.parametrize("full", [True, False])
def test_rows_that_break_off_change_nothing(cache: Cache, full: bool) -> None:
    """A feed that turns out bad at its end passes its own error through and leaves no trace."""
    _push(cache, sealed(1, "a"))

    def rows() -> Iterator[SealedRow]:
        for number in range(2000, 4500):
            yield sealed(number, str(number))
        raise FeedError("feed.ndjson", [Problem("line 2501", "is cut off")])

    with pytest.raises(FeedError, match="line 2501"):
        cache.writer.apply(rows(), full=full, applied_at=NOON, minimum_age=15, guard=unguarded)

    assert cache.lookup.find(key_of(2000)) is None
    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)
    assert _push(cache, sealed(2000, "2000")).epoch == 2


def test_the_stamp_says_when_and_for_what_age(cache: Cache) -> None:
    """Trusted time is kept as UTC; a push without one leaves no guess behind."""
    danish = datetime(2026, 5, 4, 14, tzinfo=timezone(timedelta(hours=2)))
    cache.writer.apply(
        [sealed(1, "a")], full=True, applied_at=danish, minimum_age=15, guard=unguarded
    )
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)

    cache.writer.apply(
        [sealed(2, "b")], full=True, applied_at=None, minimum_age=18, guard=unguarded
    )
    assert cache.lookup.stamp() == CacheStamp(2, None, 18, 1)


def test_some_rows_make_the_rest_no_younger(cache: Cache) -> None:
    """A few rows loaded today say nothing of a register that is a month old."""
    cache.writer.apply(
        [sealed(1, "a")], full=False, applied_at=NOON, minimum_age=15, guard=unguarded
    )
    later = NOON + timedelta(days=30)
    cache.writer.apply(
        [sealed(2, "b")], full=False, applied_at=later, minimum_age=15, guard=unguarded
    )

    assert cache.lookup.stamp() == CacheStamp(2, NOON, 15, 2)


def test_some_rows_bring_no_other_age_limit(cache: Cache) -> None:
    """The others were sealed for the old one: a child among them would get in."""
    _push(cache, sealed(1, "a"))

    with pytest.raises(StoreError, match="another minimum age"):
        cache.writer.apply(
            [sealed(2, "b")], full=False, applied_at=NOON, minimum_age=18, guard=unguarded
        )
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)


def test_the_version_changes_with_each_push_and_only_then(cache: Cache) -> None:
    """Who prepared a decision can tell whether it still rests on the newest rows."""
    versions = [cache.lookup.version()]
    for number in range(3):
        _push(cache, sealed(number, "a"))
        versions.append(cache.lookup.version())
        cache.lookup.find(key_of(1))
        assert cache.lookup.version() == versions[-1]

    assert len(set(versions)) == 4


def test_a_new_cache_holds_no_push(cache: Cache) -> None:
    """The sender sees epoch 0 and starts with everything."""
    assert cache.writer.held() == Push(0, "")


def test_the_number_and_the_digest_of_a_push_are_kept(cache: Cache) -> None:
    """Numbers may be skipped; a load without a number takes the next one and has no digest."""
    digest = "5e" * 32
    applied = _push(cache, sealed(1, "a"), push=Push(41, digest))

    assert applied.epoch == 41
    assert cache.writer.held() == Push(41, digest)
    assert cache.lookup.stamp().epoch == 41
    assert _push(cache, sealed(1, "a")).epoch == 42
    assert cache.writer.held() == Push(42, "")


def test_a_removal_takes_all_identifiers_of_a_patron(cache: Cache) -> None:
    """The answer counts them; whoever is named and not held changes nothing."""
    _push(cache, sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = _push(cache, sealed(4, "c"), removals=["a", "nobody"])

    assert applied == Applied(epoch=2, rows=2, removed=2)
    assert [cache.lookup.find(key_of(number)) is None for number in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_removal_wins_over_a_row_of_the_same_push(cache: Cache) -> None:
    """Whatever a sender means by both, nobody is let in by it."""
    _push(cache, sealed(1, "a"))

    applied = _push(cache, sealed(1, "a"), sealed(2, "a"), removals=["a"])

    assert applied.rows == 0
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.find(key_of(2)) is None


def test_a_card_can_move_from_a_patron_who_is_removed(cache: Cache) -> None:
    """Two records of one person are merged: one goes, the other gets the card."""
    _push(cache, sealed(1, "a"), sealed(2, "b"))
    _push(cache, sealed(1, "b"), sealed(2, "b"), full=False, removals=["a"])

    moved = cache.lookup.find(key_of(1))
    assert moved is not None
    assert moved.patron_ref == "b"


def test_removals_are_read_after_the_rows(cache: Cache) -> None:
    """Both may come from one file that is read twice."""
    read: list[str] = []

    def rows() -> Iterator[SealedRow]:
        yield from (sealed(number, str(number)) for number in range(1500))
        read.append("rows")

    def removals() -> Iterator[str]:
        read.append("removals")
        yield "7"

    assert _push(cache, rows=rows(), removals=removals()).rows == 1499
    assert read == ["rows", "removals"]


def _blocked(row: SealedRow, *codes: str) -> SealedRow:
    return replace(row, patron=replace(row.patron, blocks=frozenset(codes)))


@pytest.mark.parametrize("full", [True, False])
def test_the_guard_is_told_exactly_what_changes(cache: Cache, full: bool) -> None:
    """Only what was held counts: new rows, old blocks and non-residents of old change nothing."""
    seen: list[Changes] = []
    _push(
        cache,
        *[sealed(number, f"r{number}") for number in range(10)],
        _blocked(sealed(10, "r10"), "E"),
        sealed(11, "r11", resident=False),
        sealed(12, "two"),
        sealed(13, "two"),
    )

    applied = _push(
        cache,
        sealed(0, "r0"),
        *[_blocked(sealed(number, f"r{number}"), "U", "E") for number in (1, 2)],
        *[sealed(number, f"r{number}", resident=False) for number in (3, 4, 5)],
        _blocked(sealed(10, "r10"), "E", "U"),
        sealed(11, "r11", resident=False),
        sealed(12, "two"),
        _blocked(sealed(20, "new", resident=False), "D"),
        full=full,
        removals=() if full else ["r6"],
        guard=seen.append,
    )

    removed = 5 if full else 2
    assert seen == [Changes(held=14, removed=removed, newly_blocked=2, newly_non_resident=3)]
    assert applied.removed == removed


def test_the_guard_counts_each_push_anew(cache: Cache) -> None:
    """What a refused or an earlier push changed is not held against the next one."""
    seen: list[Changes] = []
    _push(cache, sealed(1, "a"), sealed(2, "b"))
    with pytest.raises(PushGuardedError):
        _push(cache, _blocked(sealed(1, "a"), "U"), guard=_refusing)
    _push(cache, _blocked(sealed(2, "b"), "U"))

    _push(cache, sealed(1, "a", resident=False), guard=seen.append)

    assert seen == [Changes(held=2, removed=0, newly_blocked=0, newly_non_resident=1)]


@pytest.mark.parametrize("full", [True, False])
def test_a_guarded_push_changes_nothing(cache: Cache, full: bool) -> None:
    """What the guard refuses is refused as a whole, number and digest too."""
    _push(cache, sealed(1, "a"), sealed(2, "b"), push=Push(7, "ab" * 32))
    before = cache.lookup.stamp()

    with pytest.raises(PushGuardedError, match="too many"):
        _push(
            cache,
            _blocked(sealed(1, "a"), "U"),
            sealed(3, "c"),
            full=full,
            removals=() if full else ["b"],
            push=Push(8, "cd" * 32),
            guard=_refusing,
        )

    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.find(key_of(2)) == sealed(2, "b").patron
    assert cache.lookup.find(key_of(3)) is None
    assert cache.lookup.stamp() == before
    assert cache.writer.held() == Push(7, "ab" * 32)


def _refusing(_changes: Changes) -> None:
    raise PushGuardedError("too many")
