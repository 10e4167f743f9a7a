"""What may be asked of ``branch.db``'s one writer, each as a value that says how it is done.

The same value is carried out at once by whoever holds the file, or travels to the web process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol, TypeVar

from doorctl.access.modes import Override
from doorctl.access.rights import Ban, Pass
from doorctl.accounts.ports import Books
from doorctl.errors import InputError
from doorctl.moments import Moment
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
    """Ban a card, a patron with all cards, or both; a ban with its number is what comes of it."""

    ban: Ban
    row_key: bytes | None = field(repr=False)
    patron_ref: str | None = field(repr=False)

    def carried_out(self, branch: OpenBranch, moment: Moment) -> Ban:
        """Ban them."""
        ban, key, ref = self.ban, self.row_key, self.patron_ref
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
    """Issue a pass for a card or code; a pass with its number is what comes of it."""

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
    """Say what the hours of a date are, in place of what staff said of it before."""

    day: StoredDay

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Say it; what staff said of other dates stays."""
        others = (one for one in said_by_staff(branch.book, moment) if one.day != self.day.day)
        days = [*others, self.day]
        branch.writer.set_days(DaySource.STAFF, days, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class ClearDay:
    """Take back what staff said of a date."""

    day: date

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Take it back; a date of which they said nothing, or that is past, is refused."""
        said = list(said_by_staff(branch.book, moment))
        others = [one for one in said if one.day != self.day]
        if others == said:
            raise InputError(f"staff have set no hours for {self.day} that could be cleared")
        branch.writer.set_days(DaySource.STAFF, others, moment, known_until=None)


@dataclass(frozen=True, slots=True)
class Note:
    """Put a deed on the audit log that changes nothing here, such as a look at somebody."""

    deed: Deed

    def carried_out(self, branch: OpenBranch, moment: Moment) -> None:
        """Do nothing: it is told of in the audit log as every change is."""


def said_by_staff(book: BranchBook, moment: Moment) -> Iterator[StoredDay]:
    """Yield what staff said of today and later, in order of date."""
    known = moment.local if moment.dependable else moment.high_water
    today = known.astimezone(moment.local.tzinfo).date()
    for source in book.calendar().sources:
        if source.source is DaySource.STAFF:
            yield from (one for one in source.days if one.day >= today)
