"""Erasing a person: in each database by its owner, and so that it can be done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from doorctl.core.errors import DoorctlError
from doorctl.privacy.subject import Subject
from doorctl.privacy.tables import BRANCH, PATRONS, VISITS

ALL_GONE = (0, 0, 0)
"""What ``wal_checkpoint(TRUNCATE)`` answers where no byte of what was deleted is left."""

TRACES = "a reader or the disk kept traces alive; erase again in a minute"


@dataclass(frozen=True, slots=True)
class HeldVisit:
    """A visit that a hold keeps; the purge deletes it when the hold has ended.

    `attempt` is its number in the door log; the hold with the number `case` ends at `until`, UTC.
    """

    attempt: int
    case: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PartErased:
    """What was erased in one database.

    For `checkpoint` see :data:`ALL_GONE`; `epoch` is the push that the register held, and `held`
    are the visits that an incident hold covers.
    """

    rows: int
    checkpoint: tuple[int, int, int]
    epoch: int = 0
    held: tuple[HeldVisit, ...] = ()


Keeper = Callable[[Subject, int], PartErased]
"""Erases a person in one database, durably and without residue; doing it again changes nothing.

It is the one writer of a database or a client of it, and gets the push that the register holds, for
the tombstone. It raises a DoorctlError where the owner does not answer or can't do it.
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure, by database; a second one can erase what was left.

    `left` says why data may still be there.
    """

    done: Mapping[str, PartErased]
    left: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many rows were erased in all."""
        return sum(part.rows for part in self.done.values())

    @property
    def held(self) -> tuple[HeldVisit, ...]:
        """The visits that holds keep for now."""
        return tuple(visit for part in self.done.values() for visit in part.held)


def erase(subject: Subject, keepers: Mapping[str, Keeper], epoch: int) -> Erasure:
    """Erase a person everywhere, as far as each database's owner can be reached.

    ``branch.db`` comes first: its tombstone still knows the person's other cards when the
    register has forgotten them, so that the rest can be done later. Without it nothing is erased.

    `keepers` has all three databases; `epoch` is the push that the register holds.
    """
    done: dict[str, PartErased] = {}
    left: dict[str, str] = {}
    for database in (BRANCH, VISITS, PATRONS):
        try:
            if BRANCH in left:
                left[database] = f"not touched, for {BRANCH} comes first"
            else:
                done[database] = keepers[database](subject, epoch)
        except DoorctlError as err:
            left[database] = str(err)
    if PATRONS in done and done[PATRONS].epoch > epoch:
        # A push came meanwhile: it is older than the erasure too.
        try:
            again = keepers[BRANCH](subject, done[PATRONS].epoch)
            done[BRANCH] = replace(again, rows=done[BRANCH].rows + again.rows)
        except DoorctlError as err:
            left[BRANCH] = str(err)
    traces = {name: TRACES for name, part in done.items() if part.checkpoint != ALL_GONE}
    return Erasure(done, {**traces, **left})
