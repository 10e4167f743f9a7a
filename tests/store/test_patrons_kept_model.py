from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import RowsClashError
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import unguarded
from tests.store.samples import NOON, SEAL, key_of

NUMBERS = range(5)
CHECKS = st.sampled_from([bytes([number]) * 32 for number in range(4)])
DAYS = st.integers(-2, 2)
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
        check = self.kept.row.patron.pin_check
        return replace(self.pushed, pin_check=check, pin_until=self.kept.pin_until)

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
    """Push, keep and find, in SQLite and in a model of single cards; never differ."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "patrons.db"
        create_patrons(self._path, SEAL)
        self._writer = PatronCacheWriter(self._path, SEAL)
        self._cache = PatronCache(self._path, SEAL)
        self._cards = {key_of(number): Card() for number in NUMBERS}

    @rule(
        rows=st.lists(ROWS, max_size=4, unique_by=lambda row: row.row_key),
        removals=st.lists(REFS, max_size=1),
        full=st.booleans(),
        days=st.none() | DAYS,
    )
    def push(
        self, rows: Sequence[SealedRow], removals: list[str], full: bool, days: int | None
    ) -> None:
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
            applied_at=None if days is None else NOON + timedelta(days),
            minimum_age=0,
            guard=unguarded,
            removals=gone,
        )
        assert applied.rows == self._pushed(self._cards)
        assert self._cache.version() != version

    @rule(row=ROWS, check=CHECKS, learnt=DAYS, row_days=DAYS, pin_days=DAYS)
    def keep(self, row: SealedRow, check: bytes, learnt: int, row_days: int, pin_days: int) -> None:
        """Expect the row, or its check, or nothing where a push brought one."""
        row = replace(row, patron=replace(row.patron, pin_check=check))
        days = [NOON.date() + timedelta(each) for each in (learnt, row_days, pin_days)]
        card = self._cards[row.row_key]
        if card.pushed is None or card.pushed.pin_check is None:
            self._cards[row.row_key] = replace(card, kept=Kept(row, *days))
        held = self._writer.held()
        self._writer.keep(row, learnt_on=days[0], row_until=days[1], pin_until=days[2])
        assert self._writer.held() == held

    @rule()
    def restart(self) -> None:
        """Start the writer's process again."""
        self._writer.close()
        self._writer = PatronCacheWriter(self._path, SEAL)

    @invariant()
    def finds_the_same(self) -> None:
        """Every card is the model's, and the stamp counts what was pushed."""
        for key, card in self._cards.items():
            assert self._cache.find(key) == card.found()
        assert self._cache.stamp().patrons == self._pushed(self._cards)

    def teardown(self) -> None:
        """Close what is open."""
        self._cache.close()
        self._writer.close()
        self._directory.cleanup()

    def _after(
        self, rows: Sequence[SealedRow], gone: set[str], full: bool, days: int | None
    ) -> dict[bytes, Card]:
        today = date.min if days is None else NOON.date() + timedelta(days)
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

    @staticmethod
    def _pushed(cards: dict[bytes, Card]) -> int:
        return sum(card.pushed is not None for card in cards.values())


TestKeptAgainstModel = KeptAgainstModel.TestCase
TestKeptAgainstModel.settings = settings(stateful_step_count=20)
