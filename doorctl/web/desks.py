"""The interfaces behind the staff pages: one desk a page, its methods and their values.

A desk is thread-safe and may wait for a disk or the door process, at most seconds. A method that
shows data about people or changes something takes the account, `by`, and writes it to the audit log
before it returns. Adapters stand in `wiring` and `services`, fakes in `tests/fakes`.

Every method raises `DoorctlError`: `InputError` for what makes no sense, `StoreError` for a
database that can't be read or written, `NotAnsweringError` where the door has to be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from doorctl.access.calendar import Mode
from doorctl.ports import Visit
from doorctl.privacy.audit import Action, Entry, Head, Verdict
from doorctl.privacy.hold import Hold, HoldAsked
from doorctl.privacy.letters import Export
from doorctl.privacy.statistics import Gathered
from doorctl.privacy.subject import Erasure
from doorctl.services.explain import Explanation


class StatisticsDesk(Protocol):
    """How much the door is used; names nobody."""

    def branch(self) -> str:
        """Return the branch's id, as it stands in what scripts read."""

    def usage(self, since: date | None, until: date | None) -> Gathered:
        """Return the counts of the month or year that both local days lie in, else all of them."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which attempts are wanted; all of it must fit, and what is None or empty fits any.

    Args:
        verdict: ``granted``, ``refused``, or ``open`` for those still under way.
        reasons: fixed names of `Reason`.
        since: UTC, included; None for all that may be shown.
        until: UTC, not included.
        cards: 16-byte row keys, as `search` returned them.
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
    """Attempts in a quarter of an hour, by outcome; `starts` is local."""

    starts: datetime
    granted: int
    refused: int


@dataclass(frozen=True, slots=True)
class ModeBand:
    """The branch's mode, past or planned, for a part of one day; local times."""

    starts: datetime
    ends: datetime
    mode: Mode


@dataclass(frozen=True, slots=True)
class DayPicture:
    """One local day at the door.

    `slots` are only those in which something happened, and `bands` leave no gaps between midnight
    and midnight where the hours are known; both are in order. `inside` estimates the head-count at
    local times, where it is known.
    """

    day: date
    slots: tuple[Slot, ...]
    bands: tuple[ModeBand, ...]
    inside: tuple[tuple[datetime, int], ...] = ()


class DoorLog(Protocol):
    """The door log, pseudonymous; it never returns what is too old to be shown."""

    def page(self, chosen: LogFilter, *, before: int | None = None, limit: int = 50) -> LogPage:
        """Return attempts with numbers below `before`, or the newest."""

    def after(self, number: int, limit: int = 100) -> tuple[Visit, ...]:
        """Return attempts with higher numbers, oldest first."""

    def last(self) -> int:
        """Return the highest attempt number that may be shown, 0 for none."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, and never raises."""

    def day(self, day: date) -> DayPicture:
        """Return the picture of a local day."""

    def search(self, typed: str, by: str) -> frozenset[bytes]:
        """Return the row keys of a swiped or typed number, sealed by the door; audited."""

    def reveal(self, attempt: int, purpose: str, by: str) -> str | None:
        """Return the library system's number of the patron; None where it is not known.

        Audited, and refused beyond so many an hour and account.
        """

    def export(self, chosen: LogFilter, purpose: str, by: str) -> tuple[Visit, ...]:
        """Return all attempts that fit, oldest first; audited.

        Raises InputError where there are too many for one export: part of them is never taken for
        all.
        """


TakenAs = Literal["card", "cpr"]
"""How a number of ten digits is to be read, where it may be either."""


class ExplainDesk(Protocol):
    """Why a card would be refused."""

    def explain(
        self, typed: str, taken_as: TakenAs | None, at: datetime | None, why: str, by: str
    ) -> Explanation:
        """Say whether a card would get in, and why not, at a time; None for now.

        The time is local where it has no offset; `why` is the reason for the look.
        """

    def unlock(self, typed: str, taken_as: TakenAs | None, by: str) -> None:
        """Forget a card's wrong PINs."""


@dataclass(frozen=True, slots=True)
class Named:
    """A person, named by the number on the card or by the library system's number."""

    typed: str | None = field(default=None, repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    taken_as: TakenAs | None = None


class SubjectDesk(Protocol):
    """A person's rights; each use gives its reason, which names nobody."""

    def branch(self) -> str:
        """Return the branch's id, as it stands in an export for scripts."""

    def export(self, named: Named, why: str, by: str) -> Export:
        """Return all that is held of a person."""

    def erase(self, named: Named, why: str, by: str) -> Erasure:
        """Erase a person in every database."""

    def restrict(self, named: Named, why: str, by: str) -> bool:
        """Keep a person's data and use them for nothing; tell whether any card is known."""

    def unrestrict(self, named: Named, why: str, by: str) -> None:
        """Use a person's data again."""


class AuditDesk(Protocol):
    """The audit log."""

    def entries(
        self,
        *,
        since: datetime | None,
        until: datetime | None,
        account: str | None,
        action: Action | None,
        by: str,
    ) -> tuple[Entry, ...]:
        """Return entries that fit, newest first; reading them adds an entry of its own."""

    def verify(self) -> Verdict:
        """Return whether the chain is whole."""

    def head(self) -> Head:
        """Return the chain's end."""


class HoldDesk(Protocol):
    """What the purge spares because of an incident."""

    def every(self) -> tuple[tuple[Hold, bool], ...]:
        """Return each hold and whether it is in force."""

    def add(self, asked: HoldAsked) -> Hold:
        """Add a hold for a window of visits."""

    def lift(self, number: int, by: str) -> Hold:
        """Lift a hold."""

    def visits(self, number: int, by: str) -> Sequence[Visit]:
        """Return the visits of a hold that may be shown now; audited."""
