from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from doorctl.errors import PushGuardedError, PushOutOfOrderError, StoreError
from doorctl.ports import Push
from doorctl.store.patrons import PatronCache
from doorctl.store.patrons_writer import PatronCacheWriter, create_patrons
from doorctl.store.sealing import Seal
from doorctl.sync.guard import guard
from doorctl.sync.receive import receive
from doorctl.sync.staging import Staged
from doorctl.sync.wire import Line, Removal
from tests.store.samples import NOON
from tests.sync.model import FLOOR, Model
from tests.sync.pushes import SEAL, Document, row, stage

STORE_SEAL = Seal(SEAL.key_id, SEAL.memory_kib, SEAL.iterations)
NUMBERS = range(6)
ROWS = st.builds(
    row,
    st.sampled_from(NUMBERS),
    st.sampled_from("abc"),
    resident=st.sampled_from([True, True, False]),
    blocks=st.sampled_from(["", "", "U"]),
)
LINES: st.SearchStrategy[Line] = ROWS | st.builds(Removal, st.sampled_from("abcd"))


class PushesAgainstModel(RuleBasedStateMachine):
    """Make pushes, deliver them in any order and as often as it comes; never differ."""

    documents: Bundle[Document] = Bundle("documents")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "patrons.db"
        create_patrons(self._path, STORE_SEAL)
        self._writer = PatronCacheWriter(self._path, STORE_SEAL)
        self._cache = PatronCache(self._path, STORE_SEAL)
        self._model = Model()

    @rule(target=documents, rows=st.lists(ROWS, max_size=6), ahead=st.integers(0, 2))
    def make_snapshot(self, rows: list[Line], ahead: int) -> Document:
        """Prepare the whole register."""
        return Document(rows, "snapshot", epoch=max(1, self._model.epoch + ahead))

    @rule(
        target=documents,
        lines=st.lists(LINES, max_size=4),
        ahead=st.integers(1, 2),
        behind=st.sampled_from([0, 0, 0, 1]),
    )
    def make_changes(self, lines: list[Line], ahead: int, behind: int) -> Document:
        """Prepare changes, mostly to what is held."""
        held = self._model.epoch
        return Document(lines, "changes", held + ahead, max(0, held - behind))

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

    @rule()
    def restart(self) -> None:
        """Start the receiver's process again."""
        self._writer.close()
        self._writer = PatronCacheWriter(self._path, STORE_SEAL)

    @invariant()
    def holds_the_same(self) -> None:
        """Number, digest and every row are the model's."""
        assert self._writer.held() == Push(self._model.epoch, self._model.digest)
        found = {key: self._cache.find(key) for key in (row(n).row_key for n in NUMBERS)}
        assert {key: patron for key, patron in found.items() if patron} == self._model.rows
        assert self._cache.stamp().patrons == len(self._model.rows)

    def teardown(self) -> None:
        """Close what is open."""
        self._cache.close()
        self._writer.close()
        self._directory.cleanup()

    def _answer(self, staged: Staged) -> str:
        try:
            received = receive(
                staged,
                writer=self._writer,
                seal=SEAL,
                applied_at=NOON,
                guard=guard(max_percent=50.0, floor=FLOOR),
            )
        except PushOutOfOrderError:
            return "order"
        except PushGuardedError:
            return "guarded"
        except StoreError:
            return "conflict"
        return "unchanged" if received.unchanged else "applied"


TestPushesAgainstModel = PushesAgainstModel.TestCase
TestPushesAgainstModel.settings = settings(
    max_examples=50,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
