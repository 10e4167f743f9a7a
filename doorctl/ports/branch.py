"""Ports to the branch's own data: bans, passes and opening hours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from doorctl.access.calendar import Day
from doorctl.access.day import Override
from doorctl.access.rights import Ban, Pass
from doorctl.core.moments import Moment


@dataclass(frozen=True, slots=True)
class BanEntry:
    """A ban as staff see it listed; times are UTC.

    `card` is the first 8 hex digits of the row key, a pseudonym; None for a ban of the patron.
    `patron_ref` is the library system's opaque number; None for a ban of the card alone.
    """

    ban: Ban
    card: str | None
    patron_ref: str | None = field(repr=False)
    lifted_at: datetime | None = None

    def is_of_the_same(self, other: BanEntry) -> bool:
        """Tell whether both are of one patron or of one card."""
        same_patron = self.patron_ref is not None and self.patron_ref == other.patron_ref
        return same_patron or (self.card is not None and self.card == other.card)


@dataclass(frozen=True, slots=True)
class PassEntry:
    """A pass as staff see it listed; `card` is a pseudonym as in :class:`BanEntry`."""

    held: Pass
    card: str
    revoked_at: datetime | None = None


class DaySource(Enum):
    """Where the hours of a date come from."""

    CONFIG = "config"
    HOLIDAY = "holiday"
    STAFF = "staff"
    WEBSITE = "website"


@dataclass(frozen=True, slots=True)
class StoredDay:
    """The hours of one date from one source; `note` is for people ("Grundlovsdag")."""

    day: date
    spans: Day
    note: str = ""


@dataclass(frozen=True, slots=True)
class StoredDays:
    """All the hours from one source; days that are past stay for a month.

    `known_until` is the last date that the source covered, also by leaving it out; None where it
    only names exceptions. `fetched_at` is UTC.
    """

    source: DaySource
    days: tuple[StoredDay, ...]
    known_until: date | None
    fetched_at: datetime


Week = tuple[Day, ...]
"""Seven days' spans, Monday first."""


@dataclass(frozen=True, slots=True)
class StoredCalendar:
    """The branch's stored hours; the calendar decides which source goes before which.

    `week` is the table that staff edited, None while the configuration's counts. `sources` has one
    entry for each source that ever had any hours.
    """

    week: Week | None = None
    sources: tuple[StoredDays, ...] = ()


class BranchBook(Protocol):
    """Bans, passes and hours, read-only. All calls on one thread, except `version` (any one).

    A branch that never stored any has none of them.

    Raises:
        StoreError: they are lost or can't be read; it is not known then who is banned.
    """

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes, not revoked, of a card or code, newest first, in force or not."""

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of the data about a card or its patron."""

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have reported; 0 for no patron."""

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit."""

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""

    def setting(self, key: str) -> str | None:
        """Return a small value that a process stored for itself or another."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, no disk."""


class RightsList(Protocol):
    """All bans and passes, for staff. One thread; raises StoreError."""

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban that is still stored, newest first, lifted and ended ones too."""

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass that is still stored, newest first, revoked and ended ones too."""


class RightsWriter(Protocol):
    """The one writer of bans and passes. One thread; each call is one durable transaction.

    A call also deletes what ended more than 30 days ago, where the clock is dependable.

    Raises:
        InputError: it makes no sense; nothing was changed.
        StoreError: nothing was changed.
    """

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it. One that is lifted or unknown is refused."""

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number.

        Refused where the code has one already or the card as many as it may, and where so many
        codes of that length are in force that one could be guessed.
        """

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it. One that is revoked or unknown is refused."""


class CalendarWriter(Protocol):
    """The one writer of hours and modes set by hand; as :class:`RightsWriter`."""

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> StoredDays:
        """Replace all hours of a source from today on; return what is stored of it now.

        A date that is past or named twice is refused.
        """

    def set_week(self, week: Week | None, moment: Moment) -> None:
        """Replace the weekly table; None for the configuration's."""

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other; one that has ended already is refused."""

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand; return it. Where none is set, that is refused."""

    def keep_setting(self, key: str, value: str, moment: Moment) -> None:
        """Store a small value under a key."""


class BranchWriter(RightsWriter, CalendarWriter, Protocol):
    """All changes of ``branch.db``, for the process that may write it."""

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:
        """Replace the counts of patrons' wrong PINs at other branches, by patron number."""
