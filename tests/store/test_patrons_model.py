from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from doorctl.access.patron import Patron, SealedRow
from doorctl.core.errors import StoreError
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import unguarded
from tests.store.samples import NOON, SEAL, key_of

NUMBERS = range(8)
ROWS = st.lists(
    st.builds(
        SealedRow,
        st.sampled_from(NUMBERS).map(key_of),
        st.builds(Patron, st.sampled_from("abcd"), resident=st.booleans()),
    ),
    max_size=6,
)


class CacheAgainstDict(RuleBasedStateMachine):
    """Push at random into a cache and into a dict; nothing may ever differ."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "patrons.db"
        create_patrons(self._path, SEAL)
        self._writer = PatronCacheWriter(self._path, SEAL)
        self._cache = PatronCache(self._path, SEAL)
        self._held: dict[bytes, Patron] = {}
        self._epoch = 0

    @rule(rows=ROWS, full=st.booleans())
    def push(self, rows: list[SealedRow], full: bool) -> None:
        """Expect what the rules of a push, written down once more, expect."""
        new = {row.row_key: row.patron for row in rows}
        refs = {row.patron.patron_ref for row in rows}
        others = {} if full else self._without(refs)
        before = self._cache.version()
        if len(new) < len(rows) or others.keys() & new.keys():
            self._expect_refusal(rows, full=full)
            assert self._cache.version() == before
            return
        applied = self._writer.apply(
            rows, full=full, applied_at=NOON, minimum_age=0, guard=unguarded
        )
        removed = self._held.keys() - others.keys() - new.keys()
        self._held, self._epoch = others | new, self._epoch + 1
        assert (applied.epoch, applied.rows) == (self._epoch, len(self._held))
        assert applied.removed == len(removed)
        assert self._cache.version() != before

    @rule(rows=ROWS, full=st.booleans())
    def push_that_breaks_off(self, rows: list[SealedRow], full: bool) -> None:
        """Expect nothing of a push whose rows end in an exception."""

        def broken() -> Iterator[SealedRow]:
            yield from rows
            raise EOFError

        try:
            self._writer.apply(broken(), full=full, applied_at=NOON, minimum_age=9, guard=unguarded)
        except (EOFError, StoreError):
            return
        raise AssertionError("the broken push was applied")

    @rule()
    def reopen(self) -> None:
        """Restart the writer's process."""
        self._writer.close()
        self._writer = PatronCacheWriter(self._path, SEAL)

    @invariant()
    def same(self) -> None:
        """Every row and the stamp are the dict's."""
        found = {key: self._cache.find(key) for key in map(key_of, NUMBERS)}
        assert {key: patron for key, patron in found.items() if patron} == self._held
        stamp = self._cache.stamp()
        assert (stamp.epoch, stamp.patrons, stamp.minimum_age) == (self._epoch, len(self._held), 0)

    def teardown(self) -> None:
        """Close what is open."""
        self._cache.close()
        self._writer.close()
        self._directory.cleanup()

    def _without(self, refs: set[str]) -> dict[bytes, Patron]:
        return {key: row for key, row in self._held.items() if row.patron_ref not in refs}

    def _expect_refusal(self, rows: list[SealedRow], *, full: bool) -> None:
        try:
            self._writer.apply(rows, full=full, applied_at=NOON, minimum_age=9, guard=unguarded)
        except StoreError:
            return
        raise AssertionError("the push was applied")


TestCacheAgainstDict = CacheAgainstDict.TestCase
TestCacheAgainstDict.settings = settings(stateful_step_count=20)
