"""The rules of a push once more, over one dict: what a branch has to answer and to hold."""

from __future__ import annotations

from doorctl.access.patron import Patron
from doorctl.access.policy import Policy
from doorctl.ports import SealedRow
from doorctl.sync.wire import Removal
from tests.fakes.shut_out import changes
from tests.store.samples import NOON
from tests.sync.pushes import Document

FLOOR = 1
"""Cards that may always be shut out; beyond it no more than half of them."""


class Model:
    """A branch without a disk."""

    def __init__(self) -> None:
        self.epoch = 0
        self.digest = ""
        self.rows: dict[bytes, Patron] = {}

    def receive(self, document: Document, digest: str) -> str:
        """Return "applied", "unchanged", "order", "conflict" or "guarded"; hold what is right."""
        if (document.epoch, digest) == (self.epoch, self.digest):
            return "unchanged"
        follows = document.kind == "snapshot" or document.previous_epoch == self.epoch
        if document.epoch <= self.epoch or not follows:
            return "order"
        rows = [line for line in document.lines if isinstance(line, SealedRow)]
        new = {row.row_key: row.patron for row in rows}
        named = {patron.patron_ref for patron in new.values()}
        stay = {
            key: patron
            for key, patron in self.rows.items()
            if document.kind == "changes" and patron.patron_ref not in named
        }
        if len(new) < len(rows) or stay.keys() & new.keys():
            return "conflict"
        if document.approved_by is None and self._too_many(document, stay | new):
            return "guarded"
        self.rows = self._without_removed(document, stay | new)
        self.epoch, self.digest = document.epoch, digest
        return "applied"

    def _too_many(self, document: Document, after: dict[bytes, Patron]) -> bool:
        named = len(after) - len(self._without_removed(document, after))
        pairs = [(self.rows[key], after[key]) for key in self.rows.keys() & after.keys()]
        told = changes(
            pairs,
            held=len(self.rows),
            removed=len(self.rows.keys() - after.keys()) + named,
            today=NOON.date(),
            policy=Policy(),
        )
        counts = (told.removed, told.shut_out, told.pins_changed)
        return any(count > FLOOR and count * 2 > len(self.rows) for count in counts)

    def _without_removed(
        self, document: Document, rows: dict[bytes, Patron]
    ) -> dict[bytes, Patron]:
        gone = {line.patron_ref for line in document.lines if isinstance(line, Removal)}
        return {key: patron for key, patron in rows.items() if patron.patron_ref not in gone}
