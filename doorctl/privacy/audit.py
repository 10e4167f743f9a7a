"""The audit log: who did or looked at what, about whom, when and why.

It holds numbers and names of fields, never what was found: no name, no PIN, no card number. A
card stands under the key of its row, a patron under the library system's opaque number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import Enum
from typing import Any, Self

from doorctl.core.errors import InputError
from doorctl.core.moments import ClockState
from doorctl.core.texts import SHORT_TEXT, refuse_text

# The audit log's chain of hashes: any record can be erased, and nothing else can be changed.
#
# ``commitment = SHA256(salt || record)`` and ``hash = SHA256(hash before || commitment)``. Erasing
# the record and its salt leaves the commitment, so the chain still holds; without the salt nobody
# can try out which record it was. A later entry names the records erased for a person's sake: any
# other record that is gone, and not by age, is a break. Pure. A chain proves nothing against
# an intruder who writes it anew from some entry on: so its head is kept elsewhere, with each
# answer to the sync job.

SALT_BYTES = 32
"""The salt is as long as the hash, and of fixed length: so it can be told from the record."""

ERASED = "subject_erased"
"""The action of an entry that says which records were erased for a person's sake."""

_HEAD = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end: the last entry's number and its hash; number 0 for an empty chain."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"

    @classmethod
    def read(cls, text: str) -> Head:
        """Read a head from text such as ``41:9f86…``; raises InputError for any other text."""
        match = _HEAD.fullmatch(text)
        if match is None:
            raise InputError("a head of the audit log is a number, a colon and 64 hex digits")
        return cls(int(match[1]), bytes.fromhex(match[2]))


EMPTY = Head(0, hashlib.sha256(b"doorctl-audit/1").digest())
"""Where every chain begins."""


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the chain as it is stored; record and salt are None once they are erased."""

    number: int
    record: bytes | None = field(repr=False)
    salt: bytes | None = field(repr=False)
    commitment: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of checking a chain.

    `entries` are those up to the first broken one. Of these `erased` have no record any more, and
    `erased_singly` of them came after one that is kept: not by age. `head` is the last good one,
    `broken` the number of the first entry that is not as it was written.
    """

    entries: int
    erased: int
    erased_singly: int
    head: Head
    broken: int | None = None
    why: str = ""


def linked(before: Head, record: bytes, salt: bytes) -> Link:
    """Return the link of a record that follows on a head; `salt` is random, of SALT_BYTES."""
    commitment = _sha256(salt, record)
    return Link(before.number + 1, record, salt, commitment, _sha256(before.hash, commitment))


def head_of(link: Link) -> Head:
    """Return the chain's end where a link is the last one."""
    return Head(link.number, link.hash)


def verify(links: Iterable[Link], last_number: int = 0, anchors: Collection[Head] = ()) -> Verdict:
    """Check a chain from its beginning.

    Fewer entries than `last_number`, the highest that was ever given, are a break. So is a chain
    without one of the `anchors`, heads that were kept elsewhere.
    """
    head, erased, singly, unexplained = EMPTY, 0, 0, set[int]()
    kept_seen = False
    highest = max([last_number, *(anchor.number for anchor in anchors)])
    if not _agrees(EMPTY, anchors):
        return Verdict(0, 0, 0, EMPTY, 0, "the head that was kept elsewhere is of another chain")
    for link in links:
        why = _fault(link, head, anchors)
        if why:
            return Verdict(head.number, erased, singly, head, head.number + 1, why)
        head = head_of(link)
        erased += link.record is None
        if link.record is not None:
            kept_seen = True
            unexplained -= _explained(link.record, unexplained)
        elif kept_seen:
            singly += 1
            unexplained.add(link.number)
    if head.number < highest:
        return Verdict(head.number, erased, singly, head, head.number + 1, "it is missing")
    if unexplained:
        why = "its record is gone, and no later entry says that it was erased"
        return Verdict(head.number, erased, singly, head, min(unexplained), why)
    return Verdict(head.number, erased, singly, head)


def erased_numbers(numbers: Iterable[int]) -> dict[str, int]:
    """Return the details of an entry that names erased records: how many, and runs of numbers."""
    runs: list[tuple[int, int]] = []
    ordered = sorted(numbers)
    for number in ordered:
        first = runs.pop()[0] if runs and runs[-1][1] == number - 1 else number
        runs.append((first, number))
    return {"entries": len(ordered), **{f"entries {first} to": last for first, last in runs}}


def _explained(record: bytes, numbers: Collection[int]) -> set[int]:
    """Return those of some numbers that a record names as erased."""
    try:
        read = json.loads(record)
        details = read["details"] if read["action"] == ERASED else {"entries": 0}
        # Older records say only that there was an erasure, and no numbers.
        if "rows" in details and "entries" not in details:
            return set(numbers)
        runs = [(name.split(), last) for name, last in details.items() if name.endswith(" to")]
        return {n for n in numbers for name, last in runs if int(name[1]) <= n <= last}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return set()


def _fault(link: Link, before: Head, anchors: Collection[Head]) -> str:
    """Return what is wrong with a link that should follow on a head, or nothing."""
    if link.number != before.number + 1:
        return "it is missing" if link.number > before.number else "its number was there before"
    if (link.record is None) is not (link.salt is None):
        return "it is half erased"
    if not _commits(link):
        return "its record was changed"
    if link.hash != _sha256(before.hash, link.commitment):
        return "it does not follow on the entry before"
    if not _agrees(head_of(link), anchors):
        return "it is not the one whose hash was kept elsewhere"
    return ""


def _commits(link: Link) -> bool:
    if link.record is None or link.salt is None:
        return True
    return len(link.salt) == SALT_BYTES and link.commitment == _sha256(link.salt, link.record)


def _agrees(head: Head, anchors: Collection[Head]) -> bool:
    return all(anchor == head for anchor in anchors if anchor.number == head.number)


def _sha256(first: bytes, second: bytes) -> bytes:
    return hashlib.sha256(first + second).digest()


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
    """Return the name of a person or program as it is kept: printable, short, nobody's number.

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
