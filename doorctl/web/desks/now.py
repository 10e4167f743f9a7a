"""What the first page asks for: the branch as it is, and what staff may do at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from doorctl.access.calendar import Cause, Day, Mode
from doorctl.access.modes import Override


@dataclass(frozen=True, slots=True)
class DoorNow:
    """What the door process says of itself; see `doorctl status`.

    Args:
        reader: ``connected``, ``lost``, or None where that line is not configured.
        leaf: locked, released, open, held or forced.
        inside: estimate of people inside, None where nothing counts them.
        clock: the state of its clock.
        in_doubt: what its clock says, where that is in doubt; else None.
    """

    reader: str | None
    keypad: str | None
    leaf: str
    released: bool
    inside: int | None
    inside_low: int | None
    inside_high: int | None
    clock: str
    version: str
    in_doubt: datetime | None = None


@dataclass(frozen=True, slots=True)
class HoursNow:
    """What the branch is, and is about to be; local times.

    Args:
        mode: None where nobody knows.
        cause: calendar, staff or what else says so.
        override: what staff set last, if it is in force.
        changes_at: when it becomes `becomes`; None if not within 14 days.
        opens_next: when patrons can come in next; now, if they can.
        today: the spans of today; None where not known.
    """

    mode: Mode | None
    cause: Cause
    override: Override | None
    changes_at: datetime | None
    becomes: Mode | None
    opens_next: datetime | None
    today: Day | None


@dataclass(frozen=True, slots=True)
class RegisterNow:
    """The patron register's copy.

    Args:
        epoch: None where it can't be read.
        age: None where not known.
        problem: what is wrong with it, a sentence; None for nothing.
    """

    epoch: int | None
    patrons: int
    age: timedelta | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class BranchPicture:
    """All of it at one moment.

    Args:
        at: local.
        door: None where the door process does not answer.
        hours: None where they can't be read.
        disk_free_bytes: where the databases are; None where not known.
    """

    at: datetime
    door: DoorNow | None
    hours: HoursNow | None
    register: RegisterNow
    disk_free_bytes: int | None
    version: str


class NowDesk(Protocol):
    """The branch now, and what staff do about it."""

    def now(self) -> BranchPicture:
        """Return it; what can't be had is None, and nothing is raised for it."""

    def open_once(self, reason: str, by: str) -> None:
        """Have the door let somebody in once."""

    def trust_clock(self, by: str) -> None:
        """Say that the clock is right."""

    def set_mode(self, mode: Mode, until: datetime, cause: str, by: str) -> None:
        """Set a mode by hand until a time."""

    def end_mode(self, by: str) -> None:
        """Go back to the calendar."""
