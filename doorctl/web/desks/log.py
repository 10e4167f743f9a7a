"""What the door log's page asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from doorctl.access.calendar import Mode
from doorctl.ports import Visit


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which attempts are wanted; all of it must fit.

    Args:
        verdict: ``granted``, ``refused``, ``open`` for those still under way, or None for any.
        reasons: fixed names of `Reason`; empty for any.
        since: UTC, included; None for all that may be shown.
        until: UTC, not included.
        cards: 16-byte row keys, as `search` returned them; None for any.
    """

    verdict: str | None = None
    reasons: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    cards: frozenset[bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Attempts, newest first, and whether there are older ones that fit."""

    visits: tuple[Visit, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """What happened at the door in a quarter of an hour.

    Args:
        starts: local.
        granted: attempts that opened it.
        refused: attempts that did not.
    """

    starts: datetime
    granted: int
    refused: int


@dataclass(frozen=True, slots=True)
class ModeBand:
    """What the branch was, or is planned to be, for a while of one day; local times."""

    starts: datetime
    ends: datetime
    mode: Mode


@dataclass(frozen=True, slots=True)
class DayPicture:
    """One day at the door.

    Args:
        day: local.
        slots: only those in which something happened, in order.
        bands: in order, without gaps between midnight and midnight where the hours are known.
        inside: estimates of the head-count at local times, where it is known.
    """

    day: date
    slots: tuple[Slot, ...]
    bands: tuple[ModeBand, ...]
    inside: tuple[tuple[datetime, int], ...] = ()


class DoorLog(Protocol):
    """The door log, pseudonymous; nothing older than may be shown is ever returned."""

    def page(self, chosen: LogFilter, *, before: int | None = None, limit: int = 50) -> LogPage:
        """Return attempts with numbers below `before`, or the newest."""

    def after(self, number: int, limit: int = 100) -> tuple[Visit, ...]:
        """Return attempts with higher numbers, oldest first."""

    def last(self) -> int:
        """Return the highest attempt number that may be shown, 0 for none."""

    def version(self) -> int:
        """Return another number after each commit; costs microseconds, and never raises."""

    def day(self, day: date) -> DayPicture:
        """Return the picture of a local day."""

    def search(self, typed: str, by: str) -> frozenset[bytes]:
        """Return the row keys of a swiped or typed number, sealed by the door; audited."""

    def reveal(self, attempt: int, purpose: str, by: str) -> str | None:
        """Return the library system's number of whoever it was; None where nobody knows.

        Audited, and refused beyond so many an hour and account.
        """

    def export(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        """Return all attempts that fit, oldest first; audited.

        Raises InputError where there are too many for one export: part of them is never taken for
        all.
        """
