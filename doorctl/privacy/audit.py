"""Who did or looked at what, about whom, when and why: what the audit log keeps of it.

It holds numbers and names of fields, never what was found: no name, no PIN, no card number. A
card stands under the key of its row, a patron under the library system's opaque number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import Enum
from typing import Protocol

from doorctl.access.staff_text import SHORT_TEXT, refuse_text
from doorctl.errors import InputError
from doorctl.moments import ClockState, Moment
from doorctl.privacy.audit_chain import ERASED, Head, Link

KEPT = timedelta(days=185)
"""Longest life of an entry: the 6 months of the old security order, which no half-year exceeds."""

SYNC = "sync"
"""Who it was where the sender of pushes did it by itself."""

NOT_A_NAME = "(not a name)"


Details = Mapping[str, int | str]
"""What an entry says beside its reason."""


class Action(Enum):
    """What was done or looked at; the values are fixed names in lists and scripts."""

    VISITS_LISTED = "visits_listed"
    PATRON_EXPLAINED = "patron_explained"
    CARD_UNLOCKED = "card_unlocked"
    PATRONS_LOADED = "patrons_loaded"
    PATRONS_RENUMBERED = "patrons_renumbered"
    KEY_ADOPTED = "key_adopted"
    PUSH_APPLIED = "push_applied"
    PUSH_APPROVED = "push_approved"
    BRANCH_ROLLED_BACK = "branch_rolled_back"
    BAN_ADDED = "ban_added"
    BAN_LIFTED = "ban_lifted"
    BANS_LISTED = "bans_listed"
    PASS_ISSUED = "pass_issued"  # noqa: S105 -- a right to come in
    PASS_REVOKED = "pass_revoked"  # noqa: S105 -- as above
    PASSES_LISTED = "passes_listed"
    MODE_SET = "mode_set"
    MODE_ENDED = "mode_ended"
    CALENDAR_CHANGED = "calendar_changed"
    OPENED_ONCE = "opened_once"
    CLOCK_TRUSTED = "clock_trusted"
    PURGE_RUN = "purge_run"
    BACKUP_MADE = "backup_made"
    HOLD_ADDED = "hold_added"
    HOLD_LIFTED = "hold_lifted"
    HOLD_SHOWN = "hold_shown"
    SUBJECT_EXPORTED = "subject_exported"
    SUBJECT_ERASED = ERASED
    SUBJECT_RESTRICTED = "subject_restricted"
    SUBJECT_UNRESTRICTED = "subject_unrestricted"
    STATISTICS_READ = "statistics_read"
    AUDIT_READ = "audit_read"
    CARD_SEARCHED = "card_searched"
    VISIT_REVEALED = "visit_revealed"
    VISITS_EXPORTED = "visits_exported"
    ALARM_ACKNOWLEDGED = "alarm_acknowledged"
    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGNED_OUT = "signed_out"
    PAGE_REFUSED = "page_refused"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_PASSWORD_SET = "account_password_set"  # noqa: S105 -- that it was
    ACCOUNT_FACTOR_SET = "account_factor_set"
    ACCOUNT_FACTOR_RESET = "account_factor_reset"


LISTS = frozenset({Action.VISITS_LISTED, Action.BANS_LISTED, Action.PASSES_LISTED})
"""Looks at everybody who stood in a list then, so each of them may be told of it."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did or looked at.

    Args:
        action: which it was.
        cards: 16-byte row keys of the cards it was about; none where it was about nobody.
        patron_ref: the library system's number of whom it was about.
        why: the reason that was given, or nothing.
        details: numbers, names of fields, dates; never a value of a person. Texts are searched for
            persons' numbers; an `int` is what our own code has counted or numbered.

    Raises:
        InputError: the reason or a detail holds what has no place there.
    """

    action: Action
    cards: tuple[bytes, ...] = field(default=(), repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    why: str = ""
    details: Details = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        refuse_text("reason", self.why, optional=True)
        for name, value in self.details.items():
            if isinstance(value, str):
                refuse_text(f"detail {name}", value, optional=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed on record.

    Args:
        number: counts from 1 without a gap.
        at: when it was written, UTC.
        clock: how good that time is.
        by: whose login or account it was, or :data:`SYNC`.
    """

    number: int
    at: datetime
    clock: ClockState
    by: str
    deed: Deed


class AuditWriter(Protocol):
    """The audit log's one writer. One thread; each call is one durable transaction.

    A call also erases what is older than :data:`KEPT`, where the clock is dependable.

    Raises:
        StoreError: nothing was written, so what was to be shown may not be.
    """

    def together(self, moment: Moment) -> AbstractContextManager[object]:
        """Make all that a block writes to the branch's records one transaction, or undo it."""

    def append(self, deed: Deed, by: str, moment: Moment) -> Head:
        """Put a deed on record; return the chain's new end."""

    def erase_about(
        self, cards: Collection[bytes], patron_ref: str | None, moment: Moment
    ) -> tuple[int, ...]:
        """Erase the records that name one of the cards or the patron; return their numbers.

        Whoever calls puts :func:`~doorctl.privacy.audit_chain.erased_numbers` of them on record.
        """

    def head(self) -> Head:
        """Return the chain's end."""

    def holds(self, head: Head) -> bool:
        """Tell whether the chain ended there once."""


class AuditReader(Protocol):
    """The audit log, read-only. One thread.

    Raises:
        StoreDamagedError: a record can't be read.
        StoreError: it is lost or can't be read.
    """

    def entries(self, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return the entries that were not erased, from a UTC time on, oldest first."""

    def about(self, cards: Collection[bytes], patron_ref: str | None) -> tuple[Entry, ...]:
        """Return the entries that name one of the cards or the patron, oldest first."""

    def head(self) -> Head:
        """Return the chain's end."""

    def links(self) -> Iterator[Link]:
        """Yield every link of one commit, erased ones too, in the order of their numbers."""

    def last_number(self) -> int:
        """Return the highest number that was ever given, 0 for none."""


def account(name: str) -> str:
    """Return who it was as it is kept: printable, short, nobody's number.

    A strange name must not keep a deed off the record, so it is made fit and never refused.
    """
    shown = "".join(one if one.isprintable() else "?" for one in name)[:SHORT_TEXT]
    try:
        refuse_text("account", shown)
    except InputError:
        return NOT_A_NAME
    return shown


def erased_before(moment: Moment) -> datetime | None:
    """Return the UTC time before which no record is kept; None while the time is not certain.

    It moves once a day, at midnight UTC, so that the file is rewritten once a day and not at each
    push. What was written on its day of expiry goes at the beginning of that day.
    """
    if moment.stepped or not moment.dependable:
        return None
    today = moment.local.astimezone(UTC).date()
    return datetime.combine(today + timedelta(days=1), time(), UTC) - KEPT
