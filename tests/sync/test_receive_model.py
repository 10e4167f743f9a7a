"""Bugs that were found.

Bug (the model of pushes, another seed): the model itself did not know that changes for another age
limit are refused.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from doorctl.access.patron import Patron, SealedRow
from doorctl.access.policy import Policy
from doorctl.core.errors import PushGuardedError, PushInvalidError, PushOutOfOrderError, StoreError
from doorctl.core.ports import Seal
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.sync.receive import Push, Staged, guard
from doorctl.sync.rows import Line, Removal
from tests.fakes.shut_out import Noted, Week
from tests.store.samples import DAY, NOON, key_of
from tests.sync.pushes import SEAL, Document, receive, stage
from tests.sync.pushes import TERMS as SENT

FLOOR = 1
"""Cards that may always be shut out; beyond it no more than half of them."""

MINIMUM_AGE = 14
FAR = 2**32
"""So many numbers may be left out."""


class Model:
    """The rules of a push once more, over one dict: what a branch has to answer and to hold."""

    def __init__(self) -> None:
        self.epoch = 0
        self.digest = ""
        self.minimum_age = 0
        self.rows: dict[bytes, Patron] = {}
        self.now: datetime = NOON
        self._week = Week(Policy())

    def receive(self, document: Document, digest: str) -> str:
        """Return "applied", its alarms, "unchanged" or why it is refused; hold what is right."""
        early = self._by_its_first_line(document, digest)
        if early:
            return early
        if document.kind == "changes" and self.epoch and document.minimum_age != self.minimum_age:
            return "conflict"
        rows = [line for line in document.lines if isinstance(line, SealedRow)]
        new = {row.row_key: row.patron for row in rows}
        named = {patron.patron_ref for patron in new.values()} | _removed(document)
        stay = {
            key: patron
            for key, patron in self.rows.items()
            if document.kind == "changes" and patron.patron_ref not in named
        }
        if len(new) < len(rows) or stay.keys() & new.keys():
            return "conflict"
        after = self._without_removed(document, stay | new)
        passing = {key: row for key, row in new.items() if key not in after}
        told, noted = self._week.judged(self.rows, after, self.now, passing)
        approved = document.approved_by is not None
        if not approved and self._too_many(
            max(told.shut_out, told.crowded, told.largest), told.held
        ):
            return "guarded"
        self._take(document, digest, after, {} if approved else noted)
        if approved:
            return "applied"
        ends = told.ending_now > 0 and self._too_many(told.shut_out + told.ending, told.held)
        unusual = ends or told.crowded > 0 or self._too_many(told.moved, told.held)
        alarms = (["push_widened"] if self._too_many(told.let_in, told.held) else []) + (
            ["push_unusual"] if unusual else []
        )
        return " ".join(alarms) or "applied"

    def _by_its_first_line(self, document: Document, digest: str) -> str:
        if (document.epoch, digest) == (self.epoch, self.digest):
            return "unchanged"
        follows = document.kind == "snapshot" or document.previous_epoch == self.epoch
        if not follows or not self.epoch < document.epoch <= self.epoch + FAR:
            return "order"
        if document.seal != SEAL:
            return "seal"
        too_young = document.minimum_age < MINIMUM_AGE
        return "guarded" if too_young and document.approved_by is None else ""

    def _take(
        self, document: Document, digest: str, after: dict[bytes, Patron], noted: Noted
    ) -> None:
        self._week.noted = noted
        self.rows, self.epoch, self.digest = after, document.epoch, digest
        self.minimum_age = document.minimum_age

    def _too_many(self, count: int, held: int) -> bool:
        return count > min(FLOOR, held // 2) and count * 2 > held

    def _without_removed(
        self, document: Document, rows: dict[bytes, Patron]
    ) -> dict[bytes, Patron]:
        gone = _removed(document)
        return {key: patron for key, patron in rows.items() if patron.patron_ref not in gone}


def _removed(document: Document) -> set[str]:
    return {line.patron_ref for line in document.lines if isinstance(line, Removal)}


NUMBERS = range(12)
DAYS = st.none() | st.sampled_from([NOON.date() + n * DAY for n in (-1, 0, 1, 5, 7, 8, 30, 60, 61)])
PATRONS = st.builds(
    Patron,
    st.sampled_from("abc"),
    st.sampled_from([bytes(32), bytes(32), bytes(range(32)), None]),
    resident=st.sampled_from([True, True, False]),
    active=st.sampled_from([True, True, True, False]),
    blocks=st.sampled_from([frozenset(), frozenset(), frozenset("E"), frozenset("U")]),
    enter_from=st.none() | DAYS,
    valid_until=st.none() | DAYS,
    hold_from=st.none() | DAYS,
)
OPEN = st.builds(lambda ref: Patron(ref, bytes(32), resident=True), st.sampled_from("abc"))
ROWS = st.builds(SealedRow, st.sampled_from(NUMBERS).map(key_of), OPEN | PATRONS)
LINES: st.SearchStrategy[Line] = ROWS | st.builds(Removal, st.sampled_from("abcd"))
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "minimum_age": st.sampled_from([0, 13, 14]),
        "seal": st.sampled_from([SEAL, Seal("deadbeef", 64, 1)]),
        "approved_by": st.sampled_from([None, "M. Bech"]),
    },
)
"""What else a manifest says, right and wrong."""

BELIEVED = replace(SENT, guard=guard(max_percent=50.0, floor=FLOOR), minimum_age=MINIMUM_AGE)


class PushesAgainstModel(RuleBasedStateMachine):
    """Make pushes, deliver them in any order and as often as it comes; never differ."""

    documents: Bundle[Document] = Bundle("documents")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "patrons.db"
        create_patrons(self._path, SEAL)
        self._writer = PatronCacheWriter(self._path, SEAL)
        self._cache = PatronCache(self._path, SEAL)
        self._model = Model()

    @rule(
        target=documents,
        rows=st.lists(ROWS, max_size=6, unique_by=lambda row: row.row_key),
        ahead=st.sampled_from([0, 1, 2, FAR, FAR + 1, 2**63 - 1]),
        terms=TERMS,
    )
    def make_snapshot(self, rows: list[Line], ahead: int, terms: dict[str, Any]) -> Document:
        """Prepare the whole register, mostly as the next one."""
        epoch = min(max(1, self._model.epoch + ahead), 2**63 - 1)
        return Document(rows, "snapshot", epoch, **terms)

    @rule(
        target=documents,
        lines=st.lists(LINES, max_size=4),
        ahead=st.integers(1, 2),
        behind=st.sampled_from([0, 0, 0, 1]),
        terms=TERMS,
    )
    def make_changes(
        self, lines: list[Line], ahead: int, behind: int, terms: dict[str, Any]
    ) -> Document:
        """Prepare changes, mostly to what is held."""
        held = self._model.epoch
        return Document(lines, "changes", held + ahead, max(0, held - behind), **terms)

    @rule(rows=st.lists(OPEN, min_size=4, max_size=6), wrong=st.lists(PATRONS, max_size=6))
    def wear_away(self, rows: list[Patron], wrong: list[Patron]) -> None:
        """Push a register that opens and then lose it card by card, each a push of its own."""
        cards: list[SealedRow] = [SealedRow(key_of(n), row) for n, row in enumerate(rows)]
        self._push(cards, approved_by="M. Bech")
        for place, patron in enumerate(wrong[: len(cards)]):
            cards = [*cards[:place], replace(cards[place], patron=patron), *cards[place + 1 :]]
            self._push(cards)

    @rule(hours=st.sampled_from([1, 23, 24, 72, 167, 168]))
    def wait(self, hours: int) -> None:
        """Let time pass."""
        self._model.now += timedelta(hours=hours)

    @rule(target=documents, document=documents)
    def approve(self, document: Document) -> Document:
        """Put a name under a push that was made before."""
        return replace(document, approved_by="M. Bech")

    @rule(target=documents, document=documents, more=ROWS)
    def make_other_content(self, document: Document, more: Line) -> Document:
        """Give a number that is taken to other rows."""
        return replace(document, lines=[*document.lines, more])

    @rule(document=documents, compress=st.booleans(), times=st.integers(1, 2))
    def deliver(self, document: Document, compress: bool, times: int) -> None:
        """Expect the model's answer, also to a push that was delivered before or overtaken."""
        for _ in range(times):
            staged = stage(document.data(compress=compress))
            expected = self._model.receive(document, staged.manifest.sha256)
            assert self._answer(staged) == expected

    def _push(self, rows: list[SealedRow], **terms: Any) -> None:
        epoch = self._model.epoch + 1
        document = Document(rows, "snapshot", epoch, **terms)
        staged = stage(document.data())
        assert self._answer(staged) == self._model.receive(document, staged.manifest.sha256)

    @rule()
    def restart(self) -> None:
        """Start the receiver's process again."""
        self._writer.close()
        self._writer = PatronCacheWriter(self._path, SEAL)

    @invariant()
    def holds_the_same(self) -> None:
        """Number, digest and every row are the model's."""
        assert self._writer.held() == Push(self._model.epoch, self._model.digest)
        found = {key: self._cache.find(key) for key in map(key_of, NUMBERS)}
        assert {key: patron for key, patron in found.items() if patron} == self._model.rows
        assert self._cache.stamp().patrons == len(self._model.rows)

    def teardown(self) -> None:
        """Close what is open."""
        self._cache.close()
        self._writer.close()
        self._directory.cleanup()

    def _answer(self, staged: Staged) -> str:
        try:
            received = receive(staged, self._writer, BELIEVED, at=self._model.now)
        except PushOutOfOrderError:
            return "order"
        except PushGuardedError:
            return "guarded"
        except PushInvalidError:
            return "seal"
        except StoreError:
            return "conflict"
        return " ".join(received.warnings) or ("unchanged" if received.unchanged else "applied")


TestPushesAgainstModel = PushesAgainstModel.TestCase
TestPushesAgainstModel.settings = settings(stateful_step_count=20)
