"""The stores, the door log and the library system, as the door and the services see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from typing import Protocol

from doorctl.access.calendar import DaySource, StoredCalendar, StoredDay, StoredWeek
from doorctl.access.day import Override
from doorctl.access.messages import LibraryReply
from doorctl.access.patron import Reason
from doorctl.access.rights import Ban, BanEntry, Pass, PassEntry
from doorctl.access.throttle import CardThrottle, ReaderThrottle
from doorctl.core.masked import Identifier, Pin
from doorctl.core.moments import Moment, Stamped


class BranchBook(Protocol):
    """Bans, passes and hours, read-only, on one thread; `version` on any one. It may hold none.

    StoreError: they can't be read, and it is not known who is banned.
    """

    def bans(self, row_key: bytes, patron_ref: str | None) -> tuple[Ban, ...]:
        """Return the bans of a card and of its patron that were not lifted, in force or not."""

    def passes_of(self, row_key: bytes) -> tuple[Pass, ...]:
        """Return the passes, not revoked, of a card or code, newest first, in force or not."""

    def restricted(self, row_key: bytes, patron_ref: str | None) -> bool:
        """Tell whether staff have restricted the use of the data about a card or its patron."""

    def wrong_pins_elsewhere(self, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron other branches have reported; 0 for no patron."""

    def every_ban(self) -> tuple[BanEntry, ...]:
        """Return every ban that is still stored, newest first, lifted and ended ones too."""

    def every_pass(self) -> tuple[PassEntry, ...]:
        """Return every pass that is still stored, newest first, revoked and ended ones too."""

    def calendar(self) -> StoredCalendar:
        """Return the stored hours, as of one commit."""

    def override(self) -> Override | None:
        """Return the mode set by hand last, unless staff ended it; its time may be over."""

    def version(self) -> int:
        """Return a number that changes with each commit; costs microseconds, no disk."""


class BranchWriter(Protocol):
    """The one writer of ``branch.db``. One thread; each call is one durable transaction.

    A change of bans or passes deletes those that ended more than 30 days ago by a dependable clock.
    InputError: it makes no sense. StoreError. Nothing was changed then.
    """

    def ban(
        self, ban: Ban, moment: Moment, *, row_key: bytes | None, patron_ref: str | None
    ) -> Ban:
        """Ban a card, a patron with all cards, or both; return the ban with its number."""

    def lift(self, number: int, moment: Moment) -> Ban:
        """Lift a ban before its end; return it. One that is lifted or unknown is refused."""

    def change_ban(self, ban: Ban, moment: Moment) -> Ban:
        """Store the ban of this number anew; return it. One that is lifted is refused."""

    def change_pass(self, held: Pass, moment: Moment) -> Pass:
        """Store the pass of this number anew; return it. One that is revoked is refused."""

    def issue(self, new: Pass, moment: Moment, *, row_key: bytes) -> Pass:
        """Issue a pass for a card or code; return it with its number.

        Refused where the code has one already or the card as many as it may, and where one of the
        codes could be guessed.
        """

    def revoke(self, number: int, moment: Moment) -> Pass:
        """Take a pass back; return it. One that is revoked or unknown is refused."""

    def set_days(
        self,
        source: DaySource,
        days: Iterable[StoredDay],
        moment: Moment,
        *,
        known_until: date | None,
    ) -> None:
        """Replace all hours of a source from today on; a date past or named twice is refused."""

    def set_week(self, week: StoredWeek, moment: Moment) -> None:
        """Replace the usual week."""

    def set_override(self, override: Override, moment: Moment) -> None:
        """Set a mode by hand in place of any other; one that has ended already is refused."""

    def end_override(self, moment: Moment) -> Override:
        """End the mode set by hand; return it. Where none is set, that is refused."""

    def keep_wrong_pins(self, elsewhere: Mapping[str, int], moment: Moment) -> None:
        """Replace the counts of patrons' wrong PINs at other branches, by patron number."""


class VisitReader(Protocol):
    """What the door log holds of wrong PINs. One thread; raises StoreError."""

    def card_throttle(self, row_key: bytes) -> CardThrottle:
        """Return a card's failures in a row; a card never seen has none."""

    def wrong_pins(self, row_key: bytes, patron_ref: str | None) -> int:
        """Return how many wrong PINs of a patron or a card are on record, in a row or not."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt as it is put on record, with the card's `throttle` as charged for it.

    A wrong PIN is charged to `whose` at once: a patron's number, or the row key of a card without a
    patron; None where no PIN is guessed.
    """

    attempt: int
    at: Stamped
    row_key: bytes | None = field(repr=False)
    throttle: CardThrottle | None
    whose: str | bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """How an attempt ended, with the throttles as they stand after it.

    It is counted under the mode `counted_as`, None for not at all. The charged PIN was `right`,
    wrong, or not compared (None): only a wrong one stays.
    """

    attempt: int
    reason: Reason
    row_key: bytes | None = field(default=None, repr=False)
    throttle: CardThrottle | None = None
    reader: ReaderThrottle | None = None
    _: KW_ONLY
    counted_as: str | None = None
    right: bool | None = None


class VisitLog(VisitReader, Protocol):
    """The door log's one writer: attempts, throttles, the clock's high-water mark. One thread.

    What has returned survives a power cut. StoreError: nothing was written.
    """

    def open_attempt(self, opened: Opened) -> None:
        """Put an attempt on record, with what is charged for it."""

    def close_attempt(self, closed: Closed) -> None:
        """Record how an attempt ended, with the throttles as they stand after it."""

    def reader_throttle(self) -> ReaderThrottle:
        """Return the reader's bucket; a new file's is full."""

    def reset_card(self, row_key: bytes, patron_ref: str | None = None) -> None:
        """Forget a card's failures and a patron's: staff have seen the patron."""

    def last_attempt(self) -> int:
        """Return the highest attempt number on record, 0 for none."""


class LibrarySystem(Protocol):
    """The library's own system, asked about one card and one PIN. Thread-safe.

    LibrarySystemError: no answer that can be read in time; `spent` says if it may have counted.
    """

    def ask(self, identifier: Identifier, pin: Pin, *, row_wanted: bool) -> LibraryReply:
        """Ask whether the PIN is the card's, once, within the adapter's time limit.

        Never ``YES`` to an empty PIN or by default; ``WAITS`` where the patron is locked out there.
        """
