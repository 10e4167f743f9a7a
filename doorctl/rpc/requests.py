"""What may be asked of ``branch.db``'s one writer, each as a value that says how it is done.

The process that holds the file carries it out at once, any other sends it to the web process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol, TypeVar

from doorctl.access.day import Override
from doorctl.access.rights import ALL_BRANCHES, Ban, Pass
from doorctl.accounts.ports import Books
from doorctl.core.errors import InputError
from doorctl.core.moments import Moment
from doorctl.ports import BranchBook, BranchWriter, DaySource, StoredDay
from doorctl.privacy.audit import AuditWriter, Deed

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OpenBranch:
    """``branch.db`` in the hands of its one writer; all of it belongs to one thread."""

    book: BranchBook
    writer: BranchWriter
    audit: AuditWriter
    staff: Books


class Request(Protocol[ResultT_co]):
    """One change of ``branch.db``."""

    def carried_out(self, branch: OpenBranch, moment: Moment) -> ResultT_co:
        """Change it, durably, and return what was changed.

        Raises:
            InputError: it makes no sense; nothing was changed.
            StoreError: nothing was changed.
        """


@dataclass(frozen=True, slots=True)
class AddBan:
    """Ban a card, a patron with all cards, or both; returns the ban with its number."""

    ban: Ban
    row_key: bytes | None = field(repr=False)
    patron_ref: str | None = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Ban:
        """Ban them; a ban that adds nothing to one that stands is refused."""
        ban, key, ref = self.ban, self.row_key, self.patron_ref
        # A ban of a patron is of all cards, whichever of them was swiped; no row has an empty key.
        whose = (key or b"", None) if ref is None else (b"", ref)
        refuse_second(ban, branch.book.bans(*whose))
        return branch.writer.ban(ban, moment, row_key=key, patron_ref=ref)


@dataclass(frozen=True, slots=True)
class LiftBan:
    """Lift a ban before its end."""

    number: int

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Ban:
        """Lift it."""
        return branch.writer.lift(self.number, moment)


@dataclass(frozen=True, slots=True)
class IssuePass:
    """Issue a pass for a card or code; returns the pass with its number."""

    new: Pass
    row_key: bytes = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Pass:
        """Issue it."""
        return branch.writer.issue(self.new, moment, row_key=self.row_key)


@dataclass(frozen=True, slots=True)
class RevokePass:
    """Take a pass back."""

    number: int

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Pass:
        """Revoke it."""
        return branch.writer.revoke(self.number, moment)


@dataclass(frozen=True, slots=True)
class SetMode:
    """Set a mode by hand in place of any other."""

    override: Override

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Set it."""
        branch.writer.set_override(self.override, moment)


@dataclass(frozen=True, slots=True)
class EndMode:
    """Go back to the calendar."""

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Override:
        """End the mode that was set by hand; return it."""
        return branch.writer.end_override(moment)


@dataclass(frozen=True, slots=True)
class SetDay:
    """Set the hours of a date, in place of those that staff set before."""

    day: StoredDay

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Set them; the hours that staff set for other dates stay."""
        others = (one for one in said_by_staff(branch.book, moment) if one.day != self.day.day)
        days = [*others, self.day]
        branch.writer.set_days(DaySource.STAFF, days, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class ClearDay:
    """Take back the hours that staff set for a date."""

    day: date

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Take them back; a date without any, or one that is past, is refused."""
        said = list(said_by_staff(branch.book, moment))
        others = [one for one in said if one.day != self.day]
        if others == said:
            raise InputError(f"staff have set no hours for {self.day} that could be cleared")
        branch.writer.set_days(DaySource.STAFF, others, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class Note:
    """Put a deed on the audit log that changes nothing here, such as a look at somebody's data."""

    deed: Deed

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Do nothing: the audit log has an entry for it as for every change."""


def refuse_second(ban: Ban, standing: Iterable[Ban]) -> None:
    """Refuse a ban beside one that keeps the same people out as early, as long and as widely.

    `standing` are those of the same card or patron that were not lifted, in force or not.

    Raises:
        InputError: there is such a ban.
    """
    if any(_covers(one, ban) for one in standing):
        raise InputError(
            "the card or patron is banned for as long already; lift that ban first if this one is "
            "to take its place"
        )


def _covers(standing: Ban, ban: Ban) -> bool:
    as_long = standing.until is None or (ban.until is not None and ban.until <= standing.until)
    as_widely = ALL_BRANCHES in standing.branches or ban.branches <= standing.branches
    return standing.since <= ban.since and as_long and as_widely


def said_by_staff(book: BranchBook, moment: Moment) -> Iterator[StoredDay]:
    """Yield the hours that staff set for today and later, in order of date."""
    known = moment.local if moment.dependable else moment.high_water
    today = known.astimezone(moment.local.tzinfo).date()
    for source in book.calendar().sources:
        if source.source is DaySource.STAFF:
            yield from (one for one in source.days if one.day >= today)
