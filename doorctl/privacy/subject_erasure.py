"""Erasing a person: in each database by its owner, and so that it can be done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from doorctl.errors import DoorctlError
from doorctl.privacy.subject import Subject
from doorctl.privacy.subject_table import BRANCH, PATRONS, VISITS

ALL_GONE = (0, 0, 0)
"""What ``wal_checkpoint(TRUNCATE)`` answers where no byte of what was deleted is left."""

TRACES = "a reader or the disk kept traces alive; erase again in a minute"


@dataclass(frozen=True, slots=True)
class HeldVisit:
    """A visit that stays for now; the purge takes it when the hold has ended.

    Args:
        attempt: its number in the door log.
        case: the hold's case number.
        until: when the hold ends, UTC.
    """

    attempt: int
    case: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PartErased:
    """What was erased in one database.

    Args:
        rows: how many rows.
        checkpoint: see :data:`ALL_GONE`.
        epoch: for the register: the push that it held.
        held: visits that an incident hold covers.
    """

    rows: int
    checkpoint: tuple[int, int, int]
    epoch: int = 0
    held: tuple[HeldVisit, ...] = ()


class Keeper(Protocol):
    """The one writer of a database, or the way to it."""

    def erase(self, subject: Subject, epoch: int) -> PartErased:
        """Erase a person, durably and without residue; doing it again changes nothing.

        Args:
            subject: who.
            epoch: the push that the register holds, for the tombstone.

        Raises:
            DoorctlError: the owner did not answer or could not do it.
        """


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did, by database; whatever is left can be erased by doing it again.

    Args:
        done: what was erased.
        left: why something may still be there.
    """

    done: Mapping[str, PartErased]
    left: Mapping[str, str]

    @property
    def rows(self) -> int:
        """How many rows were erased in all."""
        return sum(part.rows for part in self.done.values())

    @property
    def held(self) -> tuple[HeldVisit, ...]:
        """The visits that stay for now."""
        return tuple(visit for part in self.done.values() for visit in part.held)


def erase(subject: Subject, keepers: Mapping[str, Keeper], epoch: int) -> Erasure:
    """Erase a person everywhere, as far as each database's owner can be reached.

    ``branch.db`` comes first: its tombstone still knows the person's other cards when the
    register has forgotten them, so that the rest can be done later. Without it nothing is erased.

    Args:
        subject: who.
        keepers: by database, all three.
        epoch: which push the register holds.
    """
    done: dict[str, PartErased] = {}
    left: dict[str, str] = {}
    for database in (BRANCH, VISITS, PATRONS):
        try:
            if BRANCH in left:
                left[database] = f"not touched, for {BRANCH} comes first"
            else:
                done[database] = keepers[database].erase(subject, epoch)
        except DoorctlError as err:
            left[database] = str(err)
    if PATRONS in done and done[PATRONS].epoch > epoch:
        # A push came meanwhile: it is older than the erasure too.
        try:
            again = keepers[BRANCH].erase(subject, done[PATRONS].epoch)
            done[BRANCH] = replace(again, rows=done[BRANCH].rows + again.rows)
        except DoorctlError as err:
            left[BRANCH] = str(err)
    traces = {name: TRACES for name, part in done.items() if part.checkpoint != ALL_GONE}
    return Erasure(done, {**traces, **left})
