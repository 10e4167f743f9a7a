"""What a patron cache does with what the library system said.

Bug (end-to-end test): a PIN learnt while a push removed the patron kept the whole old row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.access.patron import Applied, CacheStamp, Patron, SealedRow
from doorctl.core.errors import PushGuardedError, RowsClashError, StoreError
from doorctl.sync.guard import Changes, unguarded
from tests.fakes.memory_store import MemoryPatrons
from tests.store.samples import NOON, WHOLE, Cache, key_of, sealed

NUMBERS = range(5)
CHECKS = st.sampled_from([bytes([number]) * 32 for number in range(4)])
DAYS = st.integers(-2, 2)
EVER = st.none() | DAYS
REFS = st.sampled_from("abc")
ROWS = st.builds(
    SealedRow,
    st.sampled_from(NUMBERS).map(key_of),
    st.builds(
        Patron,
        REFS,
        st.none() | CHECKS,
        resident=st.booleans(),
        blocks=st.sampled_from([frozenset(), frozenset("U")]),
        weak_pin=st.booleans(),
    ),
    st.none() | DAYS.map(lambda days: NOON.date() + timedelta(days)),
)


@dataclass(frozen=True)
class Kept:
    """What the library system said of a card."""

    row: SealedRow
    learnt_on: date
    row_until: date
    pin_until: date


@dataclass(frozen=True)
class Card:
    """What the model holds of one card: a pushed row, or something kept, or both."""

    pushed: Patron | None = None
    kept: Kept | None = None

    def found(self) -> Patron | None:
        """Return what a lookup has to give."""
        if self.kept is None:
            return self.pushed
        if self.pushed is None:
            return replace(self.kept.row.patron, pin_until=self.kept.row_until, pushed=False)
        check, is_weak = self.kept.row.patron.pin_check, self.kept.row.patron.weak_pin
        until = self.kept.pin_until
        return replace(self.pushed, pin_check=check, weak_pin=is_weak, pin_until=until)

    def brought(self, row: SealedRow, today: date) -> Card:
        """Return the card after a push that has its row."""
        same = self.pushed is None or self.pushed.patron_ref == row.patron.patron_ref
        stays = self.kept and same and row.patron.pin_check is None
        if stays and self.kept and row.pin_changed and row.pin_changed >= self.kept.learnt_on:
            stays = False
        return Card(row.patron, self.kept if stays else None).cleared_up(today)

    def left_out(self, named: set[str], today: date) -> Card:
        """Return the card after changes that lack its row but have these patrons."""
        mine = self.pushed or (self.kept and self.kept.row.patron)
        return Card() if mine and mine.patron_ref in named else self.cleared_up(today)

    def cleared_up(self, today: date) -> Card:
        """Return the card without what is too old."""
        if self.kept is None:
            return self
        until = self.kept.pin_until if self.pushed else self.kept.row_until
        return self if today <= until else replace(self, kept=None)


class KeptAgainstModel(RuleBasedStateMachine):
    """Push, keep and find, in SQLite and in a model of single cards; never differ.

    A pushed check wins for good; a learnt one survives pushes without one, unless the card changes
    hands or the PIN was changed; an asked row goes with its patron's push.
    """

    def __init__(self) -> None:
        super().__init__()
        self._writer = self._cache = MemoryPatrons()
        self._cards = {key_of(number): Card() for number in NUMBERS}
        self._stamp = CacheStamp(0, None, 0, 0)

    @rule(
        rows=st.lists(ROWS, max_size=4, unique_by=lambda row: row.row_key),
        removals=st.lists(REFS, max_size=1),
        full=st.booleans(),
        days=DAYS,
    )
    def push(self, rows: Sequence[SealedRow], removals: list[str], full: bool, days: int) -> None:
        """Expect of each card what a push means for it."""
        gone = set() if full else set(removals)
        if not full and self._robbed(rows, gone):
            self._expect_clash(rows, gone)
            return
        version = self._cache.version()
        self._cards = self._after(rows, gone, full, days)
        applied = self._writer.apply(
            rows,
            full=full,
            applied_at=NOON + timedelta(days),
            minimum_age=0,
            guard=unguarded,
            removals=gone,
        )
        held = sum(card.pushed is not None for card in self._cards.values())
        assert applied.rows == held
        assert self._cache.version() != version
        before = self._stamp
        # A few rows say nothing of the rest, which gets no younger by them.
        at = NOON + timedelta(days) if full or not before.epoch else before.applied_at
        self._stamp = CacheStamp(before.epoch + 1, at, 0, held)

    @rule(rows=st.lists(ROWS, max_size=4), full=st.booleans())
    def be_refused(self, rows: Sequence[SealedRow], full: bool) -> None:
        """Expect that a push which the guard refuses, or its own rows, deletes nothing."""
        terms: Any = {"full": full, "applied_at": NOON + timedelta(days=99), "minimum_age": 0}
        with pytest.raises((PushGuardedError, RowsClashError)):
            self._writer.apply(rows, guard=_refuse, **terms)

    @rule(row=ROWS, check=CHECKS, learnt=EVER, row_days=EVER, pin_days=DAYS)
    def keep(
        self,
        row: SealedRow,
        check: bytes,
        learnt: int | None,
        row_days: int | None,
        pin_days: int,
    ) -> None:
        """Expect the row, or its check, or nothing where a push brought one or has removed it."""
        row = replace(row, patron=replace(row.patron, pin_check=check))
        card, until = self._cards[row.row_key], _day(pin_days)
        learnt_on = {} if learnt is None else {"learnt_on": _day(learnt)}
        row_until = None if row_days is None else _day(row_days)
        version = self._cache.version()
        self._writer.keep(row, row_until=row_until, pin_until=until, **learnt_on)
        if card.pushed is None and row_until is None:
            return
        if card.pushed is None or card.pushed.pin_check is None:
            kept = Kept(row, learnt_on.get("learnt_on", date.min), row_until or date.max, until)
            self._cards[row.row_key] = replace(card, kept=kept)
            assert self._cache.version() != version

    @invariant()
    def finds_the_same(self) -> None:
        """Every card is the model's, and the stamp is the last push's."""
        for key, card in self._cards.items():
            assert self._cache.find(key) == card.found()
        assert self._cache.stamp() == self._stamp

    def _after(
        self, rows: Sequence[SealedRow], gone: set[str], full: bool, days: int
    ) -> dict[bytes, Card]:
        today = NOON.date() + timedelta(days)
        named = gone | {row.patron.patron_ref for row in rows}
        new = {row.row_key: row for row in rows}
        cards = {}
        for key, card in self._cards.items():
            if key in new:
                after = card.brought(new[key], today)
            else:
                after = Card() if full else card.left_out(named, today)
            removed = after.pushed is not None and after.pushed.patron_ref in gone
            cards[key] = Card() if removed else after
        return cards

    def _robbed(self, rows: Sequence[SealedRow], gone: set[str]) -> bool:
        named = gone | {row.patron.patron_ref for row in rows}
        owners = (self._cards[row.row_key].pushed for row in rows)
        return any(owner.patron_ref not in named for owner in owners if owner)

    def _expect_clash(self, rows: Sequence[SealedRow], gone: set[str]) -> None:
        with pytest.raises(RowsClashError):
            self._writer.apply(
                rows,
                full=False,
                applied_at=NOON + timedelta(days=9),
                minimum_age=0,
                guard=unguarded,
                removals=gone,
            )


def _day(days: int) -> date:
    return NOON.date() + timedelta(days)


def _refuse(_changes: Changes) -> None:
    raise PushGuardedError("too many")


TestKeptAgainstModel = KeptAgainstModel.TestCase
TestKeptAgainstModel.settings = settings(stateful_step_count=20)


def _row(number: int, ref: str, check: bytes | None, changed: date | None = None) -> SealedRow:
    patron = Patron(ref, check, resident=True, weak_pin=check is not None)
    return SealedRow(key_of(number), patron, changed)


PUSHED = [[], [_row(1, "a", None)], [_row(1, "a", bytes(32))]]
KEPT = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (-1, 0, 0), (1, 0, 0), (None, 0, 0), (0, None, 0)]
"""Learnt on which day, until when as a row (a check a day more), and the day of the next push."""

NEXT = [
    [],
    [_row(2, "a", None)],
    [_row(1, "a", None)],
    [_row(1, "a", None, _day(0))],
    [_row(1, "b", None)],
    [_row(1, "a", bytes(32))],
]


@pytest.mark.parametrize(("full", "removals"), [(True, []), (False, []), (False, ["a"])])
def test_what_was_kept_meets_the_next_push(full: bool, removals: list[str]) -> None:
    """Each way to be held, to be kept and to be pushed again, on the last days and after them."""
    for pushed, (learnt, row_days, days), rows in product(PUSHED, KEPT, NEXT):
        machine = KeptAgainstModel()
        machine.push(rows=pushed, removals=[], full=True, days=0)
        row, check = _row(1, "a", bytes(32)), bytes(range(32))
        machine.keep(row=row, check=check, learnt=learnt, row_days=row_days, pin_days=1)
        machine.finds_the_same()
        machine.push(rows=rows, removals=removals, full=full, days=days)
        machine.finds_the_same()


def _keep(cache: Cache, row: SealedRow) -> None:
    cache.writer.keep(row, row_until=_day(3), pin_until=_day(30), learnt_on=_day(0))


def test_a_row_that_no_push_brought_is_kept_whole(cache: Cache) -> None:
    """Every field comes back, and the last day on which the row counts."""
    _keep(cache, SealedRow(key_of(1), WHOLE))

    found = replace(WHOLE, pin_until=_day(3), pushed=False)
    assert cache.lookup.find(key_of(1)) == found
    assert cache.lookup.find(key_of(2)) is None


@pytest.mark.parametrize("pushed", [True, False])
def test_a_row_without_a_pin_check_is_not_kept(cache: Cache, pushed: bool) -> None:
    """There is nothing in it that was proved."""
    bare = SealedRow(key_of(1), Patron("a", resident=True))
    cache.push(*[bare] * pushed)
    before = cache.lookup.find(key_of(1))

    with pytest.raises(StoreError):
        _keep(cache, bare)
    assert cache.lookup.find(key_of(1)) == before


@pytest.mark.parametrize("full", [True, False])
def test_a_push_that_has_an_asked_row_shuts_nobody_out(cache: Cache, full: bool) -> None:
    """Whatever it says of it is new; nor does one that lacks it."""
    seen: list[Changes] = []
    cache.push(sealed(1, "a"))
    for number in (2, 3):
        _keep(cache, sealed(number, f"asked-{number}"))
    row = SealedRow(key_of(2), Patron("b", resident=False, blocks=frozenset("U")))

    applied = cache.push(sealed(1, "a"), row, full=full, guard=seen.append)

    assert applied == Applied(epoch=2, rows=2, removed=0)
    assert seen == [Changes(held=1)]


def test_every_removal_of_many_takes_the_asked_row(cache: Cache) -> None:
    """The first one and the last one, wherever between others they stand."""
    for number in range(4):
        _keep(cache, sealed(number, f"r{number}"))
    nobodies = [f"nobody-{number}" for number in range(250)]

    cache.push(sealed(9, "other"), removals=["r0", *nobodies, "r1", *nobodies, "r2"])

    assert [n for n in range(4) if cache.lookup.find(key_of(n))] == [3]
