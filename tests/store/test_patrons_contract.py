"""What a patron cache does with pushes.

Bug (stranger's review): a one-row load made a month-old register count as fresh.

Bug (model of branches): merging two patrons at the library system stopped a branch's changes.

Bug (security review): a push by which everybody ends in eight days, one patron owns all cards or
everybody is another patron was taken in silence; ten of ten cards could go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from doorctl.access.patron import Applied, CacheStamp, Patron, SealedRow
from doorctl.core.errors import FeedError, Problem, PushGuardedError, StoreError
from doorctl.sync.receive import Changes, Push
from tests.store.samples import DAY, NOON, WHOLE, Cache, key_of, push, sealed


def test_a_new_cache_holds_nobody(cache: Cache) -> None:
    """Before the first push every card is unknown and the epoch is 0."""
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.stamp() == CacheStamp(0, None, 0, 0)


def test_every_field_of_a_patron_comes_back(cache: Cache) -> None:
    """A stored row is the very value that was pushed, whatever its codes are made of."""
    bare = Patron(patron_ref="p-1002")

    cache.push(SealedRow(key_of(1), WHOLE), SealedRow(key_of(2), bare))

    assert cache.lookup.find(key_of(1)) == WHOLE
    assert cache.lookup.find(key_of(2)) == bare
    assert cache.lookup.find(key_of(3)) is None


def test_a_full_push_is_the_whole_register(cache: Cache) -> None:
    """Whoever is not in it is gone after it; the answer counts them."""
    cache.push(sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = cache.push(sealed(1, "a"), sealed(4, "c"), full=True)

    assert applied == Applied(epoch=2, rows=2, removed=2)
    assert cache.lookup.find(key_of(2)) is None
    assert cache.lookup.find(key_of(3)) is None


def test_an_empty_full_push_removes_everybody(cache: Cache) -> None:
    """Refusing that is the guard's work; the store does as it is told."""
    cache.push(sealed(1, "a"))

    assert cache.push(full=True) == Applied(epoch=2, rows=0, removed=1)
    assert cache.lookup.find(key_of(1)) is None


def test_changes_replace_a_patron_with_all_identifiers(cache: Cache) -> None:
    """A lost card stops working with the push that no longer names it; others stay."""
    cache.push(sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = cache.push(sealed(2, "a", resident=False), sealed(5, "a"))

    assert applied == Applied(epoch=2, rows=3, removed=1)
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.find(key_of(2)) == sealed(2, "a", resident=False).patron
    assert cache.lookup.find(key_of(3)) == sealed(3, "b").patron


def test_an_identifier_may_change_hands_only_with_its_owner(cache: Cache) -> None:
    """A card moves to another patron if the former owner is pushed too, else nothing changes."""
    cache.push(sealed(1, "a"), sealed(2, "a"))
    with pytest.raises(StoreError, match="takes an identifier from a patron"):
        cache.push(sealed(9, "b"), sealed(1, "b"))
    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.find(key_of(9)) is None
    assert cache.lookup.stamp().epoch == 1

    applied = cache.push(sealed(1, "b"), sealed(2, "a"))

    assert applied == Applied(epoch=2, rows=2, removed=0)
    assert cache.lookup.find(key_of(1)) == sealed(1, "b").patron


@pytest.mark.parametrize("full", [True, False])
def test_two_rows_of_one_identifier_are_refused(cache: Cache, full: bool) -> None:
    """Which of them is right nobody knows, so neither is used, however far apart they stand."""
    cache.push(sealed(1, "a"))
    many = [sealed(number, "b") for number in range(100, 2600)]

    with pytest.raises(
        StoreError, match=r"^two rows are of the same identifier; nothing was changed$"
    ):
        cache.push(*many, sealed(101, "c"), full=full)

    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)


@pytest.mark.parametrize("full", [True, False])
def test_rows_that_break_off_change_nothing(cache: Cache, full: bool) -> None:
    """A feed that turns out bad at its end passes its own error through and leaves no trace."""
    cache.push(sealed(1, "a"))

    def rows() -> Iterator[SealedRow]:
        for number in range(2000, 4500):
            yield sealed(number, str(number))
        raise FeedError("feed.ndjson", [Problem("line 2501", "is cut off")])

    with pytest.raises(FeedError, match="line 2501"):
        push(cache.writer, rows=rows(), full=full)

    assert cache.lookup.find(key_of(2000)) is None
    assert cache.lookup.find(key_of(1)) == sealed(1, "a").patron
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)
    assert cache.push(sealed(2000, "2000")).epoch == 2


def test_the_stamp_says_when_and_for_what_age(cache: Cache) -> None:
    """Time is kept as UTC."""
    danish = datetime(2026, 5, 4, 14, tzinfo=timezone(timedelta(hours=2)))
    push(cache.writer, sealed(1, "a"), applied_at=danish, minimum_age=18)
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 18, 1)


def test_some_rows_bring_no_other_age_limit(cache: Cache) -> None:
    """The others were sealed for the old one: a child among them would get in."""
    cache.push(sealed(1, "a"))

    with pytest.raises(StoreError, match="another minimum age"):
        push(cache.writer, sealed(2, "b"), full=False, minimum_age=18)
    assert cache.lookup.stamp() == CacheStamp(1, NOON, 15, 1)


def test_the_version_changes_with_each_push_and_only_then(cache: Cache) -> None:
    """Who prepared a decision can tell whether it still rests on the newest rows."""
    versions = [cache.lookup.version()]
    for number in range(3):
        cache.push(sealed(number, "a"))
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
    applied = cache.push(sealed(1, "a"), push=Push(41, digest))

    assert applied.epoch == 41
    assert cache.writer.held() == Push(41, digest)
    assert cache.lookup.stamp().epoch == 41
    assert cache.push(sealed(1, "a")).epoch == 42
    assert cache.writer.held() == Push(42, "")


def test_a_removal_takes_all_identifiers_of_a_patron(cache: Cache) -> None:
    """The answer counts them; whoever is named and not held changes nothing."""
    cache.push(sealed(1, "a"), sealed(2, "a"), sealed(3, "b"))

    applied = cache.push(sealed(4, "c"), removals=["a", "nobody"])

    assert applied == Applied(epoch=2, rows=2, removed=2)
    assert [cache.lookup.find(key_of(number)) is None for number in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_removal_wins_over_a_row_of_the_same_push(cache: Cache) -> None:
    """Whatever a sender means by both, nobody is let in by it."""
    cache.push(sealed(1, "a"))

    applied = cache.push(sealed(1, "a"), sealed(2, "a"), removals=["a"])

    assert applied.rows == 0
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.find(key_of(2)) is None


def test_a_card_can_move_from_a_patron_who_is_removed(cache: Cache) -> None:
    """Two records of one person are merged: one goes, the other gets the card."""
    cache.push(sealed(1, "a"), sealed(2, "b"))
    cache.push(sealed(1, "b"), sealed(2, "b"), full=False, removals=["a"])

    moved = cache.lookup.find(key_of(1))
    assert moved is not None
    assert moved.patron_ref == "b"


@pytest.mark.parametrize("patrons", [1, 250, 10_300])
def test_other_cards_go_however_many_patrons_changes_bring(cache: Cache, patrons: int) -> None:
    """A few are kept in memory, many are not; who is not among them keeps all cards."""
    cache.push(
        *[sealed(number, "many") for number in range(3)],
        *[sealed(number, "last") for number in (3, 4)],
        *[sealed(number, "stays") for number in (5, 6)],
    )
    strangers = [sealed(100 + number, f"{number}") for number in range(patrons - 1)]

    applied = cache.push(sealed(0, "many"), *strangers, sealed(4, "last"))

    assert applied == Applied(epoch=2, rows=4 + len(strangers), removed=3)
    assert [n for n in range(7) if cache.lookup.find(key_of(n))] == [0, 4, 5, 6]


def test_cards_far_apart_are_still_one_patrons(cache: Cache) -> None:
    """A patron's rows need not stand together: none is taken for one that was left out."""
    cache.push(sealed(1, "a"), sealed(2, "a"), sealed(3, "a"))
    between = [sealed(number, f"{number}") for number in range(100, 1350)]

    applied = cache.push(sealed(1, "a"), *between, sealed(2, "a"))

    assert applied.removed == 1
    assert [n for n in (1, 2, 3) if cache.lookup.find(key_of(n))] == [1, 2]


def test_a_card_moves_however_far_its_owner_stands(cache: Cache) -> None:
    """The owner's other card or removal may come long after the row that takes the card."""
    cache.push(*[sealed(number, f"owner-{number}") for number in range(4)])
    between = [sealed(number, f"{number}") for number in range(100, 1350)]
    nobodies = [f"nobody-{number}" for number in range(250)]
    taken = [sealed(number, "b") for number in range(3)]

    with pytest.raises(StoreError, match="takes an identifier from a patron"):
        cache.push(*taken, *between, sealed(9, "owner-1"), removals=[*nobodies, "owner-0"])
    removals = [*nobodies, "owner-2", *nobodies, "owner-0", "owner-3"]
    applied = cache.push(*taken, *between, sealed(9, "owner-1"), removals=removals)

    assert applied == Applied(epoch=2, rows=len(between) + 4, removed=1)
    for number in range(3):
        moved = cache.lookup.find(key_of(number))
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

    assert cache.push(rows=rows(), removals=removals()).rows == 1499
    assert read == ["rows", "removals"]


def _blocked(row: SealedRow, *codes: str) -> SealedRow:
    return replace(row, patron=replace(row.patron, blocks=frozenset(codes)))


def test_who_is_put_under_another_patron_is_told(cache: Cache) -> None:
    """Wrong PINs and bans count by patron; a new card is no such thing."""
    seen: list[Changes] = []
    cache.push(sealed(1, "a"), sealed(2, "b"))

    cache.push(sealed(1, "c"), sealed(3, "d"), removals=["a"], guard=seen.append)

    assert seen == [Changes(held=2, moved=1)]


def test_patrons_of_many_cards_are_told(cache: Cache) -> None:
    """Nine cards of one patron are one too many; later only those that have come."""
    seen: list[Changes] = []
    cards = [sealed(number, "a") for number in range(11)]

    cache.push(*cards[:8], guard=seen.append)
    cache.push(*cards[:9], guard=seen.append)
    cache.push(*cards[:9], guard=seen.append)
    cache.push(*cards, guard=seen.append)

    assert seen == [
        Changes(held=8),
        Changes(held=8, crowded=9, largest=9),
        Changes(held=9),
        Changes(held=9, crowded=2, largest=11),
    ]


def test_the_guard_sees_a_week(cache: Cache) -> None:
    """Whom several pushes shut out count together, each once; what was refused does not count.

    Bug (penetration test): twenty pushes of 5 % each, dates that begin or end tomorrow, three
    shares beside each other or another minimum age shut a town out, and the guard saw nothing;
    50 of 55 cards passed.
    """
    seen: list[Changes] = []
    cache.push(*[sealed(number, f"r{number}") for number in range(4)])
    with pytest.raises(PushGuardedError):
        cache.push(_blocked(sealed(0, "r0"), "U"), guard=_refusing)
    cache.push(_blocked(sealed(1, "r1"), "U"))
    cache.push(removals=["r2"], at=NOON + DAY)

    cache.push(_blocked(sealed(1, "r1"), "D"), at=NOON + 2 * DAY, guard=seen.append)
    cache.push(sealed(3, "r3"), at=NOON + 7 * DAY, guard=seen.append)

    assert seen == [
        Changes(held=4, shut_out=2, removed=1, newly_blocked=1),
        Changes(held=4, shut_out=1, removed=1),
    ]


def test_what_is_put_right_or_approved_counts_no_more(cache: Cache) -> None:
    """A card that is back as it was is lost to nobody; who approves knows whom it shuts out."""
    seen: list[Changes] = []
    rows = [sealed(number, f"r{number}") for number in range(3)]
    cache.push(*rows)
    cache.push(*[_blocked(row, "U") for row in rows[:2]])
    cache.push(rows[0], guard=seen.append)
    push(cache.writer, _blocked(rows[2], "U"), full=False, approved=True)
    cache.push(_blocked(rows[0], "U"), guard=seen.append)

    assert seen == [
        Changes(held=3, shut_out=1, newly_blocked=1, let_in=1),
        Changes(held=3, shut_out=1, newly_blocked=1),
    ]


def test_who_was_shut_out_too_long_ago_can_be_forgotten(cache: Cache) -> None:
    """Between two pushes too; after it the push that is held is the same."""
    cache.push(sealed(1, "a"), sealed(2, "b"), push=Push(7, "digest"))
    cache.push(sealed(1, "a"), full=True, push=Push(8, "digest"))

    assert cache.writer.forget(NOON + 7 * DAY - timedelta(seconds=1)) == 0
    assert cache.writer.forget(NOON + 7 * DAY) == 1
    assert cache.writer.held() == Push(8, "digest")


@pytest.mark.parametrize("full", [True, False])
def test_a_guarded_push_changes_nothing(cache: Cache, full: bool) -> None:
    """What the guard refuses is refused as a whole, number and digest too."""
    cache.push(sealed(1, "a"), sealed(2, "b"), push=Push(7, "ab" * 32))
    before = cache.lookup.stamp()

    with pytest.raises(PushGuardedError, match="too many"):
        cache.push(
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


def test_a_register_that_no_push_confirms_can_be_forgotten(cache: Cache) -> None:
    """All of it or nothing; the push that is held is another one then, of a higher number.

    With it go the answers of the library system that are as old; the count is of both.
    """
    cache.push(sealed(1, "a"), sealed(2, "b"), push=Push(7, "digest"))

    assert cache.writer.expire(NOON) == 0
    assert cache.writer.held() == Push(7, "digest")
    day = NOON.date() - timedelta(days=1)
    cache.writer.keep(sealed(3, "c"), row_until=day, pin_until=day, learnt_on=day)
    assert cache.writer.expire(NOON + timedelta(milliseconds=1)) == 3
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.stamp().patrons == 0
    assert cache.writer.held() == Push(8)
    assert cache.writer.expire(NOON + timedelta(days=1)) == 0
    assert cache.writer.held() == Push(8)


def test_rows_that_were_asked_for_go_by_the_day_of_the_answer(cache: Cache) -> None:
    """The library system itself has confirmed those; before the first push as well."""
    for number, days_ago in ((1, 31), (2, 30)):
        learnt_on = NOON.date() - timedelta(days=days_ago)
        until = NOON.date() + timedelta(days=9)
        cache.writer.keep(
            sealed(number, "a"), row_until=until, pin_until=until, learnt_on=learnt_on
        )

    assert cache.writer.expire(NOON - timedelta(days=30)) == 1
    assert cache.lookup.find(key_of(1)) is None
    assert cache.lookup.find(key_of(2)) is not None
