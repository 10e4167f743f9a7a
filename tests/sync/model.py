"""The rules of a push once more, over one dict: what a branch has to answer and to hold."""

from __future__ import annotations

from datetime import datetime

from doorctl.access.patron import Patron, SealedRow
from doorctl.access.policy import Policy
from doorctl.sync.rows import Removal
from tests.fakes.shut_out import Noted, Week
from tests.store.samples import NOON
from tests.sync.pushes import SEAL, Document

FLOOR = 1
"""Cards that may always be shut out; beyond it no more than half of them."""

MINIMUM_AGE = 14
FAR = 2**32
"""So many numbers may be left out."""


class Model:
    """A branch without a disk."""

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
