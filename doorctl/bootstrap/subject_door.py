"""What the door process does for a person's rights: it owns the door log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

from doorctl.bootstrap.rules import branch_db
from doorctl.config import Config
from doorctl.errors import StoreError
from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_erasure import PartErased
from doorctl.store.subject_erasing import erase_visits, forget_erased
from doorctl.store.subject_tombstones import StoredErasures
from doorctl.store.visits import VisitStore
from doorctl.transports.control import Answers
from doorctl.transports.subject import ERASE_VISITS, answering

Opened = Callable[[], VisitStore]
"""Opens the door log unless it is open; on its own thread."""


def doors_answers(
    run: Callable[[Callable[[], PartErased]], PartErased],
    opened: Opened,
    forget: Callable[[frozenset[bytes]], None],
) -> Answers:
    """Return what the door process answers.

    Args:
        run: has a job done on the door log's thread, and returns what it returns.
        opened: see :data:`Opened`.
        forget: takes the row keys that no attempt which is still open may bring back; called on
            the door log's thread.
    """

    def erase(subject: Subject) -> PartErased:
        visits = opened()
        forget(subject.row_keys)
        return erase_visits(visits.path, visits.database, subject)

    return {ERASE_VISITS: answering(lambda asked: run(lambda: erase(asked.subject)))}


def forget_left(config: Config, opened: Opened) -> None:
    """Delete what an erasure had to leave in the door log; a part of each purge, on its thread.

    Where nobody knows who was erased, the purge goes on without it.
    """
    with suppress(StoreError), closing(StoredErasures(branch_db(config))) as erasures:
        visits = opened()
        forget_erased(visits.path, visits.database, erasures.tombstones())
