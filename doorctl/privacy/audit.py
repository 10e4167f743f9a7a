"""The audit log: who did or looked at what, about whom, when and why.

It holds numbers and names of fields, never what was found: no name, no PIN, no card number. A
card stands under the key of its row, a patron under the library system's opaque number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import Enum
from typing import Any, Self

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState
from doorctl.core.texts import SHORT_TEXT, refuse_text
from doorctl.privacy.audit_chain import ERASED

KEPT = timedelta(days=185)
"""Longest life of an entry: the 6 months of the old security order; no half-year is longer."""

SYNC = "sync"
"""The account of an entry that the sender of pushes caused."""

NOT_A_NAME = "(not a name)"

Details = Mapping[str, int | str]
"""An entry's details: numbers, dates and names of fields."""


class Action(Enum):
    """What was done or looked at: its fixed name in lists and scripts, and its words in English."""

    VISITS_LISTED = "visits_listed", "Listed the door log"
    PATRON_EXPLAINED = "patron_explained", "Asked why a card is refused"
    CARD_UNLOCKED = "card_unlocked", "Forgot a card's wrong PINs"
    PATRONS_LOADED = "patrons_loaded", "Loaded patrons from a file"
    PATRONS_RENUMBERED = "patrons_renumbered", "Gave the patron register a lower number"
    KEY_ADOPTED = "key_adopted", "Took a new installation key into use"
    READER_KEYED = "reader_keyed", "Gave the card reader a key"
    PUSH_APPLIED = "push_applied", "Took a push of patrons"
    PUSH_APPROVED = "push_approved", "Approved a push of patrons"
    BRANCH_ROLLED_BACK = "branch_rolled_back", "Heard that the branch's records are an older copy"
    BAN_ADDED = "ban_added", "Banned somebody"
    BAN_CHANGED = "ban_changed", "Changed a ban"
    BAN_LIFTED = "ban_lifted", "Lifted a ban"
    BANS_LISTED = "bans_listed", "Listed the bans"
    PASS_ISSUED = "pass_issued", "Issued a pass"
    PASS_CHANGED = "pass_changed", "Changed a pass"
    PASS_REVOKED = "pass_revoked", "Took a pass back"
    PASSES_LISTED = "passes_listed", "Listed the passes"
    MODE_SET = "mode_set", "Set a mode by hand"
    MODE_ENDED = "mode_ended", "Ended the mode that was set by hand"
    CALENDAR_CHANGED = "calendar_changed", "Changed the calendar"
    WEEK_CHANGED = "week_changed", "Changed the usual week"
    OPENED_ONCE = "opened_once", "Opened the door once"
    CLOCK_TRUSTED = "clock_trusted", "Said that the clock is right"
    PURGE_RUN = "purge_run", "Ran a purge"
    PURGE_CLOCK_BELIEVED = "purge_clock_believed", "Said that the clock is right, for a purge"
    BACKUP_MADE = "backup_made", "Copied the branch's records"
    BACKUP_RESTORED = "backup_restored", "Put the branch's records back from a backup"
    HOLD_ADDED = "hold_added", "Added an incident hold"
    HOLD_LIFTED = "hold_lifted", "Lifted an incident hold"
    HOLD_SHOWN = "hold_shown", "Looked at an incident hold"
    SUBJECT_EXPORTED = "subject_exported", "Exported what is held of a person"
    SUBJECT_ERASED = ERASED, "Erased a person"
    SUBJECT_RESTRICTED = "subject_restricted", "Restricted a person's data"
    SUBJECT_UNRESTRICTED = "subject_unrestricted", "Lifted the restriction of a person's data"
    SUBJECT_OBJECTED = "subject_objected", "Recorded an objection and restricted the data"
    OBJECTION_DECIDED = "objection_decided", "Decided an objection"
    STATISTICS_READ = "statistics_read", "Read the statistics"
    AUDIT_READ = "audit_read", "Read the audit log"
    CARD_SEARCHED = "card_searched", "Searched the door log for a card"
    VISIT_REVEALED = "visit_revealed", "Looked up who a visit was"
    VISITS_EXPORTED = "visits_exported", "Exported the door log"
    ALARM_ACKNOWLEDGED = "alarm_acknowledged", "Acknowledged an alarm"
    ALARM_ENDED = "alarm_ended", "Ended an alarm"
    SIGNED_IN = "signed_in", "Signed in"
    SIGN_IN_REFUSED = "sign_in_refused", "A sign-in was refused"
    SIGNED_OUT = "signed_out", "Signed out"
    PAGE_REFUSED = "page_refused", "Asked for what the role may not do"
    ACCOUNT_ADDED = "account_added", "Added an account"
    ACCOUNT_CHANGED = "account_changed", "Changed an account"
    ACCOUNT_DISABLED = "account_disabled", "Disabled an account"
    ACCOUNT_ENABLED = "account_enabled", "Enabled an account"
    ACCOUNT_PASSWORD_SET = "account_password_set", "Set an account's password"
    ACCOUNT_FACTOR_SET = "account_factor_set", "Gave their account a second factor"
    ACCOUNT_FACTOR_RESET = "account_factor_reset", "Reset an account's second factor"

    _value_: str
    words: str

    def __new__(cls, value: Any, words: str = "") -> Self:
        """Return the member of a name."""
        made = object.__new__(cls)
        made._value_, made.words = value, words
        return made


KEY = "key"
"""The detail that names an installation key: 8 hex digits, decimal ones at 1 of 43."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did or looked at.

    `cards` are 16-byte row keys. `details` are never what is known of a person: texts are searched
    for persons' numbers, and an `int` is a count or number of our own.

    Raises InputError: the reason or a detail holds what has no place there.
    """

    action: Action
    cards: tuple[bytes, ...] = field(default=(), repr=False)
    patron_ref: str | None = field(default=None, repr=False)
    why: str = ""
    details: Details = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        refuse_text("reason", self.why, optional=True)
        for name, value in self.details.items():
            if isinstance(value, str) and name != KEY:
                refuse_text(f"detail {name}", value, optional=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """A deed on record.

    `number` counts from 1 without a gap; `at` is UTC; `by` is a login or account, or :data:`SYNC`.
    """

    number: int
    at: datetime
    clock: ClockState
    by: str
    deed: Deed


def account(name: str) -> str:
    """Return the name of a person or program as it is kept: printable, short, no person's number.

    A strange name is changed and never refused: the deed must go on record.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)[:SHORT_TEXT]
    try:
        refuse_text("account", shown)
    except InputError:
        return NOT_A_NAME
    return shown


def erased_before(now: datetime) -> datetime:
    """Return the UTC time before which no record is kept at an aware time.

    It moves once a day, at midnight UTC, so that the file is rewritten once a day and not at each
    push. What was written on its day of expiry goes at the beginning of that day.
    """
    today = now.astimezone(UTC).date()
    return datetime.combine(today + timedelta(days=1), time(), UTC) - KEPT
